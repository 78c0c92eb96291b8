#pragma once
// Layer normalization together with the sum before it, as one step of the graph. Ba et al. (2016).

#include <torch/types.h>

#include "models/fused_linear.h"

namespace genzoo {

using torch::Tensor;

struct NormalizedSum {
  Tensor sum;         ///< (..., C)
  Tensor normalized;  ///< (..., C)
};

/// sum = x + update, normalized = norm(sum) weight + bias over the last dimension: x, update (..., C); update may be
/// undefined, then sum is x. weight (C), bias (C) or undefined.
///
/// On the CPU in float32 by this processor's kernels; normalized is bfloat16 where autocast computes in it
/// (computes_in_bfloat16), for a product is what it is made for, unless `result` asks for float32. Else by LibTorch's
/// operators, plain_layer_norm, and so are gradients of gradients.
NormalizedSum fused_layer_norm(const Tensor& x, const Tensor& update, const Tensor& weight, const Tensor& bias,
                               double eps, Result result = Result::as_products);

/// The same by LibTorch's operators, everywhere.
NormalizedSum plain_layer_norm(const Tensor& x, const Tensor& update, const Tensor& weight, const Tensor& bias,
                               double eps);

}  // namespace genzoo
