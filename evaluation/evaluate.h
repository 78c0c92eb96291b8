#pragma once
// Likelihoods and losses of a trained model on a split of its data.

#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "evaluation/metric.h"
#include "evaluation/sample_metrics.h"
#include "trainers/checkpoint.h"

namespace genzoo {

/// What can be measured. likelihood: log-likelihoods, and where the data's density is known the divergence from it;
/// classification: how well classes are told apart; translation: what a model of pairs makes of sources, beside their
/// targets; monitors: the training objective and its terms, in evaluation mode, and the model's signs of health;
/// forgetting: of runs that began with another's weights, see forgetting.h; profiles: of models of pairs, see
/// measured_profiles.h; the rest: metrics of samples, see SampleMetrics.
inline constexpr const char* kMetricNames[] = {"likelihood", "classification", "translation",      "monitors",
                                               "frechet",    "kernel",         "precision_recall", "density_coverage",
                                               "modes",      "memorization",   "forgetting",       "profiles"};

/// Throws UsageError for a name that is none of kMetricNames.
void require_metrics(const std::vector<std::string>& metrics);

struct EvaluateOptions {
  std::optional<Split> split;  ///< nothing: test, or validation where there is no test split, and the notes say so
  std::vector<std::string> metrics;  ///< of kMetricNames; empty: the first four, where there are any
  int64_t k = 1;                     ///< draws per example for a bound or estimate
  int64_t limit = 0;                 ///< first examples of the split; 0: all
  int64_t samples = 10000;           ///< drawn for metrics of samples
};

/// The metrics of samples among those asked for.
SampleMetricNames sample_metrics_of(const EvaluateOptions& options);

/// Likelihood, per example with noise from (0, example): images of 256 levels in bits/dim and nats, binarized images
/// and vectors in nats, text per token over non-overlapping windows of one context, targets of pairs per token. Where
/// the data's own density is known also "divergence": the mean of log p_true - log p_model. Loss: the training loss and
/// its terms, in evaluation mode. Metrics of samples, each followed by the same of real data as <name>_floor, need
/// `real`, made for this data set, and do without it when none is asked for. Throws UsageError for an explicit split
/// that is not there, an unknown metric, or a likelihood asked of a model that has none (with the reason and what it
/// can do).
Evaluation evaluate(const LoadedModel& loaded, const Dataset& dataset, const EvaluateOptions& options,
                    const SampleMetrics* real = nullptr);

/// The split an evaluation is of when none is named: test, or validation where there is no test split.
Split default_split(const Dataset& dataset);

/// Opens the data the model was trained on.
Dataset dataset_of(const LoadedModel& loaded, const DataPlaces& places);

/// log-likelihoods of given examples.
struct Score {
  Tensor log_prob;       ///< (N) float64 on the CPU, nats: one per image, vector or pair; of text: one document, (1)
  std::string kind;      ///< "exact", "lower_bound", "estimate"
  int64_t tokens = 0;    ///< of text, and of targets of pairs: predicted tokens
  int64_t bytes = 0;     ///< of text, and of targets of pairs
  Json to_json() const;  ///< {"nats", "examples", "tokens", "bytes", "kind"}; nats: the sum of -log p
};

/// x as stored: uint8 images (N, C, H, W) or float32 vectors (N, D). Noise of example i from (seed, i). Throws
/// UsageError when x is not what the model models (shape, type, levels) or the model has no likelihood.
Score score_examples(const LoadedModel& loaded, const Tensor& x, int64_t k, uint64_t seed);

/// One document: every token but the first, each given those before it; beyond the context, windows that advance by
/// half a context, each token counted once.
Score score_text(const LoadedModel& loaded, const std::string& text);

/// log p(target | source) of each pair of a text of lines "SOURCE TAB TARGET", the targets' ends included: (N). Throws
/// as read_pairs does, and UsageError when the model is none of pairs or a character has no token. `where` names the
/// text.
Score score_pairs(const LoadedModel& loaded, const std::string& text, const std::string& where);

/// Why a model cannot do something, and what it can: "a_model has no encoder; it can: sample, decode, interpolate".
[[noreturn]] void refuse(const LoadedModel& loaded, const std::string& what, const std::string& why = "");

/// The array `name` of a .safetensors file. Throws UsageError if there is none of that name, RunError if damaged.
Tensor read_array(const std::filesystem::path& path, const std::string& name);

/// encode: x -> z of the model's latent space; decode: z -> x as stored. Rows through the network at one fixed batch
/// size.
Tensor encode_examples(const LoadedModel& loaded, const Tensor& x);
Tensor decode_latents(const LoadedModel& loaded, const Tensor& z);

/// n examples of the split above their reconstructions, as a picture with `columns` columns.
Tensor reconstruction_picture(const LoadedModel& loaded, const Dataset& dataset, int64_t n, int64_t columns);

}  // namespace genzoo
