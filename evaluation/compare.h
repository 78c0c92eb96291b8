#pragma once
// One protocol for all: trains what is not trained yet under one budget, evaluates everything alike, writes the report.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/error.h"
#include "data/dataset.h"
#include "evaluation/budget.h"
#include "evaluation/external.h"
#include "evaluation/features.h"

namespace genzoo {

/// What is asked of a comparison.
struct CompareRequest {
  std::vector<std::string> inputs;  ///< configs, run folders, checkpoint files
  std::vector<ExternalSource> externals;
  std::filesystem::path out;       ///< the report's folder
  Budget budget;                   ///< of configs; given runs are as they are
  int64_t seeds = 3;               ///< trainings of each config
  int64_t samples = 10000;         ///< drawn from each model, at most
  double sampling_seconds = 60.0;  ///< a model may take to draw them; a slower one lowers the count for all
  int64_t k = 1;                   ///< draws an example for a likelihood that is a bound
  int64_t examples = 0;            ///< of the split, for likelihoods; 0: all
  std::string device;              ///< for training and evaluation; empty: each config's own
  int64_t threads = 0;             ///< 0: all cores
  bool quiet = false;
  bool terminal = false;  ///< stderr is a terminal
  std::string command_line;
  std::filesystem::path inception;  ///< weights for Inception features; empty: without
  DataPlaces places;
  Progress progress;  ///< told what happens
};

/// Writes report.html, report.md, results.json, results.csv and grids.png into `out`. The same request on the same
/// folder goes on where it stopped and repeats nothing that is done. Throws UsageError before anything is trained:
/// inputs of different data sets, a folder with something else in it. A training that diverges is a marked row. Returns
/// the signal's code when one stopped a training, ExitCode::diverged when no training came through.
ExitCode compare(const CompareRequest& request);

}  // namespace genzoo
