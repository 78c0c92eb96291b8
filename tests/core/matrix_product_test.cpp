// Products by blocks in float32; those in bfloat16 are in kernels_bfloat16_test.cpp.
#include "core/matrix_product.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <vector>

#include "core/random.h"
#include "tests/support.h"

namespace genzoo {
namespace {

Rng stream(uint64_t seed) { return Rng::for_batch(seed, Purpose::synthetic_data, 0); }
Tensor by_columns(const Tensor& t) { return t.t().contiguous().t(); }

}  // namespace

TEST_CASE("products by blocks in float32 are whole products, whoever computes them", "[core][products]") {
  if (!has_block_products(torch::kFloat)) SKIP("this processor has no products of float32 matrices by blocks");
  for (const auto& [m, k, n] : {std::array<int64_t, 3>{1, 2, 1},
                                {1, 1, 3},
                                {33, 7, 130},
                                {700, 35, 300},
                                {130, 1500, 65},
                                {2, 64, 1000},
                                {1160, 40, 1000}}) {
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

TEST_CASE("blocks of a product in float32 cover it once and leave no short rest", "[core][products]") {
  if (!has_block_products(torch::kFloat)) SKIP("this processor has no products of float32 matrices by blocks");
  for (const auto& [m, n] :
       {std::array<int64_t, 2>{128, 400}, {400, 784}, {784, 400}, {130, 1000}, {40, 8}, {1, 130}}) {
    INFO(m << " x " << n);
    const Tensor a = torch::ones({m, 30}), b = torch::ones({30, n}), times = torch::zeros({m, n}, torch::kInt);
    std::mutex mutex;
    std::vector<int64_t> heights, widths;
    multiply_by_blocks(a, PackedFactor(b, torch::kFloat), [&](const Block& block) {
      const std::lock_guard lock(mutex);
      times.narrow(0, block.row, block.rows).narrow(1, block.column, block.columns) += 1;
      heights.push_back(block.rows);
      widths.push_back(block.columns);
    });
    CHECK((times == 1).all().item<bool>());
    for (const auto& sizes : {heights, widths}) {
      const auto [least, most] = std::minmax_element(sizes.begin(), sizes.end());
      CHECK(*most - *least <= 16);  // lanes of a register
    }
  }
}

TEST_CASE("sums of a product are formed where they are wanted", "[core][products]") {
  if (!has_block_products(torch::kFloat)) SKIP("this processor has no products of float32 matrices by blocks");
  const Tensor a = stream(1).normal({200, 600}), b = stream(2).normal({600, 150}), whole = torch::zeros({200, 160});
  const PackedFactor factor(b, torch::kFloat);
  multiply_by_blocks(a, factor, whole.narrow(1, 7, 150));
  CHECK_THAT(whole.narrow(1, 7, 150), IsClose(at::mm(a.to(torch::kDouble), b.to(torch::kDouble)), 1e-3));
  CHECK(whole.narrow(1, 0, 7).eq(0).all().item<bool>());
  CHECK(whole.narrow(1, 157, 3).eq(0).all().item<bool>());
  const Tensor scaled = torch::zeros({200, 150});
  multiply_by_blocks(a, b, scaled, 1, 1);  // by the way of a block that is added
  CHECK(scaled.equal(whole.narrow(1, 7, 150)));
  const Tensor none = torch::ones({200, 150});
  multiply_by_blocks(a.narrow(1, 0, 0), PackedFactor(b.narrow(0, 0, 0), torch::kFloat), none);
  CHECK(none.eq(0).all().item<bool>());
  CHECK_THROWS_WITH(multiply_by_blocks(a, factor, torch::zeros({200, 149})), Catch::Matchers::Contains("[200, 149]"));
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
  CHECK_FALSE(suits_block_product(large.narrow(0, 0, 8), large.narrow(1, 0, 30)));
  CHECK(suits_block_product(large.narrow(0, 0, 32), large.narrow(1, 0, 100)) == has);
  CHECK_FALSE(suits_block_product(torch::zeros({8, 2000}), torch::zeros({2000, 64})));  // long sums of a narrow one
  CHECK_FALSE(suits_block_product(large.to(torch::kDouble), large.to(torch::kDouble)));
}

TEST_CASE("products of few rows with a weight are those of double precision, on any number of threads",
          "[core][products]") {
  const auto stream = [](uint64_t seed) { return Rng::for_batch(seed, Purpose::initialization, 0); };
  for (const int64_t rows : {1, 3, 8}) {
    const Tensor x = stream(1).normal({rows, 200}), weight = stream(2).normal({301, 200});
    const Tensor wide = torch::full({rows, 400}, 7.0F), y = wide.narrow(/*dim=*/1, 10, 301);
    CHECK(suits_few_rows_product(x, weight.t(), y) == has_few_rows_products());
    multiply_few_rows(x, weight.t(), y);
    const Tensor wanted = x.to(torch::kDouble).mm(weight.to(torch::kDouble).t());
    CHECK_THAT(y, IsClose(wanted, 1e-4));
    CHECK(wide.eq(7).sum().item<int64_t>() == rows * 99);  // beside it nothing is written
    const int threads = at::get_num_threads();
    at::set_num_threads(threads == 1 ? 3 : 1);
    const Tensor same = torch::empty({rows, 301});
    multiply_few_rows(x, weight.t(), same);
    at::set_num_threads(threads);
    CHECK(same.equal(y));
  }
  const Tensor weight = torch::zeros({301, 200});
  CHECK_FALSE(suits_few_rows_product(torch::zeros({9, 200}), weight.t(), torch::zeros({9, 301})));
  CHECK_FALSE(suits_few_rows_product(torch::zeros({1, 301}), weight, torch::zeros({1, 200})));
  CHECK_FALSE(suits_few_rows_product(torch::zeros({1, 20}), torch::zeros({30, 20}).t(), torch::zeros({1, 30})));
}

}  // namespace genzoo
