#pragma once
// A draw from the Gaussian that a network describes, and its divergence from the prior, as one node of the graph.

#include <torch/types.h>

namespace genzoo {

using torch::Tensor;

struct GaussianDraw {
  Tensor z;           ///< (B, Z)  mean + std noise: gradients flow to mean and std
  Tensor divergence;  ///< (B, Z)  KL(N(mean, std^2) || N(0, 1)) of each dimension, nats
};

/// Of moments (B, 2 Z), the means and behind them log(std^2), and noise (B, Z) from N(0, I), of which there is no
/// gradient. Kingma & Welling (2014), section 2.4 and appendix B.
GaussianDraw draw_gaussian(const Tensor& moments, const Tensor& noise);

/// The same by LibTorch's operators: for other types and devices, for gradients of gradients, and to compare with.
GaussianDraw plain_draw_gaussian(const Tensor& moments, const Tensor& noise);

}  // namespace genzoo
