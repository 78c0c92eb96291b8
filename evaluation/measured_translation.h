#pragma once
// How well a model of pairs knows the targets of a split, and what it makes of the sources itself.

#include <string>
#include <vector>

#include "data/dataset.h"
#include "evaluation/metric.h"
#include "trainers/checkpoint.h"

namespace genzoo {

/// -log p of the targets' tokens, their ends counted as one each, given the source and the tokens before: nats and bits
/// per char or token, and bits per byte that the targets have. Then "token_accuracy": the share of those tokens that
/// are the likeliest. The first `limit` pairs; 0: all. Standard errors are of pairs, whose tokens are not independent.
std::vector<Metric> pair_likelihood_metrics(const LoadedModel& loaded, const Dataset& dataset, Split split,
                                            int64_t limit);

/// The model's own targets, the likeliest token always, beside the given ones, as texts.
struct Translations {
  std::vector<std::string> made, wanted;
  std::vector<int64_t> source_tokens;  ///< of each source, without its end
};
Translations translations_of(const LoadedModel& loaded, const Dataset& dataset, Split split, int64_t limit);

/// "exact_match", the share of texts that are the same, "bleu" and "chrf" (see translation_metrics.h).
std::vector<Metric> translation_metrics(const Translations& texts);

/// The share of exact matches by the sources' length, in one line; empty when all have one length, or there are more
/// lengths than a line can tell.
std::string exact_match_by_length(const Translations& texts, const std::string& token_unit);

}  // namespace genzoo
