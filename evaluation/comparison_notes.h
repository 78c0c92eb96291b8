#pragma once
// What a reader must know before trusting a comparison as a whole.

#include <string>
#include <vector>

#include "evaluation/budget.h"
#include "evaluation/comparison.h"

namespace genzoo {

/// Sentences, none where all is as it should be: how the budget was kept, whether trainings differ in device or
/// program, and that none came through.
std::vector<std::string> training_notes(const Comparison& comparison, const Budget& budget);

/// Whether all trainings of this comparison diverged; false when there were none.
bool all_diverged(const Comparison& comparison);

inline constexpr const char* kAllDiverged =
    "every training diverged, and what was measured is of the last checkpoints before; a lower lr or a clip_norm may "
    "help";

}  // namespace genzoo
