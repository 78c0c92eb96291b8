#pragma once
// What a VAE minimizes, from what its examples contribute to it, as one node of the graph.

#include <torch/types.h>

namespace genzoo {

using torch::Tensor;

struct NegativeBound {
  Tensor total;           ///< ()  reconstruction + weight sum_z max(free_bits, mean divergence of z), nats an example
  Tensor reconstruction;  ///< ()  -mean(log_likelihood), without a gradient
  Tensor kl;              ///< ()  the mean divergence, summed over z, without a gradient
};

/// Of log p(x|z) (B) and the divergences of each latent dimension (B, Z): the negative of the bound of Kingma & Welling
/// (2014), eq. (3), with the divergence weighed and, below free_bits nats, not counted (the free bits of Kingma et al.,
/// 2016).
NegativeBound negative_bound(const Tensor& log_likelihood, const Tensor& divergence, double weight, double free_bits);

/// The same by LibTorch's operators: for other types and devices, and to compare with.
NegativeBound plain_negative_bound(const Tensor& log_likelihood, const Tensor& divergence, double weight,
                                   double free_bits);

}  // namespace genzoo
