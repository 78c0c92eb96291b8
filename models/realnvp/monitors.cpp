// Whether a flow can be inverted in floating point. On paper every coupling can; a scale near zero loses digits that
// its inverse blows up again, and then neither samples nor densities mean what they say (Behrmann et al., 2021,
// "Understanding and mitigating exploding inverses in invertible neural networks").

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "models/realnvp/realnvp.h"

namespace genzoo {
namespace {

/// An error of the inverse from which the flow is called not invertible. Levels: half of one, beyond which
/// decode(encode(x)) can be another example. Real numbers: a hundredth of the data's standard deviation. Rounding in
/// float32 makes 1e-3 of a level, and 1e-5 of a standard deviation.
constexpr double kWorstLevel = 0.5;
constexpr double kWorstShare = 0.01;

}  // namespace

std::vector<Monitor> RealNVPImpl::monitors(const Batch& batch, Rng& /*rng*/) {
  const EvalMode evaluating(*this);
  const int64_t n = batch.size();
  const Tensor x = discrete() ? real(batch.x) + 0.5 : real(batch.x);  // as encode_latent has it
  const auto [z, log_det] = forward(x);
  double error = (inverse(z) - x).abs().max().item<double>();
  if (!discrete()) error /= std::max(x.std().item<double>(), 1e-12);
  const double worst = discrete() ? kWorstLevel : kWorstShare;
  const bool broken = !(error <= worst);  // NaN as well

  const Tensor stretch = log_det.to(at::kCPU, at::kDouble) / static_cast<double>(data_.dims());
  const double low = stretch.min().item<double>(), high = stretch.max().item<double>();
  return {{.name = "inversion_error",
           .value = error,
           .unit = discrete() ? "levels" : "standard deviations",
           .warning =
               broken ? fmt::format("the flow is not invertible in float32: decoding what it encoded is off by {:.2g} "
                                    "{}; try a lower lr, clip_norm or fewer couplings",
                                    error, discrete() ? "levels" : "of the data's standard deviation")
                      : "",
           .n = n,
           .detail = "largest difference between x and the inverse of the flow at f(x)"},
          {.name = "log_det_min",
           .value = low,
           .unit = "nats/dim",
           .n = n,
           .detail = "smallest log |det df/dx| of an example, over its dimensions"},
          {.name = "log_det_max",
           .value = high,
           .unit = "nats/dim",
           .warning = std::isfinite(low) && std::isfinite(high)
                          ? ""
                          : "the flow's log-determinant is not finite; try a lower lr or clip_norm",
           .n = n,
           .detail = "largest log |det df/dx| of an example, over its dimensions"}};
}

}  // namespace genzoo
