#pragma once
// Distributions as values: parameters in, log-probabilities out. log_prob sums over every dimension but the first,
// the batch: (B), nats. Draws come from an explicit Rng.

#include <torch/types.h>

#include "core/random.h"

namespace genzoo {

using torch::Tensor;

/// N(mean, diag(exp(log_std))^2).
struct DiagNormal {
  Tensor mean;     ///< (B, ...)
  Tensor log_std;  ///< (B, ...) or broadcastable to it

  Tensor rsample(Rng& rng) const;          ///< reparameterized: gradients flow to mean and log_std. (B, ...)
  Tensor log_prob(const Tensor& x) const;  ///< (B)
};

/// log N(x; 0, I). (B)
Tensor standard_normal_log_prob(const Tensor& x);

/// KL(q || N(0, I)) in closed form, elementwise: (B, ...); sum it over the latent for the KL of the example.
/// Kingma & Welling (2014), appendix B.
Tensor kl_to_standard_normal(const DiagNormal& q);

/// Independent bits with the given logits.
struct Bernoulli {
  Tensor logits;  ///< (B, ...)

  Tensor mean() const { return logits.sigmoid(); }
  Tensor sample(Rng& rng) const;           ///< 0 or 1 in the logits' dtype. (B, ...)
  Tensor log_prob(const Tensor& x) const;  ///< x in [0, 1]; a log-probability only when x is 0 or 1. (B)
};

/// A logistic distribution cut into `levels` bins of equal width over [-1, 1], the outermost bins taking the tails:
/// the likelihood of integer pixels. Salimans et al. (2017), eq. (2), one component.
struct DiscretizedLogistic {
  Tensor mean;       ///< (B, ...), on the scale where the pixels span [-1, 1]
  Tensor log_scale;  ///< (B, ...) or broadcastable
  int64_t levels = 256;

  Tensor sample(Rng& rng) const;               ///< integers 0 ... levels - 1 as float. (B, ...)
  Tensor mean_level() const;                   ///< the level nearest to the mean, as float. (B, ...)
  Tensor log_prob(const Tensor& level) const;  ///< level: integers 0 ... levels - 1, any dtype. (B)
};

/// log of the mean of exp over dimension `dim`.
Tensor log_mean_exp(const Tensor& x, int64_t dim);

}  // namespace genzoo
