#pragma once
// What fused nodes of the graph fall back on where gradients are to have gradients themselves.

#include <torch/types.h>

#include <vector>

namespace genzoo {

using torch::Tensor;

/// The gradients of `outputs`, given theirs, with respect to `inputs`, differentiable in turn: each in its input's
/// place, undefined where that is undefined, wants none, or has no part in the outputs.
std::vector<Tensor> gradients_with_graph(const std::vector<Tensor>& outputs, const std::vector<Tensor>& gradients,
                                         const std::vector<Tensor>& inputs);

}  // namespace genzoo
