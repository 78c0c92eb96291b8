#pragma once
// How a model of pairs does with longer sources, over longer distances, and what they cost: profiles of it.

#include <torch/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "evaluation/measured_translation.h"
#include "evaluation/metric.h"
#include "evaluation/profile.h"
#include "trainers/checkpoint.h"

namespace genzoo {

/// The profiles of a model of pairs, those that it and its data have; none of another model:
///
/// - exact_match_by_length: the share of sources whose target it makes, by the source's length;
/// - recall_by_distance: the same by Dataset::distance, where the data have it;
/// - gradient_by_distance: the norm of the gradient of log p(target | source) with respect to a source token's vector,
///   by its distance before the source's end: of the token that the target is made of, where Dataset::distance tells
///   which that is, else of all; and gradient_by_distance_untrained, of the same model with new random weights. How
///   that falls says how far back learning sees at first: Bengio et al. (1994), https://doi.org/10.1109/72.279181;
/// - tokens_per_second_by_length: see tokens_per_second.
///
/// Of the first pairs of the validation split and, where there is one, of the test split, whose sources may be longer.
/// `limit` lowers their number; 0: as many as are wanted. `timing_seconds`: for tokens_per_second; 0: without.
std::vector<Profile> profiles_of(const LoadedModel& loaded, const Dataset& dataset, int64_t limit,
                                 double timing_seconds);

/// How long the timing of a model takes, at most and about, seconds.
inline constexpr double kTimingSeconds = 10.0;

/// Means of numbers that come one at a time, each with its x.
class MeansByPlace final {
 public:
  void add(int64_t x, double y) { means_[x].add(y); }
  std::vector<ProfilePoint> points() const;  ///< by x

 private:
  std::map<int64_t, RunningMean> means_;
};

/// The share of exact matches by a place of each text.
Profile match_profile(const Translations& texts, const std::vector<int64_t>& places);

/// Norms (B, S), as source_gradients gives them, by their distance before the ends of x (B, S): of one token a row,
/// `only` (B) int64 before the end, or of all where that is undefined. Of conversations (spec.chat) the end is no part
/// of what is read, and has none.
void add_gradients(MeansByPlace& means, const Tensor& norms, const Tensor& x, const DataSpec& spec, const Tensor& only);

/// Tokens per second of training by length of the source: of a new model of the run's config, forward and backward, on
/// random sources of 16, 32, ... 512 tokens, their ends among them, with random targets as long as the longest of the
/// data, as many pairs together as have about 4,096 tokens. A length that the model has no context for is left out, and
/// so are those that are left when `seconds` are over. A timing: of this machine, at this time.
Profile tokens_per_second(const LoadedModel& loaded, double seconds);

}  // namespace genzoo
