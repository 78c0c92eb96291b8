// Products by blocks in float32; those in bfloat16 are in kernels_bfloat16_test.cpp.
#include "core/matrix_product.h"

#include <array>

#include "core/random.h"
#include "tests/support.h"

namespace genzoo {
namespace {

Rng stream(uint64_t seed) { return Rng::for_batch(seed, Purpose::synthetic_data, 0); }
Tensor by_columns(const Tensor& t) { return t.t().contiguous().t(); }

}  // namespace

TEST_CASE("products by blocks in float32 are whole products, whoever computes them", "[core][products]") {
  if (!has_block_products(torch::kFloat)) SKIP("this processor has no products of float32 matrices by blocks");
  for (const auto& [m, k, n] :
       {std::array<int64_t, 3>{1, 2, 1}, {1, 1, 3}, {33, 7, 130}, {700, 35, 300}, {130, 1500, 65}, {2, 64, 1000}}) {
    INFO(m << " x " << k << " x " << n);
    const Tensor a = stream(1).normal({m, k}), b = stream(2).normal({k, n}), old = stream(3).normal({m, n});
    const Tensor product = at::mm(a.to(torch::kDouble), b.to(torch::kDouble));
    Tensor first;
    for (const Tensor& left : {a, by_columns(a)}) {
      for (const Tensor& right : {b, by_columns(b)}) {
        for (const int threads : {1, 2}) {
          const int before = at::get_num_threads();
          at::set_num_threads(threads);
          const Tensor whole = at::cat({old, old}, 1), c = whole.narrow(1, 0, n);  // rows with gaps
          multiply_by_blocks(left, right, c, 2.0F, 0.5F);
          at::set_num_threads(before);
          CHECK_THAT(c, IsClose(2 * product + 0.5 * old, 1e-3));
          CHECK(whole.narrow(1, n, n).equal(old));
          if (first.defined()) CHECK(c.equal(first));
          first = c;
        }
      }
    }
  }
}

TEST_CASE("a factor that is a part of a matrix has rows with gaps", "[core][products]") {
  if (!has_block_products(torch::kFloat)) SKIP("this processor has no products of float32 matrices by blocks");
  const Tensor a = stream(1).normal({70, 40}).narrow(1, 3, 30), b = stream(2).normal({30, 300});
  for (const Tensor& right : {b.narrow(1, 5, 150), stream(4).normal({300, 30}).slice(0, 1, 300, 2).t()}) {
    const Tensor c = torch::empty({70, 150});
    multiply_by_blocks(a, right, c, 1, 0);
    CHECK_THAT(c, IsClose(at::mm(a.to(torch::kDouble), right.to(torch::kDouble)), 1e-4));
  }
}

TEST_CASE("products go by blocks where these are faster", "[core][products]") {
  const bool has = has_block_products(torch::kFloat);
  const Tensor large = torch::zeros({256, 256}), few_rows = torch::zeros({40, 256});
  CHECK(suits_block_product(large, large) == has);
  CHECK(suits_block_product(large, large.t()) == has);
  CHECK(suits_block_product(few_rows, large) == has);
  CHECK_FALSE(suits_block_product(few_rows, large.t()));  // which would have to be transposed for few rows
  CHECK_FALSE(suits_block_product(torch::zeros({4, 256}), large));
  CHECK_FALSE(suits_block_product(large.narrow(0, 0, 32), large.narrow(1, 0, 100)));
  CHECK_FALSE(suits_block_product(large.to(torch::kDouble), large.to(torch::kDouble)));
}

}  // namespace genzoo
