#pragma once
// Convolutions that halve or double an image, with the bias and the (leaky) ReLU behind them as one step of the graph.

#include <torch/types.h>

#include "models/convolution_pass.h"

namespace genzoo {

/// leaky(conv(x) + bias) with a 4x4 kernel, stride 2 and padding 1, or with the transpose of that convolution; leaky(z)
/// is z above 0 and negative_slope z below, 1 for the identity.
///
/// To coarse: x (B, C, H, W), weight (out, C, 4, 4) -> (B, out, H / 2, W / 2), rounded down. To fine: x (B, C, H, W),
/// weight (C, out, 4, 4) -> (B, out, 2 H, 2 W). bias (out) or undefined; results channels last.
///
/// On the CPU in float32, and under autocast to bfloat16, whose result is bfloat16, by this processor's kernels where
/// the channels fit them (ConvolutionPass::fits); else, and so gradients of gradients, by LibTorch's operators:
/// plain_convolution. In bfloat16 x is rounded, and what the kernels make of x and the weights in float32 is, once.
Tensor fused_convolution(const Tensor& x, const Tensor& weight, const Tensor& bias, Direction direction,
                         double negative_slope);

/// The same by LibTorch's operators, everywhere.
Tensor plain_convolution(const Tensor& x, const Tensor& weight, const Tensor& bias, Direction direction,
                         double negative_slope);

}  // namespace genzoo
