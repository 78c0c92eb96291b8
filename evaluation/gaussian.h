#pragma once
// A Gaussian with full covariance, fitted to examples.

#include <torch/types.h>

#include <cstdint>

namespace genzoo {

using torch::Tensor;

/// Mean and covariance of N examples with F features, float64 on the CPU.
struct GaussianMoments {
  Tensor mean;        ///< (F)
  Tensor covariance;  ///< (F, F), unbiased (divided by N - 1), as numpy.cov
  int64_t count = 0;  ///< N

  /// Of features (N, F) of any type and device, added up in double, some rows at a time: beside the features it takes
  /// the memory of the covariance and of 1024 rows. The covariance has full rank only when N > F. Throws UsageError for
  /// fewer than 2 examples, RunError for features that are not finite.
  static GaussianMoments of(const Tensor& features);

  /// log N(x; mean, covariance) (B) float64, nats, of x (B, F). Throws RunError when the covariance is not positive
  /// definite: a feature is constant, or a sum of others, or N <= F.
  Tensor log_density(const Tensor& x) const;
};

/// Throws UsageError unless count > features. From fewer examples the covariance lacks directions, and what is computed
/// from it measures their number; the message says how many are needed.
void require_samples_for_covariance(int64_t count, int64_t features);

}  // namespace genzoo
