#pragma once
// What a comparison shows of a model besides numbers: its samples, their nearest training examples, interpolations,
// reconstructions, texts.

#include "data/dataset.h"
#include "evaluation/comparison.h"
#include "evaluation/sample_metrics.h"
#include "trainers/checkpoint.h"

namespace genzoo {

inline constexpr int64_t kShownSamples = 64;
inline constexpr int64_t kShownPoints = 2000;  ///< of vectors
inline constexpr int64_t kShownNearest = 8;
inline constexpr int64_t kShownInterpolations = 4;
inline constexpr int64_t kShownReconstructions = 8;
inline constexpr int64_t kShownTexts = 2;
inline constexpr int64_t kShownTokens = 400;
inline constexpr int64_t kShownTranslations = 8;
inline constexpr int64_t kShownDocuments = 8;

/// Fills in what the model can show; the rest stays undefined.
void add_exhibits(const LoadedModel& loaded, const Dataset& dataset, Split split, const SampleMetrics* real,
                  ComparedModel& model);

/// Of given samples (N, ...) as stored: the first, and their nearest training examples.
void add_sample_exhibits(const Tensor& samples, const DataSpec& spec, const SampleMetrics& real, ComparedModel& model);

/// The first real examples of a split for the grids; undefined for text.
Tensor real_exhibit(const Dataset& dataset, Split split);

}  // namespace genzoo
