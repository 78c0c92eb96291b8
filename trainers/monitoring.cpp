#include "trainers/monitoring.h"

#include <algorithm>

namespace genzoo {
namespace {

// Enough for a variance over the data to be known within a tenth (its relative error is the root of 2 / n) and a share
// within 0.03; a look is to be quicker than a validation. Windows are whole texts.
constexpr int64_t kExamples = 256;
constexpr int64_t kWindows = 16;

}  // namespace

Batch monitored_batch(const Dataset& dataset, Split split, const Abilities& can, int64_t limit, torch::Device device) {
  const int64_t enough = can.context > 0 ? kWindows : kExamples;
  const int64_t n = limit > 0 ? std::min(limit, enough) : enough;
  return EvaluationSource(dataset, split, n, can.context, n, device).batch(0);
}

std::vector<Monitor> take_monitors(const AnyModel& model, const Batch& batch, uint64_t seed) {
  if (!model.can.monitors) return {};
  Rng rng = Rng::for_batch(seed, Purpose::monitors, 0, 0, batch.x.device());
  return model.can.monitors(batch, rng);
}

void excuse_youth(std::vector<Monitor>& monitors, int64_t step, int64_t steps) {
  if (10 * step >= steps) return;
  for (Monitor& monitor : monitors) monitor.warning.clear();
}

}  // namespace genzoo
