#include "models/fused_embedding.h"

#include "core/random.h"
#include "models/leaf_gradients.h"
#include "tests/support.h"

namespace genzoo {
namespace {

Rng stream(uint64_t seed) { return Rng::for_batch(seed, Purpose::initialization, 0); }

struct Lookup {
  Tensor weight = stream(1).normal({9, 37}).requires_grad_();
  Tensor index = stream(2).integers(9, {60, 30});  // many times the same
  Tensor dy = stream(3).normal({60, 30, 37});
  Tensor wanted() const { return torch::autograd::grad({at::embedding(weight, index)}, {weight}, {dy})[0]; }
};

}  // namespace

TEST_CASE("looked up rows and their gradient are LibTorch's", "[models][fused]") {
  const Lookup lookup;
  const Tensor y = embed(lookup.weight, lookup.index);
  CHECK(y.equal(at::embedding(lookup.weight, lookup.index)));
  CHECK(torch::autograd::grad({y}, {lookup.weight}, {lookup.dy})[0].equal(lookup.wanted()));
}

TEST_CASE("gradients of looked up rows are added where they are collected", "[models][fused]") {
  Lookup lookup;
  lookup.weight.mutable_grad() = torch::full_like(lookup.weight, 99);
  LeafGradients gradients({lookup.weight});
  gradients.start();
  {
    const LeafGradients::Scope scope(gradients);
    for (int twice = 0; twice < 2; ++twice) embed(lookup.weight, lookup.index).backward(lookup.dy);
  }
  CHECK_THAT(lookup.weight.grad(), IsClose(2 * lookup.wanted(), 1e-4));
}

TEST_CASE("looked up rows have gradients of gradients", "[models][fused]") {
  const Lookup lookup;
  const auto penalty = [&](const Tensor& y) {
    const Tensor dw =
        torch::autograd::grad({y.pow(3).sum()}, {lookup.weight}, {}, /*retain_graph=*/true, /*create_graph=*/true)[0];
    return torch::autograd::grad({dw.square().sum()}, {lookup.weight})[0];
  };
  const Tensor wanted = penalty(at::embedding(lookup.weight, lookup.index));
  const Tensor got = penalty(embed(lookup.weight, lookup.index));
  CHECK(((got - wanted).abs().max() / wanted.abs().max()).item<double>() < 1e-5);
}

}  // namespace genzoo
