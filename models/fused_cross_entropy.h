#pragma once
// The last layer of a classifier over many classes and its loss as one step of the graph, whose logits become their own
// gradient: they are never held twice.

#include <torch/types.h>

namespace genzoo {

using torch::Tensor;

/// Mean over rows of -log softmax(h W^T)[target], nats: h (..., C), weight (V, C), target int64 in h's leading sizes ->
/// (), float32.
///
/// On the CPU in float32, or with products in bfloat16 (computes_in_bfloat16), by this processor's kernels; else, and
/// where gradients of gradients are asked for, by LibTorch's operators.
Tensor linear_cross_entropy(const Tensor& h, const Tensor& weight, const Tensor& target);

/// The same by LibTorch's operators, everywhere; in double for double.
Tensor plain_linear_cross_entropy(const Tensor& h, const Tensor& weight, const Tensor& target);

}  // namespace genzoo
