#include "evaluation/measured_run.h"

#include <fmt/format.h>
#include <torch/utils.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "evaluation/evaluate.h"
#include "evaluation/measured_likelihood.h"
#include "evaluation/measured_profiles.h"
#include "trainers/estimate.h"
#include "trainers/run_folder.h"
#include "trainers/samples.h"

namespace genzoo {
namespace {

constexpr const char* kItems[] = {"images", "vectors", "tokens", "pairs", "documents"};

Costs costs_of(const LoadedModel& loaded, const Dataset& dataset) {
  const CostEstimate estimate = estimate_cost(loaded.config, dataset);
  const TrainConfig& train = loaded.config.train;
  Costs costs;
  costs.parameters = estimate.parameters;
  costs.steps = loaded.step;
  costs.training_flops = estimate.flops_per_step * static_cast<double>(loaded.step);
  costs.item = kItems[static_cast<int>(loaded.spec.kind)];
  if (loaded.run.empty()) return costs;
  const RunSummary summary = summarize_run(loaded.run);
  costs.peak_memory = summary.peak_memory;
  costs.trained_on = summary.device;
  costs.trained_by = summary.program;
  const double seconds = seconds_logged(RunFolder(loaded.run), loaded.step);
  if (seconds <= 0) return costs;  // the log tells nothing
  const Abilities& can = loaded.model.can;
  const int64_t items =
      loaded.step * (can.fit ? dataset.learning_from(train.examples).count(Split::train)
                             : train.accumulate * train.batch_size * std::max<int64_t>(can.context, 1));
  costs.training_seconds = seconds;
  costs.items_per_s = static_cast<double>(items) / seconds;
  return costs;
}

/// One unit for one statement: of images bits/dim and not nats besides, of text nats and not the same in bits, nor as a
/// perplexity.
void drop_repeated_units(std::vector<Metric>& metrics) {
  const auto is = [](const std::string& unit) {
    return [unit](const Metric& m) { return m.name == "likelihood" && m.unit == unit; };
  };
  if (std::ranges::any_of(metrics, is("bits/dim"))) std::erase_if(metrics, is("nats"));
  std::erase_if(metrics, [](const Metric& m) { return m.name == "perplexity"; });
  for (const char* unit : {"char", "token"}) {
    if (std::ranges::any_of(metrics, is(std::string("nats/") + unit))) {
      std::erase_if(metrics, is(std::string("bits/") + unit));
    }
  }
}

void add_sample_metrics(const LoadedModel& loaded, const SampleMetrics& real, int64_t n, ComparedRun& run) {
  const auto start = std::chrono::steady_clock::now();
  // Each training draws for itself: the spread over seeds is also that of the draws.
  const auto seed = static_cast<uint64_t>(loaded.config.seed);
  const Tensor samples = draw_samples(loaded.model, n, seed, Purpose::sample, {}, loaded.device);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  run.costs->samples_per_s = static_cast<double>(n) / seconds.count();
  std::ranges::move(real.of(samples, all_sample_metrics()), std::back_inserter(run.evaluation.metrics));
}

/// Beside an estimate of several draws the bound that one draw gives: of a VAE the ELBO.
void add_bound(const LoadedModel& loaded, const Dataset& dataset, const Protocol& protocol,
               std::vector<Metric>& metrics) {
  const auto& kind = loaded.model.can.likelihood.kind;
  if (protocol.k == 1 || loaded.model.can.token_log_prob || kind != LikelihoodKind::lower_bound) return;
  std::vector<Metric> bound = likelihood_metrics(loaded, dataset, protocol.split, /*k=*/1, protocol.examples);
  drop_repeated_units(bound);
  for (Metric& metric : bound) {
    if (metric.name != "likelihood") continue;
    metric.name = "bound";
    metrics.push_back(std::move(metric));
  }
}

/// The last logged step's norms, and what the monitors warned of on the way.
void add_training_signs(const RunFolder& run, int64_t step, Evaluation& evaluation) {
  std::map<std::string, double> norms;
  std::set<std::string> warnings;
  std::ifstream in(run.log());
  for (std::string line; std::getline(in, line);) {
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object() || !json.contains("step") || json["step"] > step) continue;
    for (const auto& [key, value] : json.items()) {
      const bool norm = key.ends_with("gradient_norm") || key.ends_with("update_ratio");
      if (norm && value.is_number()) norms[key] = value.get<double>();
    }
    if (!json.contains("warnings")) continue;
    for (const Json& warning : json["warnings"]) {
      warnings.insert(fmt::format("warned at step {}: {}", json["step"].get<int64_t>(), warning.get<std::string>()));
    }
  }
  for (const auto& [name, value] : norms) {
    evaluation.metrics.push_back({.name = name,
                                  .value = value,
                                  .unit = "",
                                  .kind = "",
                                  .standard_error = {},
                                  .n = 1,
                                  .detail = "at the last logged step of training"});
  }
  for (const auto& warning : warnings) evaluation.notes.push_back(warning);
}

}  // namespace

ComparedRun measure_run(const LoadedModel& loaded, const Dataset& dataset, const SampleMetrics* real,
                        const Protocol& protocol) {
  ComparedRun run;
  run.path = loaded.run.empty() ? loaded.path : loaded.run;
  run.seed = loaded.config.seed;
  EvaluateOptions options;
  options.split = protocol.split;
  options.k = protocol.k;
  options.limit = protocol.examples;
  run.evaluation = evaluate(loaded, dataset, options);
  drop_repeated_units(run.evaluation.metrics);
  if (loaded.model.can.pair_logits) {
    run.evaluation.profiles = profiles_of(loaded, dataset, protocol.examples, kTimingSeconds);
  }
  add_bound(loaded, dataset, protocol, run.evaluation.metrics);
  run.costs = costs_of(loaded, dataset);
  if (!loaded.run.empty()) {
    add_training_signs(RunFolder(loaded.run), loaded.step, run.evaluation);
    for (const Validation& v : validations(RunFolder(loaded.run))) {
      if (v.step <= loaded.step) run.curve.push_back({v.step, v.seconds, v.loss});
    }
  }
  if (real && loaded.model.can.sample && protocol.samples > 0) {
    add_sample_metrics(loaded, *real, protocol.samples, run);
  }
  return run;
}

}  // namespace genzoo
