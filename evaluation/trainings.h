#pragma once
// The trainings of a comparison: how many steps each takes, and running those that are not done.

#include <vector>

#include "evaluation/compare.h"
#include "evaluation/comparison_folder.h"
#include "evaluation/contestants.h"
#include "evaluation/shared_data.h"

namespace genzoo {

/// Steps of each training: those of its config (kept as 0), of the budget, or as many as fit its seconds, by timing
/// kTimingShare of it with the first seed. A model that counts keeps its one. What is decided already stays.
void decide_steps(const std::vector<Contestant>& contestants, SharedData& data, const CompareRequest& request,
                  ComparisonFolder& folder);

/// Runs all trainings that are not finished, seed by seed, so that what is there when one stops is comparable. One that
/// diverges is left as it is. Returns the signal's code when one was stopped. Throws UsageError when another training
/// lies in the place of one of them.
ExitCode train_contestants(const std::vector<Contestant>& contestants, const CompareRequest& request,
                           const ComparisonFolder& folder);

}  // namespace genzoo
