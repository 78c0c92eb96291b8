#pragma once
// A whole coupling layer of vectors as one node of the graph: mask, network, bounded scale, affine map,
// log-determinant.

#include <vector>

#include "models/realnvp/flow_layer.h"

namespace genzoo {

/// One linear layer's parameters: (out, in), (out).
struct LinearParameters {
  Tensor weight, bias;
};

/// The coupling of vectors x (B, D) whose dimensions `changed`, changed + 2, ... change (changed: 0 or 1), by ReLU
/// layers that end in the D raw scales and then the D translations. bound (D), or undefined: 1. See CouplingImpl.
///
/// Only what changes is computed of the last layer, and only what does not change is seen by the first; there are two
/// layers at least. On the CPU in float32, else not to be called: fits_fused_coupling.
Transformed fused_coupling(const Tensor& x, int64_t changed, const Tensor& mask, const Tensor& bound,
                           const std::vector<LinearParameters>& layers);

/// The same by LibTorch's operators, everywhere.
Transformed plain_coupling(const Tensor& x, const Tensor& mask, const Tensor& bound,
                           const std::vector<LinearParameters>& layers);

bool fits_fused_coupling(const Tensor& x);

}  // namespace genzoo
