#include "evaluation/measured_likelihood.h"

#include <fmt/format.h>
#include <torch/utils.h>

#include "core/error.h"
#include "data/tokenizers/tokenizer.h"
#include "evaluation/measured_translation.h"

namespace genzoo {
namespace {

std::string detail_of(const LikelihoodClaim& claim, int64_t k) {
  if (kind_of(claim, k) != LikelihoodKind::estimate) return claim.detail;
  return fmt::format("{}; k = {} importance-weighted draws", claim.detail, k);
}

/// Per-example log-likelihoods, and, where the data's density is known, log p_true - log p_model.
struct ExampleMeans {
  RunningMean log_prob;
  RunningMean divergence;
};

ExampleMeans example_means(const LoadedModel& loaded, const Dataset& dataset, Split split, int64_t k, int64_t limit) {
  const Abilities& can = loaded.model.can;
  if (!can.log_prob) {
    throw UsageError(fmt::format("{} has no likelihood: {}", loaded.model.family, can.likelihood.detail));
  }
  const EvaluationSource source(dataset, split, evaluation_batch(can), /*context=*/0, limit, loaded.device);
  const EvalMode eval(*loaded.model.module);
  ExampleMeans means;
  for (int64_t b = 0; b < source.batches(); ++b) {
    const Batch batch = source.batch(b);
    Rng rng = Rng::for_rows(kEvaluationSeed, Purpose::score, static_cast<uint64_t>(source.first_row(b)), batch.size(),
                            loaded.device);
    const Tensor log_prob = can.log_prob(batch.x, k, rng).to(torch::kCPU, torch::kDouble);
    for (int64_t i = 0; i < log_prob.size(0); ++i) means.log_prob.add(log_prob[i].item<double>());
    if (!dataset.log_density) continue;
    const Tensor gap = dataset.log_density(batch.x.to(torch::kCPU)).to(torch::kDouble) - log_prob;
    for (int64_t i = 0; i < gap.size(0); ++i) means.divergence.add(gap[i].item<double>());
  }
  return means;
}

Likelihood likelihood_of(const RunningMean& log_prob, const LoadedModel& loaded, int64_t k) {
  return {log_prob.mean(),           LikelihoodUnit::nats,      kind_of(loaded.model.can.likelihood, k),
          treatment_of(loaded.spec), log_prob.standard_error(), log_prob.count()};
}

Metric divergence_metric(const RunningMean& divergence, LikelihoodKind kind, const DataSpec& spec) {
  const bool exact = kind == LikelihoodKind::exact;
  return {.name = "divergence",
          .value = divergence.mean(),
          .unit = "nats",
          .kind = exact ? "exact" : "",
          .standard_error = divergence.standard_error(),
          .n = divergence.count(),
          .detail = exact ? "mean of log p_true - log p_model"
                          : "mean of log p_true - a lower bound of log p_model: an upper bound",
          .of = treatment_of(spec),
          .better = Better::lower};
}

std::vector<Metric> example_metrics(const LoadedModel& loaded, const Dataset& dataset, Split split, int64_t k,
                                    int64_t limit) {
  const ExampleMeans means = example_means(loaded, dataset, split, k, limit);
  const Likelihood nats = likelihood_of(means.log_prob, loaded, k);
  const std::string detail = detail_of(loaded.model.can.likelihood, k);
  std::vector<Metric> metrics;
  if (loaded.spec.kind == DataKind::images && loaded.spec.levels > 2) {
    metrics.push_back(bits_per_dim(nats, loaded.spec.dims()).metric("-log2 p per dimension; " + detail));
  }
  metrics.push_back(nats.metric("log p of an example; " + detail));
  if (dataset.log_density) metrics.push_back(divergence_metric(means.divergence, nats.kind(), loaded.spec));
  return metrics;
}

std::vector<Metric> text_metrics(const LoadedModel& loaded, const Dataset& dataset, Split split, int64_t limit) {
  int64_t bytes = 0;
  const Likelihood nats = text_likelihood(loaded, dataset, split, limit, bytes);
  const std::string detail = fmt::format("-log p of a {} given those before it, non-overlapping windows of {}",
                                         loaded.spec.token_unit, loaded.model.can.context);
  std::vector<Metric> metrics{nats.metric(detail), in_bits(nats).metric(detail),
                              perplexity(nats, fmt::format("e to the nats per {}", loaded.spec.token_unit))};
  if (loaded.spec.token_unit != "byte") {
    metrics.push_back(in_bits(per_byte(nats, nats.n(), bytes)).metric(detail + ", per byte they spell"));
  }
  return metrics;
}

}  // namespace

int64_t evaluation_batch(const Abilities& can) { return can.context > 0 ? 32 : 100; }

Likelihood example_likelihood(const LoadedModel& loaded, const Dataset& dataset, Split split, int64_t k,
                              int64_t limit) {
  return likelihood_of(example_means(loaded, dataset, split, k, limit).log_prob, loaded, k);
}

Likelihood text_likelihood(const LoadedModel& loaded, const Dataset& dataset, Split split, int64_t limit,
                           int64_t& bytes) {
  const Abilities& can = loaded.model.can;
  const EvaluationSource source(dataset, split, evaluation_batch(can), can.context, limit, loaded.device);
  const EvalMode eval(*loaded.model.module);
  const auto tokenizer = tokenizer_from_json(loaded.spec.tokenizer);
  RunningMean tokens;   // one number a token
  RunningMean windows;  // one a window: tokens of one window are not independent, windows nearly are
  bytes = 0;
  for (int64_t b = 0; b < source.batches(); ++b) {
    const Batch batch = source.batch(b);
    const Tensor cost = -can.token_log_prob(batch.x, batch.y).to(torch::kCPU, torch::kDouble);
    const Tensor flat = cost.contiguous().view({-1});
    const auto values = flat.accessor<double, 1>();
    for (int64_t i = 0; i < values.size(0); ++i) tokens.add(values[i]);
    const Tensor means = cost.mean(1);
    for (int64_t i = 0; i < means.size(0); ++i) windows.add(means[i].item<double>());
    // Behind the token before them: what a decoder does at a text's beginning is not done to what stands within one.
    const Tensor first = batch.x.narrow(/*dim=*/1, 0, 1).to(torch::kCPU);
    const Tensor rows = torch::cat({first, batch.y.to(torch::kCPU)}, /*dim=*/1);
    for (int64_t i = 0; i < rows.size(0); ++i) {
      bytes += static_cast<int64_t>(tokenizer->decode(rows[i]).size() - tokenizer->decode(first[i]).size());
    }
  }
  return {tokens.mean(),
          nats_per(loaded.spec.token_unit),
          LikelihoodKind::exact,
          treatment_of(loaded.spec),
          windows.standard_error(),
          tokens.count()};
}

std::vector<Metric> likelihood_metrics(const LoadedModel& loaded, const Dataset& dataset, Split split, int64_t k,
                                       int64_t limit) {
  if (loaded.model.can.pair_logits) return pair_likelihood_metrics(loaded, dataset, split, limit);
  return loaded.model.can.token_log_prob ? text_metrics(loaded, dataset, split, limit)
                                         : example_metrics(loaded, dataset, split, k, limit);
}

}  // namespace genzoo
