#include "evaluation/monitors.h"

#include <fmt/format.h>

#include "trainers/monitoring.h"

namespace genzoo {
namespace {

constexpr uint64_t kNoiseSeed = 0;  // the same for every run, whatever its own seed

}  // namespace

void add_monitors(const LoadedModel& loaded, const Dataset& dataset, Split split, const EvaluateOptions& options,
                  Evaluation& evaluation) {
  if (!loaded.model.can.monitors) return;
  const Batch batch = monitored_batch(dataset, split, loaded.model.can, options.limit, loaded.device);
  std::vector<Monitor> monitors = take_monitors(loaded.model, batch, kNoiseSeed);
  excuse_youth(monitors, loaded.step, loaded.config.train.steps);
  for (Monitor& monitor : monitors) {
    if (!monitor.warning.empty()) evaluation.notes.push_back(fmt::format("{}: {}", monitor.name, monitor.warning));
    evaluation.metrics.push_back({.name = std::move(monitor.name),
                                  .value = monitor.value,
                                  .unit = std::move(monitor.unit),
                                  .kind = "",
                                  .standard_error = {},
                                  .n = monitor.n,
                                  .detail = std::move(monitor.detail)});
  }
}

}  // namespace genzoo
