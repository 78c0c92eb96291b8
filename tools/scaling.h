#pragma once
// How cost grows with the keys of configs, for `genzoo bench scaling [WORKLOAD...]`.

#include <string>
#include <vector>

#include "core/error.h"
#include "tools/arguments.h"

namespace genzoo {

/// Measures each workload along each --axis, or takes what --from names, prints a table and findings of each, and draws
/// them all into --out. Throws UsageError or ConfigError, before the first is measured, for a workload or key that is
/// unknown and for a value that a config does not take.
ExitCode show_scaling(const std::vector<std::string>& workloads, const Arguments& arguments);

}  // namespace genzoo
