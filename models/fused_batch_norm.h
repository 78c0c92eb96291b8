#pragma once
// Batch normalization together with the (leaky) ReLU behind it, as one step of the graph. Ioffe & Szegedy (2015).

#include <torch/types.h>

namespace genzoo {

using torch::Tensor;

/// Moments of each channel, (C) float32.
struct ChannelMoments {
  Tensor mean, variance;  ///< variance: unbiased, as running statistics have it
};

struct NormalizedBatch {
  Tensor y;                ///< like x
  ChannelMoments moments;  ///< of the batch, without a graph
};

/// leaky(norm(x) weight + bias), each channel normalized over the batch and its pixels: x (B, C) or (B, C, H, W);
/// weight, bias (C). leaky(z) is z above 0 and negative_slope z below; 1 for the identity.
///
/// On the CPU in float32 or bfloat16 by this processor's kernels, with float32 parameters and moments; else by
/// LibTorch's operators, plain_batch_norm, and so are gradients of gradients.
NormalizedBatch fused_batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps,
                                 double negative_slope);

/// The same by LibTorch's operators, everywhere.
NormalizedBatch plain_batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps,
                                 double negative_slope);

}  // namespace genzoo
