#pragma once
// Rows of a table whose gradients go straight into the table's.

#include <torch/types.h>

namespace genzoo {

using torch::Tensor;

/// weight[index]: weight (count, C), index (...) int64 -> (..., C). LibTorch's gradient is a table of its own, of zeros
/// but for the rows that were looked up, which autograd then adds to another; here, where the table's LeafGradients are
/// collected on the CPU in float32, the rows are added to them.
Tensor embed(const Tensor& weight, const Tensor& index);

}  // namespace genzoo
