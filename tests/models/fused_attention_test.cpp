#include "models/transformer/fused_attention.h"

#include <ATen/Parallel.h>

#include <string>
#include <vector>

#include "core/kernels/kernels.h"
#include "core/random.h"
#include "models/transformer/attention.h"
#include "tests/models/relative_error.h"
#include "tests/support.h"

namespace genzoo {
namespace {

Rng stream(uint64_t seed) { return Rng::for_batch(seed, Purpose::initialization, 0); }

struct Size {
  int64_t batch, tokens, heads, channels;
};

struct Example {
  Tensor qkv, dy;
  PositionTable positions;
  int64_t heads;

  Example(const Size& s, bool rotary, torch::ScalarType type = torch::kFloat) : heads(s.heads) {
    qkv = (2 * stream(1).normal({s.batch, s.tokens, 3 * s.heads * s.channels})).to(type).requires_grad_();
    dy = stream(2).normal({s.batch, s.tokens, s.heads * s.channels}).to(type);
    if (rotary) positions = rotary_positions(s.tokens, s.channels, torch::kFloat);
  }
  Tensor fused() const { return fused_causal_attention(qkv, heads, positions); }
  Tensor plain() const { return plain_causal_attention(qkv, heads, positions); }
  Tensor gradient(const Tensor& y) const { return torch::autograd::grad({y}, {qkv}, {dy})[0]; }
};

bool is_fused(const Tensor& y) { return y.grad_fn()->name().find("FusedCausalAttention") != std::string::npos; }

/// Elsewhere there is nothing fused to compare.
bool has_kernels() { return &kernels() != &kernels_plain::kTable; }

constexpr Size kSizes[] = {{1, 1, 1, 2},   {3, 9, 2, 6},    {2, 64, 4, 32},
                           {2, 65, 1, 10}, {1, 256, 3, 64}, {1, 300, 2, 100}};

}  // namespace

TEST_CASE("fused causal attention and its gradient are the plain one's", "[models][fused][attention]") {
  for (const Size& s : kSizes) {
    for (const bool rotary : {false, true}) {
      CAPTURE(s.batch, s.tokens, s.heads, s.channels, rotary);
      const Example example(s, rotary);
      const Tensor fused = example.fused(), plain = example.plain();
      CHECK(is_fused(fused) == has_kernels());
      CHECK_FALSE(is_fused(plain));
      CHECK(relative_error(fused, plain) < 1e-5);
      CHECK(relative_error(example.gradient(fused), example.gradient(plain)) < 1e-5);
      const torch::NoGradGuard no_grad;
      CHECK(example.fused().equal(fused));
    }
  }
}

TEST_CASE("fused causal attention of bfloat16 is double precision's but for roundings", "[models][fused][attention]") {
  if (!has_kernels()) SKIP("LibTorch's attention has roundings of its own");
  for (const bool rotary : {false, true}) {
    CAPTURE(rotary);
    const Size size{2, 100, 2, 16};
    const Example rounded(size, rotary, torch::kBFloat16);
    const Tensor y = rounded.fused();
    CHECK(is_fused(y));
    CHECK(y.scalar_type() == torch::kBFloat16);
    Example exact(size, rotary);
    exact.qkv = rounded.qkv.detach().to(torch::kDouble).requires_grad_();
    exact.dy = rounded.dy.to(torch::kDouble);
    if (rotary) exact.positions = rotary_positions(size.tokens, size.channels, torch::kDouble);
    const Tensor wanted = exact.fused();
    CHECK_FALSE(is_fused(wanted));  // double is LibTorch's
    CHECK(relative_error(y.to(torch::kDouble), wanted) < 4e-3);
    CHECK(relative_error(rounded.gradient(y).to(torch::kDouble), exact.gradient(wanted)) < 1e-2);
  }
}

TEST_CASE("fused causal attention of bfloat16 errs no more than LibTorch's", "[models][fused][attention]") {
  if (!has_kernels()) SKIP("it is LibTorch's");
  for (const Size& s : {Size{2, 256, 3, 64}, Size{1, 101, 2, 30}}) {
    CAPTURE(s.tokens, s.channels);
    const Example rounded(s, /*rotary=*/false, torch::kBFloat16);
    Example exact(s, /*rotary=*/false);
    exact.qkv = rounded.qkv.detach().to(torch::kDouble).requires_grad_();
    exact.dy = rounded.dy.to(torch::kDouble);
    const Tensor wanted = exact.plain(), wanted_gradient = exact.gradient(wanted);
    const Heads heads = heads_of(rounded.qkv, s.heads, {});
    const Tensor theirs = at::scaled_dot_product_attention(heads.q, heads.k, heads.v, {}, /*dropout_p=*/0.0,
                                                           /*is_causal=*/true)
                              .transpose(1, 2)
                              .flatten(2);
    const auto error = [](const Tensor& got, const Tensor& exactly) {
      return (got.to(torch::kDouble) - exactly).square().mean().sqrt().item<double>();
    };
    const Tensor ours = rounded.fused();
    const Tensor gradient = rounded.gradient(ours), their_gradient = rounded.gradient(theirs);
    CHECK(error(ours, wanted) < 1.02 * error(theirs, wanted));
    CHECK(error(gradient, wanted_gradient) < 1.02 * error(their_gradient, wanted_gradient));
  }
}

TEST_CASE("fused causal attention has gradients of gradients", "[models][fused][attention]") {
  if (!has_kernels()) SKIP("LibTorch's attention has none");
  for (const bool rotary : {false, true}) {
    CAPTURE(rotary);
    Example example({2, 7, 2, 4}, rotary);
    const auto penalty = [&](const Tensor& y) {
      const Tensor d = torch::autograd::grad({y}, {example.qkv}, {example.dy}, /*retain_graph=*/true,
                                             /*create_graph=*/true)[0];
      return torch::autograd::grad({d.square().sum()}, {example.qkv})[0];
    };
    const Tensor got = penalty(example.fused());
    example.qkv = example.qkv.detach().to(torch::kDouble).requires_grad_();
    example.dy = example.dy.to(torch::kDouble);
    if (rotary) example.positions = rotary_positions(7, 4, torch::kDouble);
    const auto heads = heads_of(example.qkv, 2, example.positions);
    const Tensor y = attend_by_steps(heads.q, heads.k, heads.v, /*sight=*/{}, /*dropout=*/{});
    CHECK(relative_error(got.to(torch::kDouble), penalty(y.transpose(1, 2).flatten(2))) < 1e-5);
  }
}

TEST_CASE("fused causal attention sees no token behind, to the bit", "[models][fused][attention]") {
  const int64_t T = 150;
  for (const auto type : {torch::kFloat, torch::kBFloat16}) {
    CAPTURE(type);
    if (type == torch::kBFloat16 && !has_kernels()) continue;
    const Example example({1, T, 2, 24}, /*rotary=*/type == torch::kFloat, type);
    const Tensor y = example.fused();
    for (const int64_t t : {int64_t{0}, int64_t{63}, int64_t{64}, int64_t{100}, T - 2}) {
      CAPTURE(t);
      const torch::NoGradGuard no_grad;
      const Tensor changed = example.qkv.clone();
      changed.narrow(1, t + 1, T - t - 1).mul_(100);
      CHECK(fused_causal_attention(changed, 2, example.positions).narrow(1, 0, t + 1).equal(y.narrow(1, 0, t + 1)));
    }
    Tensor dy = torch::zeros_like(y);
    dy.narrow(1, 0, 70).fill_(1);
    const Tensor d = torch::autograd::grad({y}, {example.qkv}, {dy})[0];
    CHECK(d.narrow(1, 70, T - 70).eq(0).all().item<bool>());
    CHECK(d.narrow(1, 0, 70).ne(0).any(2).all().item<bool>());
  }
}

TEST_CASE("the number of threads does not change a bit of attention", "[models][fused][attention]") {
  const Example example({3, 80, 2, 20}, /*rotary=*/false);
  const int threads = at::get_num_threads();
  std::vector<Tensor> results;
  for (const int n : {1, 4}) {
    at::set_num_threads(n);
    const Tensor y = example.fused();
    results.push_back(torch::cat({y, example.gradient(y)}, 2).detach());
  }
  at::set_num_threads(threads);
  CHECK(results[0].equal(results[1]));
}

TEST_CASE("attention refuses what is not queries, keys and values", "[models][fused][attention]") {
  CHECK_THROWS_AS(fused_causal_attention(torch::zeros({2, 3, 8}), 2, {}), c10::Error);
  CHECK(fused_causal_attention(torch::zeros({0, 3, 12}), 2, {}).sizes() == at::IntArrayRef({0, 3, 4}));
}

}  // namespace genzoo
