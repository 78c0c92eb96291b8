#include "evaluation/forgetting.h"

#include <fmt/format.h>

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
  try {
    const LoadedModel parent = load_parent_model(loaded.config.train.init_from, loaded.device.str());
    if (record_of(parent) != loaded.parent) {
      throw RunError(fmt::format("{} has other weights now than those it began with", loaded.config.train.init_from));
    }
    const Split split = options.split.value_or(default_split(dataset));
    add_likelihoods(parent, dataset, split, options, "", "_before", "of the weights it began with", evaluation);
    const Dataset old = dataset_of(parent, places);
    if (old.spec.tokenizer != loaded.spec.tokenizer || old.spec.kind != loaded.spec.kind) {
      throw RunError("the parent's data are of another kind");
    }
    const Split old_split = default_split(old);
    old.require(old_split);
    const std::string of = fmt::format("on {}, {} split", old.spec.dataset, kSplitNames[static_cast<int>(old_split)]);
    add_likelihoods(loaded, old, old_split, options, "old_", "", of, evaluation);
    add_likelihoods(parent, old, old_split, options, "old_", "_before", of + ", of the weights it began with",
                    evaluation);
  } catch (const Error& error) {
    evaluation.notes.push_back(fmt::format("what it has forgotten is not known: {}", error.what()));
  }
}

}  // namespace genzoo
