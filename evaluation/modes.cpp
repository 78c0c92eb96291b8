#include "evaluation/modes.h"

#include <torch/types.h>

#include <stdexcept>
#include <vector>

#include "core/error.h"

namespace genzoo {

ModeMetrics mode_metrics(const Tensor& samples, const Modes& modes) {
  if (samples.dim() != 2 || samples.size(0) == 0 || samples.size(1) != modes.centers.size(1)) {
    throw std::logic_error("mode_metrics: samples are (N, D), of the centers' D, N > 0");
  }
  constexpr int64_t kRows = 4096;  // at a time: bounds the memory
  const int64_t count = modes.centers.size(0);
  const double farthest = kHighQualityDeviations * modes.std;
  Tensor good = torch::zeros({count}, torch::kDouble);  // samples of high quality, by mode
  for (const Tensor& rows : samples.split(kRows)) {
    const Tensor x = rows.to(torch::kCPU, torch::kDouble);
    if (!at::isfinite(x).all().item<bool>()) {
      throw RunError("samples have numbers that are not finite: the model may have diverged");
    }
    const auto [square, mode] = (x.unsqueeze(1) - modes.centers).square().sum(/*dim=*/2).min(/*dim=*/1);
    good += torch::bincount(mode.masked_select(square.le(farthest * farthest)), {}, count);
  }
  ModeMetrics metrics;
  metrics.modes = count;
  metrics.covered = good.gt(0).sum().item<int64_t>();
  const double total = good.sum().item<double>();
  metrics.high_quality = total / static_cast<double>(samples.size(0));
  if (total > 0) {
    const Tensor share = good / total;
    metrics.reverse_kl = (at::xlogy(share, share) - at::xlogy(share, modes.weights)).sum().item<double>();
  }
  return metrics;
}

}  // namespace genzoo
