#pragma once
// What is looked at before hours of training: may these contestants be compared, and is it the comparison that a folder
// holds already?

#include <vector>

#include "core/json.h"
#include "evaluation/compare.h"
#include "evaluation/contestants.h"
#include "evaluation/shared_data.h"

namespace genzoo {

/// Contestants learn from the same data, though they may treat them differently, fit them and have something to
/// compare; external samples and Inception's weights fit the data too. Throws UsageError when not, RunError for a
/// damaged file.
void require_comparable(const CompareRequest& request, const std::vector<Contestant>& contestants, SharedData& data);

/// Everything that decides the numbers: configs, seeds, digests of data and files, budget, counts, devices.
Json what_decides(const CompareRequest& request, const std::vector<Contestant>& contestants, SharedData& data);

}  // namespace genzoo
