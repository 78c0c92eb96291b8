#include "evaluation/evaluate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/utils.h>

#include <algorithm>
#include <map>

#include "core/error.h"

namespace genzoo {
namespace {

constexpr uint64_t kNoiseSeed = 0;  // evaluation's noise: example i draws from (0, i), whatever the run's seed

/// Examples a network sees at once; of text, whose logits are large, windows.
int64_t batch_of(const Abilities& can) { return can.context > 0 ? 32 : 100; }

std::string loss_unit(const LoadedModel& loaded) {
  return loaded.model.can.context > 0 ? "nats/" + loaded.spec.token_unit : "nats";
}

std::string kind_name(const LikelihoodClaim& claim, int64_t k) {
  if (*claim.kind == LikelihoodKind::exact) return "exact";
  return k > 1 ? "estimate" : "lower_bound";
}

std::string likelihood_detail(const LikelihoodClaim& claim, int64_t k) {
  if (k == 1 || *claim.kind == LikelihoodKind::exact) return claim.detail;
  return fmt::format("{}; k = {} importance-weighted draws", claim.detail, k);
}

/// Per-example log-likelihoods of a split, and, where the data's density is known, log p_true - log p_model.
struct Likelihoods {
  RunningMean log_prob;
  RunningMean divergence;
};

Likelihoods example_likelihoods(const LoadedModel& loaded, const Dataset& dataset, Split split,
                                const EvaluateOptions& options) {
  const EvaluationSource source(dataset, split, batch_of(loaded.model.can), /*context=*/0, options.limit,
                                loaded.device);
  const EvalMode eval(*loaded.model.module);
  Likelihoods result;
  for (int64_t b = 0; b < source.batches(); ++b) {
    const Batch batch = source.batch(b);
    Rng rng = Rng::for_rows(kNoiseSeed, Purpose::score, static_cast<uint64_t>(source.first_row(b)), batch.size(),
                            loaded.device);
    const Tensor log_prob = loaded.model.can.log_prob(batch.x, options.k, rng).to(torch::kCPU, torch::kDouble);
    for (int64_t i = 0; i < log_prob.size(0); ++i) result.log_prob.add(log_prob[i].item<double>());
    if (!dataset.log_density) continue;
    const Tensor gap = dataset.log_density(batch.x.to(torch::kCPU)).to(torch::kDouble) - log_prob;
    for (int64_t i = 0; i < gap.size(0); ++i) result.divergence.add(gap[i].item<double>());
  }
  return result;
}

void add_example_metrics(const LoadedModel& loaded, const Dataset& dataset, Split split, const EvaluateOptions& options,
                         Evaluation& evaluation) {
  const LikelihoodClaim& claim = loaded.model.can.likelihood;
  const Likelihoods found = example_likelihoods(loaded, dataset, split, options);
  const int64_t dims = loaded.spec.dims();
  const auto error = found.log_prob.standard_error();
  Metric nats{.name = "likelihood",
              .value = found.log_prob.mean(),
              .unit = "nats",
              .kind = kind_name(claim, options.k),
              .standard_error = error,
              .n = found.log_prob.count(),
              .detail = likelihood_detail(claim, options.k)};
  if (loaded.spec.kind == DataKind::images && loaded.spec.levels > 2) {
    Metric bits = nats;
    bits.value = bits_per_dim(nats.value, dims);
    bits.unit = "bits/dim";
    bits.detail = "-log2 p per dimension; " + nats.detail;
    if (error) bits.standard_error = bits_of_nats(*error) / static_cast<double>(dims);
    evaluation.metrics.push_back(std::move(bits));
  }
  nats.detail = "log p of an example; " + nats.detail;
  evaluation.metrics.push_back(std::move(nats));
  if (dataset.log_density) {
    const bool exact = *claim.kind == LikelihoodKind::exact;
    evaluation.metrics.push_back({.name = "divergence",
                                  .value = found.divergence.mean(),
                                  .unit = "nats",
                                  .kind = exact ? "exact" : "",
                                  .standard_error = found.divergence.standard_error(),
                                  .n = found.divergence.count(),
                                  .detail = exact
                                                ? "mean of log p_true - log p_model"
                                                : "mean of log p_true - a lower bound of log p_model: an upper bound"});
  }
}

void add_token_metrics(const LoadedModel& loaded, const Dataset& dataset, Split split, const EvaluateOptions& options,
                       Evaluation& evaluation) {
  const Abilities& can = loaded.model.can;
  const EvaluationSource source(dataset, split, batch_of(can), can.context, options.limit, loaded.device);
  const EvalMode eval(*loaded.model.module);
  RunningMean nats;     // one number a token
  RunningMean windows;  // one a window: tokens of one window are not independent, windows nearly are
  for (int64_t b = 0; b < source.batches(); ++b) {
    const Batch batch = source.batch(b);
    const Tensor cost = -can.token_log_prob(batch.x, batch.y).to(torch::kCPU, torch::kDouble);
    const Tensor flat = cost.contiguous().view({-1});
    const auto values = flat.accessor<double, 1>();
    for (int64_t i = 0; i < values.size(0); ++i) nats.add(values[i]);
    const Tensor means = cost.mean(1);
    for (int64_t i = 0; i < means.size(0); ++i) windows.add(means[i].item<double>());
  }
  Metric metric{
      .name = "likelihood",
      .value = nats.mean(),
      .unit = "nats/" + loaded.spec.token_unit,
      .kind = "exact",
      .standard_error = windows.standard_error(),
      .n = nats.count(),
      .detail = fmt::format("-log p of a token given those before it, non-overlapping windows of {}", can.context)};
  Metric bits = metric;
  bits.value = bits_of_nats(metric.value);
  bits.unit = "bits/" + loaded.spec.token_unit;
  if (metric.standard_error) bits.standard_error = bits_of_nats(*metric.standard_error);
  evaluation.metrics.push_back(std::move(metric));
  evaluation.metrics.push_back(std::move(bits));
}

/// The losses of one batch in evaluation mode.
Terms losses_of(const LoadedModel& loaded, const Batch& batch, Rng& rng) {
  const Abilities& can = loaded.model.can;
  if (can.loss) {
    Loss loss = can.loss(batch, rng, kAfterTraining);
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
  const EvaluationSource source(dataset, split, batch_of(loaded.model.can), loaded.model.can.context, options.limit,
                                loaded.device);
  const EvalMode eval(*loaded.model.module);
  std::map<std::string, double> sums;
  for (int64_t b = 0; b < source.batches(); ++b) {
    const Batch batch = source.batch(b);
    Rng rng = Rng::for_batch(kNoiseSeed, Purpose::validation, static_cast<uint64_t>(b), 0, loaded.device);
    for (const auto& [name, value] : losses_of(loaded, batch, rng)) {
      sums[name] += value.item<double>() * static_cast<double>(batch.size());
    }
  }
  for (const auto& [name, sum] : sums) {
    // Terms are the model's own (a KL, a share, a score), and so are their units.
    evaluation.metrics.push_back(
        {.name = name,
         .value = sum / static_cast<double>(source.examples()),
         .unit = name == "loss" ? loss_unit(loaded) : "",
         .kind = "",
         .standard_error = {},
         .n = source.examples(),
         .detail = name == "loss" ? "training objective, in evaluation mode" : "term of the training objective"});
  }
}

Split choose_split(const Dataset& dataset, const EvaluateOptions& options, Evaluation& evaluation) {
  if (options.split) {
    if (!dataset.has(*options.split)) {
      throw UsageError(fmt::format("{} has no {} split; it has train{}", dataset.spec.dataset,
                                   kSplitNames[static_cast<int>(*options.split)],
                                   dataset.has(Split::validation) ? " and validation" : ""));
    }
    return *options.split;
  }
  if (dataset.has(Split::test)) return Split::test;
  evaluation.notes.push_back(fmt::format("{} has no test split; this is validation", dataset.spec.dataset));
  return Split::validation;
}

bool wants(const EvaluateOptions& options, const std::string& name) {
  return options.metrics.empty() || std::ranges::count(options.metrics, name) > 0;
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

Evaluation evaluate(const LoadedModel& loaded, const Dataset& dataset, const EvaluateOptions& options) {
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
  const Abilities& can = loaded.model.can;
  if (wants(options, "likelihood")) {
    if (can.token_log_prob) {
      add_token_metrics(loaded, dataset, split, options, evaluation);
    } else if (can.log_prob) {
      add_example_metrics(loaded, dataset, split, options, evaluation);
    } else if (!options.metrics.empty()) {
      refuse(loaded, "has no likelihood", can.likelihood.detail);
    } else {
      evaluation.notes.push_back(fmt::format("{} has no likelihood: {}", loaded.model.family, can.likelihood.detail));
    }
  }
  if (wants(options, "monitors")) add_loss_metrics(loaded, dataset, split, options, evaluation);
  return evaluation;
}

Dataset dataset_of(const LoadedModel& loaded, const DataPlaces& places) {
  return open_dataset(loaded.config.data, places);
}

void refuse(const LoadedModel& loaded, const std::string& what, const std::string& why) {
  throw UsageError(fmt::format("{} {}{}{}; it can: {}", loaded.model.family, what, why.empty() ? "" : ": ", why,
                               fmt::join(loaded.model.can.names(), ", ")));
}

}  // namespace genzoo
