#include "evaluation/evaluate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/utils.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <stdexcept>

#include "core/error.h"
#include "data/pairs.h"
#include "evaluation/likelihood.h"
#include "evaluation/measured_classification.h"
#include "evaluation/measured_likelihood.h"
#include "evaluation/measured_profiles.h"
#include "evaluation/measured_translation.h"
#include "evaluation/monitors.h"
#include "trainers/samples.h"
#include "trainers/step.h"
#include "trainers/train_experiment.h"

namespace genzoo {
namespace {

std::string loss_unit(const LoadedModel& loaded) {
  const bool per_token = loaded.spec.has_tokens() && loaded.spec.kind != DataKind::documents;
  return per_token ? "nats/" + counted_in(loaded.spec) : "nats";
}

/// The losses of one batch in evaluation mode.
Terms losses_of(const LoadedModel& loaded, const Batch& batch, Rng& rng) {
  const Abilities& can = loaded.model.can;
  if (!can.game) {
    Loss loss = held_out_loss(loaded.model, batch, rng);
    loss.terms["loss"] = loss.total.detach();
    return loss.terms;
  }
  const Tensor fake = can.game->generate_fake(batch.size(), rng).detach();
  // A gradient penalty differentiates, also here.
  const torch::AutoGradMode with_graph(true);
  Loss discriminator = can.game->discriminator_loss(batch, fake, rng);
  const Loss generator = can.game->generator_loss(fake, rng);
  Terms terms = discriminator.terms;
  terms.insert(generator.terms.begin(), generator.terms.end());
  terms["discriminator_loss"] = discriminator.total.detach();
  terms["generator_loss"] = generator.total.detach();
  return terms;
}

void add_loss_metrics(const LoadedModel& loaded, const Dataset& dataset, Split split, const EvaluateOptions& options,
                      Evaluation& evaluation) {
  const EvaluationSource source(dataset, split, evaluation_batch(loaded.model.can), loaded.model.can.context,
                                options.limit, loaded.device);
  const EvalMode eval(*loaded.model.module);
  std::map<std::string, double> sums;
  int64_t total = 0;  // examples; of pairs the tokens of targets, over which their loss is a mean
  for (int64_t b = 0; b < source.batches(); ++b) {
    const Batch batch = source.batch(b);
    const bool pairs = loaded.spec.kind == DataKind::pairs;
    const int64_t weight = pairs ? up_to_end(batch.y, loaded.spec.end_token).sum().item<int64_t>() : batch.size();
    total += weight;
    Rng rng = Rng::for_batch(kEvaluationSeed, Purpose::validation, static_cast<uint64_t>(b), 0, loaded.device);
    for (const auto& [name, value] : losses_of(loaded, batch, rng)) {
      sums[name] += value.item<double>() * static_cast<double>(weight);
    }
  }
  for (const auto& [name, sum] : sums) {
    // Terms are the model's own (a KL, a share, a score), and so are their units.
    evaluation.metrics.push_back({.name = name,
                                  .value = sum / static_cast<double>(total),
                                  .unit = name == "loss" ? loss_unit(loaded) : "",
                                  .kind = "",
                                  .standard_error = {},
                                  .n = total,
                                  .detail = name != "loss"         ? "term of the training objective"
                                            : loaded.model.can.fit ? "mean of -log p"
                                                                   : "training objective, in evaluation mode"});
  }
}

Split choose_split(const Dataset& dataset, const EvaluateOptions& options, Evaluation& evaluation) {
  if (options.split) {
    dataset.require(*options.split);
    return *options.split;
  }
  if (!dataset.has(Split::test)) {
    evaluation.notes.push_back(fmt::format("{} has no test split; this is validation", dataset.spec.dataset));
  }
  return default_split(dataset);
}

/// Of likelihood, classification, translation and monitors, which are measured unless others are asked for.
bool wants(const EvaluateOptions& options, const std::string& name) {
  return options.metrics.empty() || std::ranges::count(options.metrics, name) > 0;
}

void add_likelihood(const LoadedModel& loaded, const Dataset& dataset, Split split, const EvaluateOptions& options,
                    Evaluation& evaluation) {
  const Abilities& can = loaded.model.can;
  if (can.log_prob || can.token_log_prob || can.pair_logits) {
    std::ranges::move(likelihood_metrics(loaded, dataset, split, options.k, options.limit),
                      std::back_inserter(evaluation.metrics));
    return;
  }
  if (!options.metrics.empty()) refuse(loaded, "has no likelihood", can.likelihood.detail);
  evaluation.missing["likelihood"] = "it has none: " + can.likelihood.detail;
  evaluation.notes.push_back(fmt::format("{} has no likelihood: {}", loaded.model.family, can.likelihood.detail));
}

void add_classification(const LoadedModel& loaded, const Dataset& dataset, Split split, const EvaluateOptions& options,
                        Evaluation& evaluation) {
  if (!loaded.model.can.class_logits) {
    if (!options.metrics.empty()) refuse(loaded, "tells no classes apart");
    return;
  }
  std::ranges::move(classification_metrics(loaded, dataset, split, options.limit),
                    std::back_inserter(evaluation.metrics));
}

void add_translation(const LoadedModel& loaded, const Dataset& dataset, Split split, const EvaluateOptions& options,
                     Evaluation& evaluation) {
  if (!loaded.model.can.translate) {
    if (!options.metrics.empty()) refuse(loaded, "makes no target texts of sources");
    return;
  }
  const Translations texts = translations_of(loaded, dataset, split, options.limit);
  std::ranges::move(translation_metrics(texts), std::back_inserter(evaluation.metrics));
  const std::string by_length = exact_match_by_length(texts, loaded.spec.token_unit);
  if (!by_length.empty()) evaluation.notes.push_back(by_length);
}

void add_profiles(const LoadedModel& loaded, const Dataset& dataset, const EvaluateOptions& options,
                  Evaluation& evaluation) {
  if (!loaded.model.can.pair_logits) refuse(loaded, "has no profiles", "they are of models of pairs");
  evaluation.profiles = profiles_of(loaded, dataset, options.limit, kTimingSeconds);
}

void add_sample_metrics(const LoadedModel& loaded, const EvaluateOptions& options, const SampleMetricNames& wanted,
                        const SampleMetrics* real, Evaluation& evaluation) {
  if (!loaded.model.can.sample) refuse(loaded, "draws no samples of images or vectors");
  if (!real) throw std::logic_error("evaluate: metrics of samples need real data");
  const Tensor samples =
      draw_samples(loaded.model, options.samples, kEvaluationSeed, Purpose::sample, {}, loaded.device);
  std::ranges::move(real->of(samples, wanted), std::back_inserter(evaluation.metrics));
  for (Metric& floor : real->floor(options.samples, wanted)) {
    floor.name += "_floor";
    evaluation.metrics.push_back(std::move(floor));
  }
  std::ranges::move(real->feature_spaces(), std::back_inserter(evaluation.notes));
}

}  // namespace

void require_metrics(const std::vector<std::string>& metrics) {
  const std::vector<std::string> known(std::begin(kMetricNames), std::end(kMetricNames));
  for (const auto& name : metrics) {
    if (std::ranges::count(known, name)) continue;
    const std::string meant = nearest_name(name, known);
    throw UsageError(fmt::format("--metrics {}: no such metric; {}there are {}", name,
                                 meant.empty() ? "" : fmt::format("did you mean '{}'? ", meant),
                                 fmt::join(known, ", ")));
  }
}

SampleMetricNames sample_metrics_of(const EvaluateOptions& options) {
  SampleMetricNames wanted;
  for (const std::string& name : options.metrics) {
    if (std::ranges::count(kSampleMetricNames, name) > 0) wanted.insert(name);
  }
  return wanted;
}

Split default_split(const Dataset& dataset) { return dataset.has(Split::test) ? Split::test : Split::validation; }

Evaluation evaluate(const LoadedModel& loaded, const Dataset& dataset, const EvaluateOptions& options,
                    const SampleMetrics* real) {
  require_metrics(options.metrics);
  Evaluation evaluation{.run = (loaded.run.empty() ? loaded.path : loaded.run).string(),
                        .model = loaded.model.family,
                        .dataset = loaded.spec.dataset,
                        .split = "",
                        .step = loaded.step,
                        .weights = loaded.has_ema ? "ema" : "raw",
                        .metrics = {},
                        .notes = {}};
  if (dataset.spec != loaded.spec) {
    throw UsageError(fmt::format("{}: it was trained on {}, and the data found are {}", evaluation.run,
                                 loaded.spec.describe(), dataset.spec.describe()));
  }
  const Split split = choose_split(dataset, options, evaluation);
  evaluation.split = kSplitNames[static_cast<int>(split)];
  if (wants(options, "likelihood")) add_likelihood(loaded, dataset, split, options, evaluation);
  if (wants(options, "classification")) add_classification(loaded, dataset, split, options, evaluation);
  if (wants(options, "translation")) add_translation(loaded, dataset, split, options, evaluation);
  if (wants(options, "monitors")) add_loss_metrics(loaded, dataset, split, options, evaluation);
  if (wants(options, "monitors")) add_monitors(loaded, dataset, split, options, evaluation);
  if (std::ranges::count(options.metrics, "profiles") > 0) add_profiles(loaded, dataset, options, evaluation);
  const SampleMetricNames wanted = sample_metrics_of(options);
  if (!wanted.empty()) add_sample_metrics(loaded, options, wanted, real, evaluation);
  return evaluation;
}

Dataset dataset_of(const LoadedModel& loaded, const DataPlaces& places) {
  return open_dataset(loaded.run.empty() ? loaded.config.data : data_of_run(loaded.config, RunFolder(loaded.run)),
                      places);
}

void refuse(const LoadedModel& loaded, const std::string& what, const std::string& why) {
  throw UsageError(fmt::format("{} {}{}{}; it can: {}", loaded.model.family, what, why.empty() ? "" : ": ", why,
                               fmt::join(loaded.model.can.names(), ", ")));
}

}  // namespace genzoo
