#include "models/realnvp/fused_coupling.h"

#include "core/bfloat16.h"
#include "models/leaf_gradients.h"
#include "models/realnvp/coupling.h"
#include "tests/models/relative_error.h"
#include "tests/support.h"
#include "trainers/precision.h"

namespace genzoo {
namespace {

Rng stream(uint64_t seed) { return Rng::for_batch(seed, Purpose::initialization, 0); }

struct Layer {
  int64_t changed;
  Tensor x, mask, bound;
  std::vector<LinearParameters> layers;

  /// by_inputs: the first layer's weights of an input lie together, as CouplingMLP has them.
  Layer(int64_t dims, int64_t changed_, bool bounded, int64_t rows = 9, bool by_inputs = false) : changed(changed_) {
    x = stream(1).normal({rows, dims}).requires_grad_();
    mask = checkerboard_mask({dims}, /*flip=*/changed == 1);
    if (bounded) bound = (1 + 0.3 * stream(2).normal({dims})).requires_grad_();
    const int64_t widths[] = {dims, 24, 17, 2 * dims};
    for (size_t i = 0; i < 3; ++i) {
      Tensor weight = stream(10 + i).normal({widths[i + 1], widths[i]}) / std::sqrt(double(widths[i]));
      if (i == 0 && by_inputs) weight = weight.t().contiguous().t();
      layers.push_back({weight.requires_grad_(), stream(20 + i).normal({widths[i + 1]}).requires_grad_()});
    }
  }
  std::vector<Tensor> leaves() const {
    std::vector<Tensor> all{x};
    for (const auto& [weight, bias] : layers) all.insert(all.end(), {weight, bias});
    if (bound.defined()) all.push_back(bound);
    return all;
  }
  Transformed fused() const { return fused_coupling(x, changed, mask, bound, layers); }
  Transformed plain() const { return plain_coupling(x, mask, bound, layers); }
};

Tensor scalar(const Transformed& t) {
  const Tensor weights = stream(3).normal(t.y.sizes());
  return (t.y * weights).sum() + (t.log_det * stream(4).normal(t.log_det.sizes())).sum();
}

}  // namespace

TEST_CASE("a fused coupling and its gradients are the plain one's", "[models][realnvp][fused]") {
  for (const int64_t dims : {2, 3, 16, 33, 70}) {
    for (const int64_t changed : {0, 1}) {
      for (const bool bounded : {false, true}) {
        INFO(dims << " dimensions, changed from " << changed << ", bounded " << bounded);
        for (const bool by_inputs : {false, true}) {
          const Layer layer(dims, changed, bounded, /*rows=*/9, by_inputs);
          const Transformed fused = layer.fused(), plain = layer.plain();
          CHECK(relative_error(fused.y, plain.y) < 1e-5);
          CHECK(relative_error(fused.log_det, plain.log_det) < 1e-5);
          const auto got = torch::autograd::grad({scalar(fused)}, layer.leaves());
          const auto wanted = torch::autograd::grad({scalar(plain)}, layer.leaves());
          for (size_t i = 0; i < got.size(); ++i) {
            INFO("leaf " << i);
            CHECK(relative_error(got[i], wanted[i]) < 1e-5);
            CHECK(got[i].strides() == layer.leaves()[i].strides());
          }
        }
      }
    }
  }
}

TEST_CASE("a fused coupling of many rows is cut into parts", "[models][realnvp][fused]") {
  const Layer layer(16, 1, true, /*rows=*/3000);
  const Transformed fused = layer.fused(), plain = layer.plain();
  CHECK(relative_error(fused.y, plain.y) < 1e-5);
  const auto got = torch::autograd::grad({scalar(fused)}, layer.leaves());
  const auto wanted = torch::autograd::grad({scalar(plain)}, layer.leaves());
  for (size_t i = 0; i < got.size(); ++i) CHECK(relative_error(got[i], wanted[i]) < 2e-5);
}

TEST_CASE("a fused coupling adds its gradients in place when asked to", "[models][realnvp][fused]") {
  const Layer layer(7, 0, true, /*rows=*/9, /*by_inputs=*/GENERATE(false, true));
  const auto wanted = torch::autograd::grad({scalar(layer.plain())}, layer.leaves());
  std::vector<Tensor> leaves = layer.leaves();
  for (Tensor& leaf : leaves) leaf.mutable_grad() = torch::ones_like(leaf);
  {
    LeafGradients gradients(leaves);
    const LeafGradients::Scope scope(gradients);
    scalar(layer.fused()).backward();
  }
  for (size_t i = 0; i < leaves.size(); ++i) CHECK_THAT(leaves[i].grad(), IsClose(1 + wanted[i], 1e-4));
}

TEST_CASE("a fused coupling in bfloat16 is the plain one within its rounding", "[models][realnvp][fused]") {
  if (!has_bfloat16_products()) SKIP("this processor has no products of bfloat16 matrices");
  for (const int64_t changed : {0, 1}) {
    const Layer layer(9, changed, true);
    const Transformed plain = layer.plain();
    const auto wanted = torch::autograd::grad({scalar(plain)}, layer.leaves());
    const Autocast autocast(torch::kCPU, Precision::bfloat16);
    const Transformed fused = layer.fused();
    CHECK(fused.y.scalar_type() == torch::kFloat);
    CHECK(relative_error(fused.y, plain.y) < 1e-2);
    CHECK(relative_error(fused.log_det, plain.log_det) < 2e-2);
    const auto got = torch::autograd::grad({scalar(fused)}, layer.leaves());
    for (size_t i = 0; i < got.size(); ++i) CHECK(relative_error(got[i], wanted[i]) < 6e-2);
  }
}

TEST_CASE("a fused coupling has the plain one's gradients of gradients", "[models][realnvp][fused]") {
  const Layer layer(6, 1, true);
  const auto penalty = [&](const Transformed& t) {
    const Tensor dx =
        torch::autograd::grad({scalar(t)}, {layer.x}, {}, /*retain_graph=*/true, /*create_graph=*/true)[0];
    return torch::autograd::grad({dx.square().sum()}, {layer.x, layer.layers[0].weight, layer.bound});
  };
  const auto got = penalty(layer.fused()), wanted = penalty(layer.plain());
  for (size_t i = 0; i < got.size(); ++i) CHECK(relative_error(got[i], wanted[i]) < 1e-4);
}

TEST_CASE("a flow in float32 gives the densities it gives in double", "[models][realnvp][fused]") {
  Rng init = stream(5);
  const std::vector<int64_t> event{5};
  Coupling layer(event, checkerboard_mask(event, true), /*learned_scale=*/true,
                 CouplingMLP(5, 8, 2, false, init).ptr());
  const Tensor x = stream(6).normal({4, 5});
  const auto [y, log_det] = layer->forward(x);
  CHECK_THAT(layer->inverse(y), IsClose(x, 1e-5));
  layer->to(torch::kDouble);
  const auto [exact_y, exact_log_det] = layer->forward(x.to(torch::kDouble));
  CHECK_THAT(y, IsClose(exact_y, 1e-5));
  CHECK_THAT(log_det, IsClose(exact_log_det, 1e-5));
}

}  // namespace genzoo
