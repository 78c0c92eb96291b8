#pragma once
// Into how many shards configs had best split their batches, for `genzoo bench tune CONFIG...`.

#include <string>
#include <vector>

#include "core/error.h"
#include "tools/arguments.h"

namespace genzoo {

/// Measures each config with 1, 2, 4, ... shards in turn, and prints their times and the line to write in the config.
/// Throws UsageError, before the first is measured, for a config that is unknown, does not train, or whose batch cannot
/// be split.
ExitCode tune_shards(const std::vector<std::string>& configs, const Arguments& arguments);

}  // namespace genzoo
