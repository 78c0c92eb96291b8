#include "models/fused_cross_entropy.h"

#include "core/bfloat16.h"
#include "core/random.h"
#include "models/leaf_gradients.h"
#include "tests/models/relative_error.h"
#include "tests/support.h"
#include "trainers/precision.h"

namespace genzoo {
namespace {

Rng stream(uint64_t seed) { return Rng::for_batch(seed, Purpose::initialization, 0); }

struct Output {
  Tensor h, weight, target;
  Output(std::vector<int64_t> leading, int64_t channels, int64_t classes) {
    std::vector<int64_t> size = leading;
    size.push_back(channels);
    h = stream(1).normal(size).requires_grad_();
    weight = stream(2).normal({classes, channels}).requires_grad_();
    target = (stream(3).uniform(leading) * static_cast<double>(classes)).to(torch::kLong).clamp_max(classes - 1);
  }
};

}  // namespace

TEST_CASE("the fused cross-entropy and its gradients are the plain one's", "[models][fused]") {
  for (const int64_t classes : {1, 2, 7, 65, 10'000}) {
    INFO(classes << " classes");
    const Output o({3, 70}, 9, classes);
    const Tensor fused = linear_cross_entropy(o.h, o.weight, o.target);
    const Tensor plain = plain_linear_cross_entropy(o.h, o.weight, o.target);
    CHECK(fused.item<double>() == Approx(plain.item<double>()).epsilon(1e-5).margin(1e-6));
    // As a part of a larger loss: its gradient is scaled.
    const auto got = torch::autograd::grad({0.3 * fused}, {o.h, o.weight});
    const auto wanted = torch::autograd::grad({0.3 * plain}, {o.h, o.weight});
    for (size_t i = 0; i < got.size(); ++i) CHECK((got[i] - wanted[i]).abs().max().item<double>() < 1e-6);
    for (size_t i = 0; classes > 1 && i < got.size(); ++i) CHECK(relative_error(got[i], wanted[i]) < 1e-5);
    const torch::NoGradGuard no_grad;
    CHECK(linear_cross_entropy(o.h, o.weight, o.target).item<float>() == fused.item<float>());
  }
}

TEST_CASE("large logits neither overflow nor lose the loss", "[models][fused]") {
  Output o({4}, 2, 3);
  const Tensor h = torch::tensor({{300.0F, 0.0F}, {-300.0F, 0.0F}, {1e-3F, 0.0F}, {0.0F, 500.0F}});
  const Tensor weight = torch::tensor({{1.0F, 0.0F}, {-1.0F, 1.0F}, {0.5F, -1.0F}});
  const Tensor target = torch::tensor({0, 0, 1, 2});
  const double plain =
      plain_linear_cross_entropy(h.to(torch::kDouble), weight.to(torch::kDouble), target).item<double>();
  CHECK(linear_cross_entropy(h, weight, target).item<double>() == Approx(plain).epsilon(1e-6));
}

TEST_CASE("the fused cross-entropy refuses a class that is not there", "[models][fused]") {
  const Output o({2}, 3, 5);
  CHECK_THROWS_WITH(linear_cross_entropy(o.h, o.weight, torch::tensor({0, 5})),
                    Catch::Matchers::Contains("class 5 of 5"));
  CHECK_THROWS_WITH(linear_cross_entropy(o.h, o.weight, torch::tensor({-1, 0})),
                    Catch::Matchers::Contains("class -1 of 5"));
}

TEST_CASE("the fused cross-entropy refuses targets that are not one a row", "[models][fused]") {
  const Output o({4}, 3, 5);
  CHECK_THROWS_WITH(linear_cross_entropy(o.h, o.weight, torch::tensor({0, 1, 2})), Catch::Matchers::Contains("[3]"));
}

TEST_CASE("the fused cross-entropy adds its gradients in place when asked to", "[models][fused]") {
  Output o({50}, 6, 11);
  const auto wanted = torch::autograd::grad({plain_linear_cross_entropy(o.h, o.weight, o.target)}, {o.h, o.weight});
  o.weight.mutable_grad() = torch::full_like(o.weight, 99);
  LeafGradients gradients({o.weight});
  gradients.start();
  {
    const LeafGradients::Scope scope(gradients);
    linear_cross_entropy(o.h, o.weight, o.target).backward();
  }
  CHECK_THAT(o.weight.grad(), IsClose(wanted[1], 1e-5));
  CHECK_THAT(o.h.grad(), IsClose(wanted[0], 1e-5));
}

TEST_CASE("the fused cross-entropy has gradients of gradients", "[models][fused]") {
  const Output o({5}, 4, 6);
  const auto penalty = [&](const Tensor& loss) {
    const Tensor dh = torch::autograd::grad({loss}, {o.h}, {}, /*retain_graph=*/true, /*create_graph=*/true)[0];
    return torch::autograd::grad({dh.square().sum()}, {o.h, o.weight});
  };
  const auto got = penalty(linear_cross_entropy(o.h, o.weight, o.target));
  const auto wanted = penalty(plain_linear_cross_entropy(o.h, o.weight, o.target));
  for (size_t i = 0; i < got.size(); ++i) CHECK(relative_error(got[i], wanted[i]) < 1e-4);
}

TEST_CASE("in bfloat16 the cross-entropy is that of unrounded logits", "[models][fused]") {
  if (!has_bfloat16_products()) SKIP("this processor has no products of bfloat16 matrices");
  const auto rounded = [](const Tensor& t) {
    return t.detach().to(torch::kBFloat16).to(torch::kFloat).requires_grad_();
  };
  const Output o({2000}, 16, 5000);  // several pieces
  const Tensor h = rounded(o.h), weight = rounded(o.weight);
  const Tensor plain = plain_linear_cross_entropy(h, weight, o.target);
  const auto wanted = torch::autograd::grad({plain}, {h, weight});
  const Autocast autocast(torch::kCPU, Precision::bfloat16);
  const Tensor fused = linear_cross_entropy(o.h, o.weight, o.target);
  CHECK(fused.item<double>() == Approx(plain.item<double>()).epsilon(1e-5));
  const auto got = torch::autograd::grad({fused}, {o.h, o.weight});
  for (size_t i = 0; i < got.size(); ++i) CHECK(relative_error(got[i], wanted[i]) < 1e-2);
}

}  // namespace genzoo
