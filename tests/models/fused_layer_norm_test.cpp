#include "models/fused_layer_norm.h"

#include "core/bfloat16.h"
#include "core/random.h"
#include "models/leaf_gradients.h"
#include "tests/models/relative_error.h"
#include "tests/support.h"
#include "trainers/precision.h"

namespace genzoo {
namespace {

Rng stream(uint64_t seed) { return Rng::for_batch(seed, Purpose::initialization, 0); }

struct Norm {
  Tensor x, update, weight, bias;
  Norm(std::vector<int64_t> size, bool with_update, bool with_bias) {
    x = (3 * stream(1).normal(size) + 5).requires_grad_();
    if (with_update) update = stream(2).normal(size).requires_grad_();
    weight = (1 + 0.1 * stream(3).normal({size.back()})).requires_grad_();
    if (with_bias) bias = stream(4).normal({size.back()}).requires_grad_();
  }
  std::vector<Tensor> leaves() const {
    std::vector<Tensor> all{x, weight};
    if (update.defined()) all.push_back(update);
    if (bias.defined()) all.push_back(bias);
    return all;
  }
  NormalizedSum fused() const { return fused_layer_norm(x, update, weight, bias, 1e-5); }
  NormalizedSum plain() const { return plain_layer_norm(x, update, weight, bias, 1e-5); }
};

/// A number that depends on the norm and on the sum, each in a way of its own.
Tensor scalar(const NormalizedSum& made) {
  const Tensor a = stream(7).normal(made.sum.sizes()), b = stream(8).normal(made.sum.sizes());
  return (made.normalized.to(torch::kFloat) * a).sum() + (made.sum * b).sin().sum();
}

}  // namespace

TEST_CASE("a fused layer norm, its sum and its gradients are the plain one's", "[models][fused]") {
  for (const bool with_update : {false, true}) {
    for (const bool with_bias : {false, true}) {
      for (const auto& size : {std::vector<int64_t>{3, 5}, {2, 70, 33}, {300, 64}}) {
        INFO("update " << with_update << " bias " << with_bias << " size " << size);
        const Norm norm(size, with_update, with_bias);
        const NormalizedSum fused = norm.fused(), plain = norm.plain();
        CHECK(relative_error(fused.sum, plain.sum) < 1e-6);
        CHECK(relative_error(fused.normalized, plain.normalized) < 1e-5);
        const auto got = torch::autograd::grad({scalar(fused)}, norm.leaves());
        const auto wanted = torch::autograd::grad({scalar(plain)}, norm.leaves());
        for (size_t i = 0; i < got.size(); ++i) CHECK(relative_error(got[i], wanted[i]) < 1e-5);
        const torch::NoGradGuard no_grad;
        CHECK(fused.normalized.equal(norm.fused().normalized));
      }
    }
  }
}

TEST_CASE("a layer norm's sum that nobody else reads has the norm's gradient alone", "[models][fused]") {
  const Norm norm({6, 8}, true, true);
  const Tensor a = stream(7).normal({6, 8});
  const auto got = torch::autograd::grad({(norm.fused().normalized * a).sum()}, norm.leaves());
  const auto wanted = torch::autograd::grad({(norm.plain().normalized * a).sum()}, norm.leaves());
  for (size_t i = 0; i < got.size(); ++i) CHECK(relative_error(got[i], wanted[i]) < 1e-5);
  // And one whose norm nobody reads the sum's.
  const auto of_sum = torch::autograd::grad({norm.fused().sum.square().sum()}, {norm.x, norm.update});
  CHECK_THAT(of_sum[0], IsClose(2 * (norm.x + norm.update), 1e-5));
  CHECK(of_sum[0].equal(of_sum[1]));
}

TEST_CASE("a layer norm adds its gradients in place when asked to", "[models][fused]") {
  const Norm norm({100, 12}, true, true);
  const auto wanted = torch::autograd::grad({scalar(norm.plain())}, norm.leaves());
  std::vector<Tensor> leaves = norm.leaves();
  for (Tensor& leaf : leaves) leaf.mutable_grad() = torch::ones_like(leaf);
  LeafGradients gradients(leaves);
  const LeafGradients::Scope scope(gradients);
  scalar(norm.fused()).backward();
  for (size_t i = 0; i < leaves.size(); ++i) CHECK_THAT(leaves[i].grad(), IsClose(1 + wanted[i], 1e-4));
}

TEST_CASE("a layer norm has gradients of gradients", "[models][fused]") {
  for (const bool with_update : {false, true}) {
    const Norm norm({5, 7}, with_update, true);
    const auto penalty = [&](const NormalizedSum& made) {
      const Tensor dx =
          torch::autograd::grad({scalar(made)}, {norm.x}, {}, /*retain_graph=*/true, /*create_graph=*/true)[0];
      return torch::autograd::grad({dx.square().sum()}, {norm.x, norm.weight});
    };
    const auto got = penalty(norm.fused()), wanted = penalty(norm.plain());
    for (size_t i = 0; i < got.size(); ++i) CHECK(relative_error(got[i], wanted[i]) < 1e-4);
  }
}

TEST_CASE("under autocast a layer norm gives factors of products, from float32 sums", "[models][fused]") {
  if (!has_bfloat16_products()) SKIP("this processor has no products of bfloat16 matrices");
  const Norm norm({40, 30}, true, true);
  const NormalizedSum plain = norm.plain();
  const auto wanted = torch::autograd::grad({scalar(plain)}, norm.leaves());
  const Autocast autocast(torch::kCPU, Precision::bfloat16);
  const NormalizedSum fused = norm.fused();
  CHECK(fused.normalized.scalar_type() == torch::kBFloat16);
  CHECK(fused.sum.scalar_type() == torch::kFloat);
  CHECK(relative_error(fused.normalized.to(torch::kFloat), plain.normalized) < 4e-3);
  const auto got = torch::autograd::grad({scalar(fused)}, norm.leaves());
  for (size_t i = 0; i < got.size(); ++i) CHECK(relative_error(got[i], wanted[i]) < 1e-2);
}

}  // namespace genzoo
