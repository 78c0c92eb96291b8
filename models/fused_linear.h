#pragma once
// A linear layer, its bias and its activation as one step of the graph: fewer passes over memory and fewer operators.

#include "models/linear_pass.h"

namespace genzoo {

/// activation(x W^T + b): x (..., in), weight (out, in), bias (out) or undefined -> (..., out).
///
/// On the CPU in float32, or under autocast to bfloat16, by the kernels of this processor; else, and where gradients of
/// gradients are asked for, by LibTorch's operators: plain_linear.
Tensor fused_linear(const Tensor& x, const Tensor& weight, const Tensor& bias,
                    Activation activation = Activation::none);

/// The same by LibTorch's operators, everywhere.
Tensor plain_linear(const Tensor& x, const Tensor& weight, const Tensor& bias,
                    Activation activation = Activation::none);

}  // namespace genzoo
