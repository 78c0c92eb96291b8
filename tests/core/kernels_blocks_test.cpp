// Products of matrices in blocks of columns, and the (leaky) ReLU's gradient.
#include <c10/util/BFloat16.h>

#include "core/random.h"
#include "tests/core/kernel_tables.h"

namespace genzoo {
namespace {

Rng stream(uint64_t seed) { return Rng::for_batch(seed, Purpose::synthetic_data, 0); }

float* data(const Tensor& t) { return t.mutable_data_ptr<float>(); }

c10::BFloat16* data16(const Tensor& t) { return t.mutable_data_ptr<c10::BFloat16>(); }

/// A matrix (rows, columns) in blocks: (columns / kBlock, rows, kBlock).
Tensor in_blocks(const Tensor& matrix) {
  return matrix.view({matrix.size(0), matrix.size(1) / kBlock, kBlock}).transpose(0, 1).contiguous();
}

/// Its rows two by two, a row of zeros behind an odd number: (columns / kBlock, rows / 2, kBlock, 2).
Tensor in_pairs(const Tensor& matrix) {
  const Tensor blocks = in_blocks(at::constant_pad_nd(matrix, {0, 0, 0, matrix.size(0) % 2}));
  return blocks.view({blocks.size(0), blocks.size(1) / 2, 2, kBlock}).transpose(2, 3).contiguous();
}

}  // namespace

TEST_CASE("products in blocks of every instruction set are LibTorch's", "[core][kernels]") {
  for (const Kernels* k : tables()) {
    for (const int64_t rows : {1, 5, 6, 7, 14, 15, 29, 64}) {
      for (const int64_t columns : {16, 32, 48, 80}) {
        const int64_t depth = 16 * (rows % 5 + 1);
        INFO(k->name << " " << rows << " " << depth << " " << columns);
        const Tensor a = stream(1).normal({rows, depth}), b = stream(2).normal({depth, columns});
        const Tensor c = torch::full({columns / kBlock, rows, kBlock}, NAN);
        k->multiply_blocks(data(in_blocks(a)), data(in_blocks(b)), data(c), rows, depth, columns);
        CHECK_THAT(c, IsClose(in_blocks(at::mm(a, b)), 1e-4));

        // a^T d, the sums over the rows.
        const Tensor d = stream(3).normal({rows, columns}), wanted = in_blocks(at::mm(a.t(), d));
        const Tensor sum = torch::full({columns / kBlock, depth, kBlock}, NAN);
        for (const bool add : {false, true}) {
          k->multiply_transposed_blocks(data(in_blocks(a)), data(in_blocks(d)), data(sum), depth, rows, columns, add);
          CHECK_THAT(sum, IsClose(add ? 2 * wanted : wanted, 1e-4));
        }
      }
    }
    const Tensor empty = torch::full({1, 16, 16}, NAN);
    k->multiply_transposed_blocks(nullptr, nullptr, data(empty), 16, /*depth=*/0, 16, /*add=*/false);
    CHECK(empty.equal(torch::zeros({1, 16, 16})));
  }
}

TEST_CASE("products in blocks of bfloat16 of every instruction set are LibTorch's of float32", "[core][kernels]") {
  const auto rounded = [](uint64_t seed, at::IntArrayRef size) {
    return stream(seed).normal(size).to(torch::kBFloat16);
  };
  for (const Kernels* k : tables_16()) {
    for (const int64_t rows : {1, 5, 6, 7, 14, 15, 29, 64}) {
      for (const int64_t columns : {16, 32, 48, 80}) {
        const int64_t depth = 16 * (rows % 5 + 1);
        INFO(k->name << " " << rows << " " << depth << " " << columns);
        const Tensor a = rounded(1, {rows, depth}), b = rounded(2, {depth, columns});
        const Tensor wide = a.to(torch::kFloat);
        const Tensor c = torch::full({columns / kBlock, rows, kBlock}, NAN);
        k->multiply_blocks_16(data16(in_blocks(a)), data16(in_pairs(b)), data(c), rows, depth, columns);
        CHECK_THAT(c, IsClose(in_blocks(at::mm(wide, b.to(torch::kFloat))), 1e-4));

        const Tensor d = rounded(3, {rows, columns});
        const Tensor pairs = torch::full_like(in_pairs(d), NAN);
        k->pair_rows_16(data16(in_blocks(d)), rows, columns, data16(pairs));
        CHECK(pairs.equal(in_pairs(d)));
        const Tensor wanted = in_blocks(at::mm(wide.t(), d.to(torch::kFloat)));
        const Tensor sum = torch::full({columns / kBlock, depth, kBlock}, NAN);
        for (const bool add : {false, true}) {
          k->multiply_transposed_blocks_16(data16(in_pairs(a)), data16(pairs), data(sum), depth, rows, columns, add);
          CHECK_THAT(sum, IsClose(add ? 2 * wanted : wanted, 1e-4));
        }
      }
    }
    const Tensor empty = torch::full({1, 16, 16}, NAN);
    k->multiply_transposed_blocks_16(nullptr, nullptr, data(empty), 16, /*depth=*/0, 16, /*add=*/false);
    CHECK(empty.equal(torch::zeros({1, 16, 16})));
  }
}

TEST_CASE("the leaky ReLU's gradient of every instruction set is LibTorch's", "[core][kernels]") {
  for (const Kernels* k : tables()) {
    for (const int64_t channels : {1, 3, 16, 37}) {
      INFO(k->name << " " << channels);
      const int64_t rows = 39;
      const Tensor y = stream(1).normal({rows, channels}), dy = stream(2).normal({rows, channels});
      const Tensor dz = torch::empty_like(y), sums = torch::ones({channels});
      k->leaky_backward(data(dz), data(dy), data(y), 0.2F, data(sums), rows, channels);
      CHECK_THAT(dz, IsClose(torch::where(y > 0, dy, 0.2 * dy), 1e-6));
      CHECK_THAT(sums, IsClose(1 + dz.sum(0), 1e-5));
      const Tensor dz16 = torch::empty_like(y, torch::kBFloat16), sums16 = torch::ones({channels});
      const Tensor y16 = y.to(torch::kBFloat16), dy16 = dy.to(torch::kBFloat16), wide = dy16.to(torch::kFloat);
      k->leaky_backward_16(data16(dz16), data16(dy16), data16(y16), 0.2F, data(sums16), rows, channels);
      const Tensor wanted = torch::where(y16 > 0, wide, 0.2F * wide);
      CHECK(dz16.equal(wanted.to(torch::kBFloat16)));
      CHECK_THAT(sums16, IsClose(1 + wanted.sum(0), 1e-5));
      k->leaky_backward(data(dz), data(dy), data(y), 0, nullptr, rows, channels);
      CHECK_THAT(dz, IsClose(torch::where(y > 0, dy, torch::zeros_like(dy)), 1e-6));
    }
  }
}

}  // namespace genzoo
