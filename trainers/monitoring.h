#pragma once
// A model's health, watched on one fixed batch with fixed draws: two looks at one run differ by the weights alone.

#include <vector>

#include "data/dataset.h"
#include "models/model.h"

namespace genzoo {

/// The first examples of a split, as many as a look at a model's health takes: 256 images or vectors, 16 windows of a
/// text; at most `limit`, if that is not 0.
Batch monitored_batch(const Dataset& dataset, Split split, const Abilities& can, int64_t limit, torch::Device device);

/// What the model's monitors say of that batch, drawing from (seed, Purpose::monitors); nothing when it has none.
std::vector<Monitor> take_monitors(const AnyModel& model, const Batch& batch, uint64_t seed);

/// Takes away the warnings of a model that has not done a tenth of its steps: every model begins ignoring its latents
/// and drawing everything alike, which is no sickness yet.
void excuse_youth(std::vector<Monitor>& monitors, int64_t step, int64_t steps);

}  // namespace genzoo
