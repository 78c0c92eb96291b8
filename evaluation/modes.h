#pragma once
// Which modes of a mixture of separate Gaussians a generator found (Srivastava et al., VEEGAN, 2017, sec. 4.1).

#include <cstdint>
#include <optional>

#include "data/dataset.h"

namespace genzoo {

/// How far from its nearest center, in standard deviations of the mode, a sample of high quality may be. In two
/// dimensions the mixture's own samples are of high quality with probability 1 - exp(-3^2 / 2) = 0.9889.
inline constexpr double kHighQualityDeviations = 3.0;

/// Every sample belongs to the mode whose center is nearest.
struct ModeMetrics {
  int64_t modes = 0;          ///< there are
  int64_t covered = 0;        ///< modes to which at least one sample of high quality belongs
  double high_quality = 0.0;  ///< share of samples of high quality

  /// sum_m q_m log(q_m / w_m), nats: q the shares of the samples of high quality that belong to each mode, w the
  /// mixture's weights. 0: the modes occur as often as they should; all samples in one of M equal modes: log M.
  /// Nothing when no sample is of high quality.
  std::optional<double> reverse_kl;
};

/// Of samples (N, D), N > 0. Throws std::logic_error when D is not that of the centers, RunError for samples that are
/// not finite.
ModeMetrics mode_metrics(const Tensor& samples, const Modes& modes);

}  // namespace genzoo
