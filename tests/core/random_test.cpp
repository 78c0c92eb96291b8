#include "core/random.h"

#include <torch/cuda.h>

#include <set>

#include "tests/support.h"

namespace genzoo {
namespace {

using Catch::Matchers::WithinAbs;

Rng batch_stream(uint64_t step = 0, uint64_t shard = 0) { return Rng::for_batch(7, Purpose::loss, step, shard); }
Rng row_streams(uint64_t first, int64_t rows, uint64_t seed = 7) {
  return Rng::for_rows(seed, Purpose::sample, first, rows);
}

TEST_CASE("a stream's key never changes from one version to the next", "[core]") {
  // Runs of older versions are resumed by these.
  CHECK(stream_key(0, Purpose::initialization, 0) == 0xf9ac6e33a311b5a1);
  CHECK(stream_key(42, Purpose::loss, 1000, 3) == 0x77df680f7ab84fa6);
  CHECK(stream_key(42, Purpose::sample, uint64_t{1} << 40) == 0x10f0365486f4b70c);
}

TEST_CASE("streams differ by seed, purpose, step and shard, in the bits the CPU engine looks at", "[core]") {
  std::set<uint32_t> keys;
  size_t made = 0;
  for (const uint64_t seed : {0, 1, 2, 12345}) {
    for (const Purpose purpose : {Purpose::batch, Purpose::data_noise, Purpose::loss, Purpose::sample}) {
      for (const uint64_t shard : {0, 1, 2, 3}) {
        for (uint64_t step = 0; step < 16; ++step, ++made) {
          keys.insert(static_cast<uint32_t>(stream_key(seed, purpose, step, shard)));
        }
      }
    }
  }
  CHECK(keys.size() == made);
  CHECK(stream_key(1, Purpose::batch, 5) != stream_key(1, Purpose::batch, 5 + (uint64_t{1} << 32)));
}

TEST_CASE("no two of 300,000 rows share a CPU stream", "[core]") {
  // Of as many random 32-bit keys some ten pairs would be equal.
  std::set<uint32_t> keys;
  for (uint64_t row = 0; row < 300'000; ++row) {
    keys.insert(static_cast<uint32_t>(stream_key(0, Purpose::sample, row)));
  }
  CHECK(keys.size() == 300'000);
}

TEST_CASE("every bit of the seed and of the step changes half of a key's bits", "[core]") {
  // The avalanche criterion: 32 of 64 flipped on average, 16 of the low 32; 256 keys a bit make a standard error of
  // 0.25 and 0.18.
  for (int bit = 0; bit < 64; ++bit) {
    double all_by_seed = 0, all_by_step = 0, low_by_step = 0;
    for (uint64_t i = 0; i < 256; ++i) {
      const uint64_t key = stream_key(i, Purpose::loss, 31 * i);
      const uint64_t flipped = uint64_t{1} << bit;
      all_by_seed += __builtin_popcountll(key ^ stream_key(i ^ flipped, Purpose::loss, 31 * i)) / 256.0;
      const uint64_t difference = key ^ stream_key(i, Purpose::loss, (31 * i) ^ flipped);
      all_by_step += __builtin_popcountll(difference) / 256.0;
      low_by_step += __builtin_popcount(static_cast<uint32_t>(difference)) / 256.0;
    }
    INFO("bit " << bit);
    CHECK(std::abs(all_by_seed - 32) < 1.5);
    CHECK(std::abs(all_by_step - 32) < 1.5);
    CHECK(std::abs(low_by_step - 16) < 1.5);
  }
}

TEST_CASE("the same stream draws the same again, and another does not", "[core]") {
  CHECK(batch_stream(3).normal({50}).equal(batch_stream(3).normal({50})));
  CHECK_FALSE(batch_stream(3).normal({50}).equal(batch_stream(4).normal({50})));
  CHECK_FALSE(batch_stream(3, 0).normal({50}).equal(batch_stream(3, 1).normal({50})));
  Rng rng = batch_stream();
  CHECK_FALSE(rng.normal({50}).equal(rng.normal({50})));
}

TEST_CASE("LibTorch's default generator is neither drawn from nor looked at", "[core]") {
  torch::manual_seed(1);
  const Tensor expected = torch::rand({4});
  const Tensor drawn = batch_stream().normal({4});
  torch::manual_seed(1);
  Rng rng = batch_stream();
  CHECK(rng.normal({4}).equal(drawn));
  rng.dropout(torch::ones({100}), 0.5);
  rng.permutation(10);
  row_streams(0, 3).categorical(torch::ones({3, 5}));
  CHECK(torch::rand({4}).equal(expected));
}

TEST_CASE("what row i draws depends on i alone", "[core]") {
  const auto all_draws = [](Rng rng) {
    const int64_t n = rng.rows();
    const Tensor p = torch::tensor({0.1, 0.2, 0.0, 0.7}).expand({n, 4});
    // Sizes below and above the 16 elements at which LibTorch's normal_ changes its method.
    return std::vector<Tensor>{rng.normal({n, 3}),
                               rng.normal({n, 5, 7}),
                               rng.uniform({n, 40}),
                               rng.normal_like(torch::zeros({n, 17}, torch::kDouble)),
                               rng.bernoulli(torch::full({n, 30}, 0.3)),
                               rng.integers(1000, {n, 4}),
                               rng.categorical(p),
                               rng.dropout(torch::ones({n, 33}), 0.4)};
  };
  const std::vector<Tensor> together = all_draws(row_streams(0, 9));
  for (const auto& [first, rows] : std::vector<std::pair<int64_t, int64_t>>{{0, 1}, {4, 1}, {3, 5}, {8, 1}}) {
    const std::vector<Tensor> part = all_draws(row_streams(static_cast<uint64_t>(first), rows));
    for (size_t i = 0; i < part.size(); ++i) {
      INFO("draw " << i << ", rows from " << first);
      CHECK(part[i].equal(together[i].narrow(0, first, rows)));
    }
  }
}

TEST_CASE("a row's stream alone goes on where the rows together stand", "[core]") {
  Rng rows = Rng::for_rows(1, Purpose::sample, 5, 3), same = Rng::for_rows(1, Purpose::sample, 5, 3);
  same.uniform({3, 4});
  rows.uniform({3, 4});
  const Tensor together = same.uniform({3, 4});
  Rng second = rows.row(1);
  CHECK(second.rows() == 1);
  CHECK(second.uniform({1, 4}).equal(together.narrow(0, 1, 1)));
  CHECK_FALSE(rows.row(1).uniform({1, 4}).equal(together.narrow(0, 1, 1)));  // it has moved on
  Rng batch = Rng::for_batch(1, Purpose::sample, 0);
  const Tensor first = batch.row(0).uniform({2, 4});
  CHECK(first.equal(Rng::for_batch(1, Purpose::sample, 0).uniform({2, 4})));
  CHECK_FALSE(batch.uniform({2, 4}).equal(first));
}

TEST_CASE("a stream's clone draws what it will draw, and leaves it where it is", "[core]") {
  for (const bool per_row : {false, true}) {
    Rng rng = per_row ? row_streams(0, 3) : batch_stream();
    rng.normal({3, 5});  // an odd number: half of a pair may be pending
    const Rng kept = rng.clone();
    Rng first = kept.clone(), second = kept.clone();
    const Tensor drawn = first.normal({3, 5}), again = second.normal({3, 5});
    CHECK(drawn.equal(again));
    CHECK(rng.normal({3, 5}).equal(drawn));
    CHECK_FALSE(rng.normal({3, 5}).equal(drawn));
  }
}

TEST_CASE("normal and uniform draws have their distributions' moments", "[core]") {
  constexpr int64_t n = 200'000;  // standard error of a mean of unit variance: 0.0022
  for (const bool per_row : {false, true}) {
    Rng rng = per_row ? row_streams(0, 2000) : batch_stream();
    const std::vector<int64_t> size{2000, n / 2000};
    const Tensor z = rng.normal(size), u = rng.uniform(size);
    CHECK_THAT(z.mean().item<double>(), WithinAbs(0, 0.01));
    CHECK_THAT(z.var().item<double>(), WithinAbs(1, 0.015));
    CHECK_THAT(z.pow(4).mean().item<double>(), WithinAbs(3, 0.12));
    CHECK_THAT(u.mean().item<double>(), WithinAbs(0.5, 0.004));
    CHECK_THAT(u.var().item<double>(), WithinAbs(1.0 / 12, 0.001));
    CHECK(u.min().item<double>() >= 0);
    CHECK(u.max().item<double>() < 1);
    // Neighbouring streams are not correlated.
    const Tensor a = z.slice(0, 0, 1000), b = z.slice(0, 1000);
    CHECK_THAT((a * b).mean().item<double>(), WithinAbs(0, 0.015));
  }
}

TEST_CASE("draws have the dtype that was asked for", "[core]") {
  Rng rng = batch_stream();
  CHECK(rng.normal({2}).scalar_type() == torch::kFloat);
  CHECK(rng.normal_like(torch::zeros({2}, torch::kDouble)).scalar_type() == torch::kDouble);
  CHECK(rng.uniform_like(torch::zeros({2}, torch::kBFloat16)).scalar_type() == torch::kBFloat16);
  CHECK(rng.bernoulli(torch::ones({2}, torch::kDouble)).scalar_type() == torch::kDouble);
  CHECK(rng.integers(3, {2}).scalar_type() == torch::kLong);
}

TEST_CASE("bernoulli draws 1 with its probability, and the certain cases always", "[core]") {
  Rng rng = batch_stream();
  CHECK(rng.bernoulli(torch::zeros({10'000})).sum().item<double>() == 0);
  CHECK(rng.bernoulli(torch::ones({10'000})).sum().item<double>() == 10'000);
  // Standard error 0.0013. A bfloat16 probability is compared in float32: 0.1 becomes 0.10009765625, not 26/256.
  CHECK_THAT(rng.bernoulli(torch::full({100'000}, 0.2)).mean().item<double>(), WithinAbs(0.2, 0.005));
  const Tensor coarse = torch::full({1'000'000}, 0.1, torch::kBFloat16);
  CHECK_THAT(rng.bernoulli(coarse).to(torch::kFloat).mean().item<double>(), WithinAbs(0.1001, 0.0012));
  const Tensor p = torch::full({3}, 0.5).requires_grad_();
  CHECK_FALSE(rng.bernoulli(p).requires_grad());
}

TEST_CASE("categorical draws each class with its probability and never an impossible one", "[core]") {
  const Tensor p = torch::tensor({0.0, 0.5, 0.0, 0.125, 0.375, 0.0});
  constexpr int64_t n = 100'000;  // standard error of a share: at most 0.0016
  for (const bool per_row : {false, true}) {
    Rng rng = per_row ? row_streams(0, n) : batch_stream();
    const Tensor drawn = rng.categorical((p * 3).expand({n, 6}));  // not normalized
    REQUIRE(drawn.sizes() == torch::IntArrayRef({n}));
    const Tensor shares = torch::bincount(drawn, {}, 6).to(torch::kDouble) / static_cast<double>(n);
    CHECK_THAT(shares, IsClose(p, 0.007));
    for (const int64_t impossible : {0, 2, 5}) CHECK(shares[impossible].item<double>() == 0);
  }
}

TEST_CASE("categorical never leaves its range however small the probabilities", "[core]") {
  // 30,000 equal probabilities, whose float sum falls short of 1, then a last class of probability zero.
  Tensor p = torch::full({2000, 30'001}, 1.0F / 30'000);
  p.slice(1, 30'000).zero_();
  const Tensor drawn = batch_stream().categorical(p);
  CHECK(drawn.min().item<int64_t>() >= 0);
  CHECK(drawn.max().item<int64_t>() < 30'000);
  CHECK_THAT(drawn.to(torch::kDouble).mean().item<double>(), WithinAbs(15'000, 1000));  // standard error 194
  CHECK(batch_stream().categorical(torch::tensor({{0.0F, 1e-38F, 0.0F}})).item<int64_t>() == 1);
}

TEST_CASE("integers are uniform over their range", "[core]") {
  const Tensor drawn = batch_stream().integers(5, {100'000});
  const Tensor shares = torch::bincount(drawn, {}, 5).to(torch::kDouble) / 1e5;
  REQUIRE(shares.numel() == 5);
  CHECK_THAT(shares, IsClose(torch::full({5}, 0.2), 0.007));
  CHECK(batch_stream().integers(1, {10}).sum().item<int64_t>() == 0);
}

TEST_CASE("a permutation has every index once and is its stream's own", "[core]") {
  const Tensor order = batch_stream(1).permutation(1000);
  CHECK(std::get<0>(order.sort()).equal(torch::arange(1000)));
  CHECK(order.equal(batch_stream(1).permutation(1000)));
  CHECK_FALSE(order.equal(batch_stream(2).permutation(1000)));
}

TEST_CASE("dropout zeroes its share, keeps the mean, and lets gradients through what it kept", "[core]") {
  const Tensor x = torch::ones({100'000}).requires_grad_();
  const Tensor y = batch_stream().dropout(x, 0.2);
  const Tensor zeros = y.eq(0);
  CHECK_THAT(zeros.to(torch::kFloat).mean().item<double>(), WithinAbs(0.2, 0.006));  // standard error 0.0013
  CHECK_THAT(y.masked_select(zeros.logical_not()).max(), IsClose(torch::tensor(1.25)));
  CHECK_THAT(y.masked_select(zeros.logical_not()).min(), IsClose(torch::tensor(1.25)));
  y.sum().backward();
  CHECK_THAT(x.grad(), IsClose(y.detach()));

  Rng rng = batch_stream();
  CHECK(rng.dropout(x, 0).is_same(x));
  CHECK(rng.dropout(x, 1).abs().sum().item<double>() == 0);
  CHECK(rng.dropout(x.to(torch::kBFloat16), 0.5).scalar_type() == torch::kBFloat16);
}

TEST_CASE("a stream refuses what it cannot draw", "[core]") {
  CHECK_THROWS_AS(row_streams(0, 3).normal({4, 2}), std::logic_error);
  CHECK_THROWS_AS(row_streams(0, 3).normal({}), std::logic_error);
  CHECK_THROWS_AS(row_streams(0, 3).permutation(3), std::logic_error);
  CHECK_THROWS_AS(batch_stream().integers(0, {3}), std::logic_error);
  CHECK_THROWS_AS(batch_stream().categorical(torch::ones({3})), std::logic_error);
  CHECK_THROWS_AS(batch_stream().dropout(torch::ones({3}), 1.5), std::logic_error);
  CHECK(row_streams(0, 0).normal({0, 2}).sizes() == torch::IntArrayRef({0, 2}));
}

TEST_CASE("a tape holds what its stream would draw, each time anew, in the same memory", "[core]") {
  const auto draws = [](Rng& rng) {
    return std::vector<Tensor>{rng.normal({3, 5}), rng.bernoulli(torch::full({40}, 0.3)), rng.integers(9, {7}),
                               rng.dropout(torch::ones({20}), 0.5), rng.uniform_like(torch::ones({2}, torch::kDouble))};
  };
  DrawTape tape;
  Rng first = tape.stream(torch::kCPU);
  draws(first);  // notes what is asked for
  void* memory = nullptr;
  for (const uint64_t step : {3, 4, 3}) {
    tape.draw_anew(batch_stream(step));
    Rng taped = tape.stream(torch::kCPU), direct = batch_stream(step);
    const auto got = draws(taped), wanted = draws(direct);
    for (size_t i = 0; i < wanted.size(); ++i) CHECK(got[i].equal(wanted[i]));
    if (memory) CHECK(got[0].data_ptr() == memory);
    memory = got[0].data_ptr();
  }
}

TEST_CASE("a tape refuses what it cannot hold", "[core]") {
  DrawTape tape;
  tape.stream(torch::kCPU).normal({3});
  CHECK_THROWS_AS(tape.stream(torch::kCPU).normal({4}), std::logic_error);
  CHECK_THROWS_AS(tape.stream(torch::kCPU).integers(2, {3}), std::logic_error);
  CHECK_THROWS_AS(tape.stream(torch::kCPU).permutation(3), std::logic_error);
  CHECK_THROWS_AS(tape.stream(torch::kCPU).categorical(torch::ones({1, 2})), std::logic_error);
  CHECK_THROWS_AS(tape.stream(torch::kCPU).clone(), std::logic_error);
  CHECK_THROWS_AS(tape.draw_anew(row_streams(0, 3)), std::logic_error);
}

TEST_CASE("on a GPU streams are functions of their key too, and row streams draw the CPU's values", "[core][cuda]") {
  if (!torch::cuda::is_available()) SKIP("no CUDA device");
  const auto on_gpu = [](uint64_t step) { return Rng::for_batch(7, Purpose::loss, step, 0, torch::kCUDA); };
  CHECK(on_gpu(3).normal({50}).equal(on_gpu(3).normal({50})));
  CHECK_FALSE(on_gpu(3).normal({50}).equal(on_gpu(4).normal({50})));
  CHECK(on_gpu(3).permutation(10).is_cpu());
  const Tensor drawn = on_gpu(1).categorical(torch::tensor({0.0F, 1.0F, 0.0F}).to(torch::kCUDA).expand({50'000, 3}));
  CHECK(drawn.eq(1).all().item<bool>());
  Rng rows = Rng::for_rows(7, Purpose::sample, 2, 4, torch::kCUDA);
  CHECK(rows.normal({4, 9}).cpu().equal(row_streams(2, 4).normal({4, 9})));
}

}  // namespace
}  // namespace genzoo
