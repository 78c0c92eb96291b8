#include "evaluation/forgetting.h"

#include <fmt/format.h>

#include <optional>
#include <string>

#include "core/error.h"
#include "evaluation/measured_likelihood.h"
#include "trainers/fine_tuning.h"

namespace genzoo {
namespace {

bool has_likelihood(const LoadedModel& loaded) { return loaded.model.can.log_prob || loaded.model.can.token_log_prob; }

void add_likelihoods(const LoadedModel& loaded, const Dataset& dataset, Split split, const EvaluateOptions& options,
                     const std::string& prefix, const std::string& suffix, const std::string& whose,
                     Evaluation& evaluation) {
  for (Metric& metric : likelihood_metrics(loaded, dataset, split, options.k, options.limit)) {
    if (metric.name != "likelihood") continue;
    metric.name = prefix + metric.name + suffix;
    metric.detail = fmt::format("{}; {}", whose, metric.detail);
    evaluation.metrics.push_back(std::move(metric));
  }
}

}  // namespace

void add_forgetting(const LoadedModel& loaded, const Dataset& dataset, const EvaluateOptions& options,
                    const DataPlaces& places, Evaluation& evaluation) {
  if (loaded.parent.empty() || !has_likelihood(loaded)) return;
  const auto missing = [&](const std::string& why) {
    evaluation.notes.push_back(fmt::format("what it has forgotten is not known: {}", why));
  };
  std::optional<LoadedModel> parent;
  std::optional<Dataset> old;
  try {
    parent = load_parent_model(loaded.config.train.init_from, loaded.device.str());
    old = open_dataset(parent->config.data, places);
  } catch (const Error& error) {
    missing(error.what());
  }
  if (!parent) return;
  const Split split = options.split.value_or(default_split(dataset));
  add_likelihoods(*parent, dataset, split, options, "", "_before", "of the weights it began with", evaluation);
  if (!old) return;
  if (old->spec.tokenizer != loaded.spec.tokenizer || old->spec.kind != loaded.spec.kind) {
    missing("the parent's data are of another kind now");
    return;
  }
  const Split old_split = default_split(*old);
  const std::string of = fmt::format("on {}, {} split", old->spec.dataset, kSplitNames[static_cast<int>(old_split)]);
  add_likelihoods(loaded, *old, old_split, options, "old_", "", of, evaluation);
  add_likelihoods(*parent, *old, old_split, options, "old_", "_before", of + ", of the weights it began with", evaluation);
}

}  // namespace genzoo
