#pragma once
// Pixels as they are stored, made numbers to compute with.

#include <torch/types.h>

namespace genzoo {

using torch::Tensor;

/// x / divisor + shift in `type`, of x's shape: bytes in one pass over memory, to the bits of LibTorch's operators.
Tensor scaled_pixels(const Tensor& x, double divisor, double shift, torch::ScalarType type);

}  // namespace genzoo
