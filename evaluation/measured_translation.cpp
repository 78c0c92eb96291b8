#include "evaluation/measured_translation.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/utils.h>

#include <cmath>
#include <numbers>

#include "data/pairs.h"
#include "data/tokenizers/tokenizer.h"
#include "evaluation/likelihood.h"
#include "evaluation/measured_likelihood.h"
#include "evaluation/measured_profiles.h"
#include "evaluation/translation_metrics.h"
#include "trainers/translations.h"

namespace genzoo {
namespace {

/// The mean over all tokens of sums over pairs of so many each, and its standard error as of independent pairs:
/// Cochran, Sampling Techniques (1977), section 6.4.
class MeanOfPairs final {
 public:
  void add(double sum, int64_t tokens) {
    const auto n = static_cast<double>(tokens);
    ++pairs_;
    tokens_ += tokens;
    sum_ += sum;
    squares_ += sum * sum;
    products_ += sum * n;
    squared_tokens_ += n * n;
  }
  double mean() const { return sum_ / static_cast<double>(tokens_); }
  int64_t tokens() const { return tokens_; }
  std::optional<double> standard_error() const {
    if (pairs_ < 2) return {};
    const double m = mean(), spread = squares_ - 2 * m * products_ + m * m * squared_tokens_;
    const auto pairs = static_cast<double>(pairs_);
    return std::sqrt(std::max(0.0, spread) * pairs / (pairs - 1)) / static_cast<double>(tokens_);
  }

 private:
  int64_t pairs_ = 0, tokens_ = 0;
  double sum_ = 0, squares_ = 0, products_ = 0, squared_tokens_ = 0;
};

struct Costs {
  MeanOfPairs nats, right;
  int64_t bytes = 0;  ///< of the targets
};

Costs costs_of(const LoadedModel& loaded, const Dataset& dataset, Split split, int64_t limit) {
  const Abilities& can = loaded.model.can;
  const DataSpec& spec = loaded.spec;
  const EvaluationSource source(dataset, split, evaluation_batch(can), /*context=*/0, limit, loaded.device);
  const EvalMode eval(*loaded.model.module);
  const auto tokenizer = tokenizer_from_json(spec.tokenizer);
  Costs costs;
  for (int64_t b = 0; b < source.batches(); ++b) {
    const Batch batch = source.batch(b);
    const Tensor log_p = can.pair_logits(batch.x, batch.y).to(torch::kCPU, torch::kDouble).log_softmax(/*dim=*/-1);
    const Tensor y = batch.y.to(torch::kCPU), counts = up_to_end(y, spec.end_token);
    const Tensor nats = -log_p.gather(/*dim=*/-1, y.unsqueeze(-1)).squeeze(-1).masked_fill(counts.logical_not(), 0.0);
    const Tensor right = log_p.argmax(/*dim=*/-1).eq(y).logical_and(counts);
    const Tensor tokens_of_pair = counts.sum(/*dim=*/1), nats_of_pair = nats.sum(/*dim=*/1),
                 right_of_pair = right.sum(/*dim=*/1);
    for (int64_t i = 0; i < y.size(0); ++i) {
      const auto tokens = tokens_of_pair[i].item<int64_t>();
      costs.nats.add(nats_of_pair[i].item<double>(), tokens);
      costs.right.add(static_cast<double>(right_of_pair[i].item<int64_t>()), tokens);
      costs.bytes += static_cast<int64_t>(text_before_end(spec, *tokenizer, y[i]).size());
    }
  }
  return costs;
}

}  // namespace

std::vector<Metric> pair_likelihood_metrics(const LoadedModel& loaded, const Dataset& dataset, Split split,
                                            int64_t limit) {
  const Costs costs = costs_of(loaded, dataset, split, limit);
  const std::string treatment = treatment_of(loaded.spec), unit = counted_in(loaded.spec);
  const Likelihood nats(costs.nats.mean(), nats_per(unit), LikelihoodKind::exact, treatment,
                        costs.nats.standard_error(), costs.nats.tokens());
  const std::string detail =
      fmt::format("-log p of a {} of the target, its end counted as one, given the source and those before it", unit);
  std::vector<Metric> metrics{nats.metric(detail), in_bits(nats).metric(detail),
                              perplexity(nats, fmt::format("e to the nats per {}", unit))};
  if (costs.bytes > 0) {
    const Likelihood bits = in_bits(per_byte(nats, nats.n(), costs.bytes));
    const Likelihood of_targets(bits.value(), bits.unit(), bits.kind(), "target texts in bytes", bits.standard_error(),
                                bits.n());
    metrics.push_back(of_targets.metric(detail + ", per byte they spell"));
  }
  metrics.push_back({.name = "token_accuracy",
                     .value = costs.right.mean(),
                     .unit = "share",
                     .kind = "",
                     .standard_error = costs.right.standard_error(),
                     .n = costs.right.tokens(),
                     .detail = "targets' tokens, ends among them, that are the likeliest given the true ones before",
                     .of = treatment,
                     .better = Better::higher});
  return metrics;
}

Translations translations_of(const LoadedModel& loaded, const Dataset& dataset, Split split, int64_t limit) {
  const DataSpec& spec = loaded.spec;
  const EvaluationSource source(dataset, split, dataset.count(split), /*context=*/0, limit, torch::kCPU);
  const Batch all = source.batch(0);
  const Tensor made = greedy_translations(loaded.model, all.x, loaded.device);
  const Tensor lengths = up_to_end(all.x, spec.end_token).sum(/*dim=*/1) - 1;
  const auto tokenizer = tokenizer_from_json(spec.tokenizer);
  Translations texts;
  for (int64_t i = 0; i < all.size(); ++i) {
    texts.made.push_back(text_before_end(spec, *tokenizer, made[i]));
    texts.wanted.push_back(text_before_end(spec, *tokenizer, all.y[i]));
    texts.source_tokens.push_back(lengths[i].item<int64_t>());
  }
  return texts;
}

std::vector<Metric> translation_metrics(const Translations& texts) {
  const auto n = static_cast<int64_t>(texts.made.size());
  RunningMean same;
  for (size_t i = 0; i < texts.made.size(); ++i) same.add(texts.made[i] == texts.wanted[i] ? 1 : 0);
  const auto metric = [&](const char* name, double value, const char* unit, const char* detail) {
    return Metric{.name = name,
                  .value = value,
                  .unit = unit,
                  .kind = "",
                  .standard_error = {},
                  .n = n,
                  .detail = detail,
                  .of = "greedy translations",
                  .better = Better::higher};
  };
  Metric exact = metric("exact_match", same.mean(), "share", "translations that are the target, to the byte");
  exact.standard_error = same.standard_error();
  return {exact,
          metric("bleu", corpus_bleu(texts.made, texts.wanted), "",
                 "0 to 100; of the corpus, tokenization 13a, exponential smoothing: as sacrebleu"),
          metric("chrf", corpus_chrf(texts.made, texts.wanted), "", "0 to 100; chrF2 of the corpus: as sacrebleu")};
}

std::string exact_match_by_length(const Translations& texts, const std::string& token_unit) {
  constexpr size_t kMostLengths = 40;
  const std::vector<ProfilePoint> points = match_profile(texts, texts.source_tokens).points;
  if (points.size() < 2 || points.size() > kMostLengths) return "";
  std::vector<std::string> parts;
  for (const ProfilePoint& point : points) parts.push_back(fmt::format("{}: {:.3f}", point.x, point.mean));
  return fmt::format("exact_match by the source's length in {}s: {}", token_unit, fmt::join(parts, ", "));
}

}  // namespace genzoo
