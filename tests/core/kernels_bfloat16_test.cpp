// The loops whose results, or factors, are bfloat16: they round what the float32 loops compute.
#include <array>
#include <cstring>
#include <limits>

#include "core/bfloat16.h"
#include "core/kernels/kernels.h"
#include "core/matrix_product.h"
#include "core/random.h"
#include "tests/core/kernel_tables.h"

namespace genzoo {
namespace {

using c10::BFloat16;

Rng stream(uint64_t seed) { return Rng::for_batch(seed, Purpose::synthetic_data, 0); }

constexpr int64_t kSizes[] = {1, 7, 16, 33, 129};

Tensor reduced(at::IntArrayRef size) { return torch::empty(size, torch::kBFloat16); }
BFloat16* data16(const Tensor& t) { return t.mutable_data_ptr<BFloat16>(); }
float* data32(const Tensor& t) { return t.mutable_data_ptr<float>(); }

}  // namespace

TEST_CASE("rounding to bfloat16 is LibTorch's, for every kind of number", "[core][kernels]") {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor odd = torch::tensor({0.0F, -0.0F, inf, -inf, nan, 1.00390625F, 1.01171875F, 3.3895314e38F, 1e-40F});
  for (const Kernels* k : tables()) {
    for (const int64_t n : kSizes) {
      INFO(k->name << " " << n);
      const Tensor x = at::cat({100 * stream(1).normal({n}), odd});
      const Tensor y = reduced({x.numel()});
      k->to_bfloat16(data16(y), data32(x), x.numel());
      CHECK(y.isnan().equal(x.isnan()));
      CHECK(y.nan_to_num().equal(x.to(torch::kBFloat16).nan_to_num()));
    }
  }
}

TEST_CASE("biases and activations in bfloat16 are the rounded ones of float32", "[core][kernels]") {
  for (const Kernels* k : tables()) {
    for (const int64_t columns : kSizes) {
      INFO(k->name << " " << columns);
      const int64_t rows = 5, stride = columns + 3;  // of z, whose rows have gaps
      const Tensor z = 2 * stream(1).normal({rows, stride}), b = stream(2).normal({columns});
      const Tensor y = reduced({rows, columns}), slope = reduced({rows, columns});
      const Tensor y32 = torch::empty({rows, columns}), slope32 = torch::empty({rows, columns});
      for (const float* bias : {static_cast<const float*>(nullptr), b.const_data_ptr<float>()}) {
        k->bias_16(data16(y), columns, data32(z), stride, bias, rows, columns);
        k->bias(data32(y32), columns, data32(z), stride, bias, rows, columns);
        CHECK(y32.equal(z.narrow(1, 0, columns) + (bias ? b : torch::zeros({columns}))));
        CHECK(y.equal(y32.to(torch::kBFloat16)));
        k->bias_relu_16(data16(y), columns, data32(z), stride, bias, rows, columns);
        k->bias_relu(data32(y32), columns, data32(z), stride, bias, rows, columns);
        CHECK(y.equal(y32.to(torch::kBFloat16)));
        k->bias_gelu_16(data16(y), data16(slope), columns, data32(z), stride, bias, rows, columns);
        k->bias_gelu(data32(y32), data32(slope32), columns, data32(z), stride, bias, rows, columns);
        CHECK(y.equal(y32.to(torch::kBFloat16)));
        CHECK(slope.equal(slope32.to(torch::kBFloat16)));
      }
    }
  }
}

TEST_CASE("gradients in bfloat16 are the rounded ones, sums of columns are not rounded", "[core][kernels]") {
  for (const Kernels* k : tables()) {
    for (const int64_t columns : kSizes) {
      INFO(k->name << " " << columns);
      const int64_t rows = 6;
      const Tensor dy = stream(1).normal({rows, columns}).to(torch::kBFloat16);
      const Tensor kept = stream(2).normal({rows, columns}).to(torch::kBFloat16);
      const Tensor wide = dy.to(torch::kFloat), dz = reduced({rows, columns});
      Tensor sums = torch::ones({columns});
      k->relu_backward_16(data16(dz), data16(dy), data16(kept), data32(sums), columns, rows, columns);
      CHECK(dz.equal(torch::where(kept > 0, dy, torch::zeros_like(dy))));
      CHECK_THAT(sums, IsClose(1 + dz.to(torch::kFloat).sum(0), 1e-5));
      k->slope_backward_16(data16(dz), data16(dy), data16(kept), /*bias_gradient=*/nullptr, columns, rows, columns);
      CHECK(dz.equal((wide * kept.to(torch::kFloat)).to(torch::kBFloat16)));
      sums = torch::ones({columns});
      k->add_columns_16(data32(sums), data16(dy), columns, rows, columns);
      CHECK_THAT(sums, IsClose(1 + wide.sum(0), 1e-5));
      const Tensor x = stream(3).normal({rows, columns});
      sums = torch::ones({columns});
      k->round_columns_16(data16(dz), data32(x), data32(sums), columns, rows, columns);
      CHECK(dz.equal(x.to(torch::kBFloat16)));
      CHECK_THAT(sums, IsClose(1 + x.sum(0), 1e-5));
    }
  }
}

TEST_CASE("a packed factor has two rows side by side", "[core][kernels]") {
  for (const Kernels* k : tables()) {
    for (const int64_t columns : kSizes) {
      for (const int64_t depth : {2, 6, 34, 70}) {
        INFO(k->name << " " << depth << " x " << columns);
        const Tensor whole = stream(1).normal({depth, columns + 2}), w = whole.narrow(1, 0, columns);
        const Tensor wanted =
            w.to(torch::kBFloat16).contiguous().view({depth / 2, 2, columns}).transpose(1, 2).contiguous();
        const Tensor got = reduced({depth / 2, columns, 2});
        k->pack_rows_16(data32(whole), columns + 2, depth, columns, data16(got));
        CHECK(got.equal(wanted));
        const Tensor transposed = at::cat({w.t(), torch::zeros({columns, 3})}, 1);
        got.zero_();
        k->pack_transposed_16(data32(transposed), depth + 3, columns, depth, data16(got));
        CHECK(got.equal(wanted));
        const Tensor whole16 = whole.to(torch::kBFloat16), transposed16 = transposed.to(torch::kBFloat16);
        got.zero_();
        k->repack_rows_16(data16(whole16), columns + 2, depth, columns, data16(got));
        CHECK(got.equal(wanted));
        got.zero_();
        k->repack_transposed_16(data16(transposed16), depth + 3, columns, depth, data16(got));
        CHECK(got.equal(wanted));
        const Tensor turned = torch::zeros({columns, depth}, torch::kBFloat16);
        k->transpose_16(data16(whole16), columns + 2, depth, columns, data16(turned));
        CHECK(turned.equal(whole16.narrow(1, 0, columns).t()));
      }
    }
  }
}

TEST_CASE("products in bfloat16 are those of rounded factors, summed in float32", "[core][bfloat16]") {
  if (!has_bfloat16_products()) SKIP("this processor has no products of bfloat16 matrices");
  for (const auto& [m, k, n] : {std::array<int64_t, 3>{1, 2, 1}, {5, 7, 3}, {40, 300, 200}, {1, 64, 33}, {600, 2, 5}}) {
    INFO(m << " x " << k << " x " << n);
    const Tensor a = stream(1).normal({m, k}).to(torch::kBFloat16), b = stream(2).normal({k, n}).to(torch::kBFloat16);
    const Tensor wanted = at::mm(a.to(torch::kDouble), b.to(torch::kDouble));
    const Tensor old = stream(3).normal({m, n});
    for (const bool a_transposed : {false, true}) {
      for (const bool b_transposed : {false, true}) {
        const Tensor left = a_transposed ? a.t().contiguous().t() : a,
                     right = b_transposed ? b.t().contiguous().t() : b;
        const Tensor whole = at::cat({old, old}, 1), c = whole.narrow(1, 0, n);  // rows with gaps
        multiply_bfloat16(left, right, c, 2.0F, 0.5F);
        CHECK_THAT(c, IsClose(2 * wanted + 0.5 * old, 1e-3));
        CHECK(whole.narrow(1, n, n).equal(old));
      }
    }
  }
}

TEST_CASE("products by blocks are whole products, whoever computes them", "[core][bfloat16]") {
  if (!has_block_products()) SKIP("this processor has no products by blocks");
  for (const auto& [m, k, n] :
       {std::array<int64_t, 3>{1, 2, 1}, {1, 1, 3}, {33, 6, 130}, {700, 35, 300}, {130, 5000, 65}, {2, 64, 1000}}) {
    INFO(m << " x " << k << " x " << n);
    const Tensor a = stream(1).normal({m, k}).to(torch::kBFloat16), b = stream(2).normal({k, n});
    const Tensor rounded = b.to(torch::kBFloat16), wanted = at::mm(a.to(torch::kDouble), rounded.to(torch::kDouble));
    const auto by_columns = [](const Tensor& t) { return t.t().contiguous().t(); };
    Tensor first;
    for (const Tensor& left : {a, by_columns(a)}) {
      for (const Tensor& right : {b, by_columns(b), rounded, by_columns(rounded)}) {
        for (const int threads : {1, 2}) {
          const int before = at::get_num_threads();
          at::set_num_threads(threads);
          const Tensor c = torch::full({m, n}, 99.0);
          multiply_by_blocks(left, PackedFactor(right), [&](const Block& block) {
            for (int64_t r = 0; r < block.rows; ++r) {
              std::memcpy(data32(c) + (block.row + r) * n + block.column, block.sums + r * block.stride,
                          static_cast<size_t>(block.columns) * sizeof(float));
            }
          });
          at::set_num_threads(before);
          CHECK_THAT(c, IsClose(wanted, 1e-3));
          if (first.defined()) CHECK(c.equal(first));
          first = c;
        }
      }
    }
  }
}

}  // namespace genzoo
