#include "models/fused_batch_norm.h"

#include "core/random.h"
#include "models/leaf_gradients.h"
#include "tests/models/relative_error.h"
#include "tests/support.h"

namespace genzoo {
namespace {

Rng stream(uint64_t seed) { return Rng::for_batch(seed, Purpose::initialization, 0); }

struct Norm {
  Tensor x, weight, bias;
  explicit Norm(std::vector<int64_t> size, double mean = 2) {
    x = (3 * stream(1).normal(size) + mean).requires_grad_();
    weight = (1 + 0.3 * stream(2).normal({size[1]})).requires_grad_();
    bias = stream(3).normal({size[1]}).requires_grad_();
  }
  std::vector<Tensor> leaves() const { return {x, weight, bias}; }
  NormalizedBatch fused(double slope) const { return fused_batch_norm(x, weight, bias, 1e-5, slope); }
  NormalizedBatch plain(double slope) const { return plain_batch_norm(x, weight, bias, 1e-5, slope); }
};

constexpr double kSlopes[] = {0, 0.2, 1};

}  // namespace

TEST_CASE("a fused batch norm, its moments and its gradients are the plain one's", "[models][fused]") {
  for (const double slope : kSlopes) {
    for (const auto& size : {std::vector<int64_t>{2, 1}, {7, 5}, {300, 33}, {2, 3, 4, 5}, {9, 64, 8, 8}}) {
      INFO("slope " << slope << " size " << size);
      const Norm norm(size);
      const NormalizedBatch fused = norm.fused(slope), plain = norm.plain(slope);
      CHECK(fused.y.sizes() == plain.y.sizes());
      CHECK(relative_error(fused.y, plain.y) < 1e-5);
      CHECK(relative_error(fused.moments.mean, plain.moments.mean) < 1e-5);
      CHECK(relative_error(fused.moments.variance, plain.moments.variance) < 1e-5);
      const Tensor dy = stream(4).normal(size);
      const auto got = torch::autograd::grad({fused.y}, norm.leaves(), {dy});
      const auto wanted = torch::autograd::grad({plain.y}, norm.leaves(), {dy});
      // Of two values the gradient is nearly zero: compared with the size of dy.
      for (size_t i = 0; i < got.size(); ++i) {
        const double size_of_gradient = wanted[i].abs().max().item<double>();
        CHECK((got[i] - wanted[i]).abs().max().item<double>() < 2e-5 * std::max(1.0, size_of_gradient));
      }
    }
  }
}

TEST_CASE("a large mean does not drown the variance", "[models][fused]") {
  const Norm norm({1000, 3}, /*mean=*/1e4);
  const auto wanted = at::var_mean(norm.x.detach().to(torch::kDouble), {0}, at::Scalar(1));
  const ChannelMoments moments = norm.fused(1).moments;
  CHECK(relative_error(moments.variance.to(torch::kDouble), std::get<0>(wanted)) < 1e-4);
  CHECK(relative_error(moments.mean.to(torch::kDouble), std::get<1>(wanted)) < 1e-6);
}

TEST_CASE("a batch norm adds its gradients in place when asked to", "[models][fused]") {
  const Norm norm({40, 6, 3, 3});
  const Tensor dy = stream(4).normal({40, 6, 3, 3});
  const auto wanted = torch::autograd::grad({norm.plain(0.2).y}, norm.leaves(), {dy});
  std::vector<Tensor> leaves = norm.leaves();
  for (Tensor& leaf : leaves) leaf.mutable_grad() = torch::ones_like(leaf);
  LeafGradients gradients({norm.weight, norm.bias});
  gradients.start();
  {
    const LeafGradients::Scope scope(gradients);
    norm.fused(0.2).y.backward(dy);
  }
  CHECK_THAT(norm.weight.grad(), IsClose(wanted[1], 1e-3));
  CHECK_THAT(norm.bias.grad(), IsClose(wanted[2], 1e-3));
  CHECK_THAT(norm.x.grad(), IsClose(1 + wanted[0], 1e-4));
}

TEST_CASE("a batch norm has gradients of gradients", "[models][fused]") {
  for (const double slope : kSlopes) {
    const Norm norm({6, 4});
    const auto penalty = [&](const Tensor& y) {
      const Tensor dx = torch::autograd::grad({y.square().sum()}, {norm.x}, {}, /*retain_graph=*/true,
                                              /*create_graph=*/true)[0];
      return torch::autograd::grad({dx.square().sum()}, {norm.x, norm.weight});
    };
    const auto got = penalty(norm.fused(slope).y), wanted = penalty(norm.plain(slope).y);
    for (size_t i = 0; i < got.size(); ++i) {
      CHECK((got[i] - wanted[i]).abs().max().item<double>() <
            1e-3 * std::max(1.0, wanted[i].abs().max().item<double>()));
    }
  }
}

TEST_CASE("a batch norm of bfloat16 computes in float32", "[models][fused]") {
  for (const double slope : kSlopes) {
    const Norm norm({16, 20, 4, 4});
    const Tensor x = norm.x.detach().to(torch::kBFloat16).requires_grad_();
    const Tensor wide = x.detach().to(torch::kFloat).requires_grad_();
    const NormalizedBatch fused = fused_batch_norm(x, norm.weight, norm.bias, 1e-5, slope);
    const NormalizedBatch plain = plain_batch_norm(wide, norm.weight, norm.bias, 1e-5, slope);
    CHECK(fused.y.scalar_type() == torch::kBFloat16);
    CHECK(relative_error(fused.y.to(torch::kFloat), plain.y) < 4e-3);
    CHECK(relative_error(fused.moments.variance, plain.moments.variance) < 1e-5);
    const Tensor dy = stream(4).normal({16, 20, 4, 4}).to(torch::kBFloat16);
    const auto got = torch::autograd::grad({fused.y}, {x, norm.weight, norm.bias}, {dy});
    const auto wanted = torch::autograd::grad({plain.y}, {wide, norm.weight, norm.bias}, {dy.to(torch::kFloat)});
    CHECK(relative_error(got[0].to(torch::kFloat), wanted[0]) < 4e-3);
    CHECK(relative_error(got[1], wanted[1]) < 1e-5);
    CHECK(relative_error(got[2], wanted[2]) < 1e-5);
  }
}

}  // namespace genzoo
