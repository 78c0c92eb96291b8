#pragma once
// A linear layer, its bias and its activation as one step of the graph: fewer passes over memory and fewer operators.

#include "models/linear_pass.h"

namespace genzoo {

/// What the result of a layer is when its products are computed in bfloat16.
enum class Result {
  as_products,  ///< bfloat16, as LibTorch's autocast has it
  float32,      ///< the sums of the products unrounded: what is added to a residual stream in float32
};

/// activation(x W^T + b): x (..., in), weight (out, in), bias (out) or undefined -> (..., out).
///
/// On the CPU in float32, or under autocast to bfloat16 where the processor has such products, by the kernels of this
/// processor; else, and where gradients of gradients are asked for, by LibTorch's operators: plain_linear.
Tensor fused_linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Activation activation = Activation::none,
                    Result result = Result::as_products);

/// The same by LibTorch's operators, everywhere.
Tensor plain_linear(const Tensor& x, const Tensor& weight, const Tensor& bias,
                    Activation activation = Activation::none);

/// Whether autocast asks for bfloat16 on the CPU and this processor has the products.
bool computes_in_bfloat16();

}  // namespace genzoo
