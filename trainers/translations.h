#pragma once
// What a model of pairs makes of sources, as text to look at and as tokens to measure. What becomes of a source depends
// on it, and where it is drawn on (seed, i), but not on how many others there are.

#include <string>
#include <vector>

#include "data/dataset.h"
#include "models/model.h"

namespace genzoo {

/// The targets (N, T) int64, on the CPU, of sources (N, S) int64: the likeliest token always. As in draw_samples, at
/// one fixed batch size.
Tensor greedy_translations(const AnyModel& model, const Tensor& sources, torch::Device device);

/// n targets of a source text. Throws UsageError when the model makes none, the source is empty or has characters
/// without a token, or the options cannot be.
std::vector<std::string> translate_text(const AnyModel& model, const DataSpec& spec, const std::string& source,
                                        int64_t n, const TranslateOptions& options, uint64_t seed,
                                        torch::Device device);

/// The first pairs of a batch, at most n, and what the model makes of their sources, to look at.
std::string show_translations(const AnyModel& model, const DataSpec& spec, const Batch& pairs, int64_t n,
                              torch::Device device);

}  // namespace genzoo
