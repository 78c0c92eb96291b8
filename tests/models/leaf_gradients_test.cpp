#include "models/leaf_gradients.h"

#include "models/fused_linear.h"
#include "tests/support.h"

namespace genzoo {
namespace {

/// Leaves whose gradients hold what an update before this one left there.
std::vector<Tensor> stale_leaves() {
  std::vector<Tensor> leaves;
  for (const double value : {1.0, 2.0, 3.0}) {
    Tensor leaf = torch::full({4, 4}, value).requires_grad_();
    leaf.mutable_grad() = torch::full({4, 4}, 99.0);
    leaves.push_back(leaf);
  }
  return leaves;
}

}  // namespace

TEST_CASE("gradients start at zero, whoever adds to them, and whether anybody does", "[models][leaf_gradients]") {
  const std::vector<Tensor> leaves = stale_leaves();
  LeafGradients gradients(leaves);
  const Tensor x = torch::ones({2, 4});
  for (int update = 0; update < 3; ++update) {
    gradients.start();
    for (int part = 0; part < 2; ++part) {
      const LeafGradients::Scope scope(gradients);
      (fused_linear(x, leaves[0], /*bias=*/{}).sum() + (3 * leaves[1]).sum()).backward();
    }
    gradients.finish();
    CHECK(leaves[0].grad().equal(torch::full({4, 4}, 4.0)));  // by the layer: two rows, two parts
    CHECK(leaves[1].grad().equal(torch::full({4, 4}, 6.0)));  // by autograd
    CHECK(leaves[2].grad().equal(torch::zeros({4, 4})));      // by nobody
  }
}

TEST_CASE("a leaf that layers and autograd add to has the sum of both", "[models][leaf_gradients]") {
  const std::vector<Tensor> leaves = stale_leaves();
  LeafGradients gradients(leaves);
  const Tensor x = torch::ones({2, 4});
  for (const bool layer_last : {false, true}) {
    gradients.start();
    const LeafGradients::Scope scope(gradients);
    const auto by_layer = [&] { fused_linear(x, leaves[0], /*bias=*/{}).sum().backward(); };
    if (!layer_last) by_layer();
    (5 * leaves[0]).sum().backward();
    if (layer_last) by_layer();
    gradients.finish();
    CHECK(leaves[0].grad().equal(torch::full({4, 4}, 7.0)));
  }
}

TEST_CASE("the gradient of a leaf that was frozen at first starts at zero, too", "[models][leaf_gradients]") {
  std::vector<Tensor> leaves = stale_leaves();
  leaves[0].set_requires_grad(false);
  LeafGradients gradients(leaves);
  leaves[0].set_requires_grad(true);
  for (int update = 0; update < 2; ++update) {
    gradients.start();
    (5 * leaves[0]).sum().backward();
    gradients.finish();
    CHECK(leaves[0].grad().equal(torch::full({4, 4}, 5.0)));
  }
}

TEST_CASE("without a start gradients are added to what is there", "[models][leaf_gradients]") {
  const std::vector<Tensor> leaves = stale_leaves();
  LeafGradients gradients(leaves);
  const LeafGradients::Scope scope(gradients);
  fused_linear(torch::ones({2, 4}), leaves[0], /*bias=*/{}).sum().backward();
  CHECK(leaves[0].grad().equal(torch::full({4, 4}, 101.0)));
}

TEST_CASE("the innermost scope's leaves are found, and no others", "[models][leaf_gradients]") {
  const std::vector<Tensor> leaves = stale_leaves();
  LeafGradients first({leaves[0]}), second({leaves[1]});
  const LeafGradients::Scope outer(first);
  {
    const LeafGradients::Scope inner(second);
    CHECK(LeafGradients::at(leaves[0]) == nullptr);
    CHECK(LeafGradients::at(leaves[1]) != nullptr);
  }
  CHECK(LeafGradients::at(leaves[0]) != nullptr);
  CHECK(LeafGradients::at(leaves[1]) == nullptr);
}

}  // namespace genzoo
