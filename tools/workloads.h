#pragma once
// The workloads of bench, and their measurement by processes of their own.

#include <filesystem>
#include <string>
#include <vector>

#include "core/error.h"
#include "tools/arguments.h"
#include "trainers/experiment.h"

namespace genzoo {

/// The names of configs/bench, sorted.
std::vector<std::string> all_workloads();

/// The config of a workload's name, or of a path. Throws UsageError with the known names.
std::filesystem::path config_of(const std::string& workload);

/// The workload's experiment as --set, --precision, --threads and --device change it, and `more` assignments do.
ExperimentConfig read_workload(const std::string& workload, const Arguments& arguments,
                               const std::vector<std::string>& more = {});

/// How a measuring process ended, and what it printed: a line of JSON. Its errors went to stderr.
struct Ended {
  ExitCode code;
  std::string text;
};

/// Measures a workload for `seconds`, in a process that is told what `arguments` say besides, and then `more`.
Ended measure_apart(const std::string& workload, const Arguments& arguments, double seconds,
                    const std::vector<std::string>& more = {});

}  // namespace genzoo
