#pragma once
// The likelihood of a trained model on a split of its data.

#include <vector>

#include "data/dataset.h"
#include "evaluation/likelihood.h"
#include "trainers/checkpoint.h"

namespace genzoo {

/// Evaluation's noise: example i draws from (0, i), whatever the run's seed.
inline constexpr uint64_t kEvaluationSeed = 0;

/// Examples a network is evaluated on at once; of text, whose logits are large, windows.
int64_t evaluation_batch(const Abilities& can);

/// Mean log-likelihood of images or vectors, nats, with k draws an example; the first `limit` of the split, 0: all.
/// Throws UsageError when the model has no likelihood.
Likelihood example_likelihood(const LoadedModel& loaded, const Dataset& dataset, Split split, int64_t k, int64_t limit);

/// Mean -log p of a token given those before it, in the data's own unit, over non-overlapping windows of one context,
/// as in nanoGPT. `bytes` is set to those that the predicted tokens spell.
Likelihood text_likelihood(const LoadedModel& loaded, const Dataset& dataset, Split split, int64_t limit,
                           int64_t& bytes);

/// All units in which the model's likelihood of the split is told. Images of many levels: bits/dim and nats; binarized
/// images and vectors: nats; text: nats and bits per char, byte or token, perplexity, and bits/byte; pairs: the same of
/// targets, and "token_accuracy". Where the data's own density is known also "divergence", the mean of log p_true - log
/// p_model.
std::vector<Metric> likelihood_metrics(const LoadedModel& loaded, const Dataset& dataset, Split split, int64_t k,
                                       int64_t limit);

}  // namespace genzoo
