#pragma once
// How fast an experiment trains, or, when it has no steps, generates: measured in this process, which should do nothing
// else before, so that its start and its memory mean something.

#include <cstdint>
#include <optional>
#include <string>

#include "core/json.h"
#include "data/dataset.h"
#include "evaluation/machine_limits.h"
#include "models/model.h"
#include "trainers/experiment.h"

namespace genzoo {

/// One line of a benchmark.
struct Benchmark {
  std::string workload, precision;  ///< of decoding: of the weights, "int8" too
  std::string data;                 ///< "debd_nltcs: vectors of ..."; or that others of the same size stand in
  int64_t threads = 0, batch = 0;
  double seconds = 0.0, seconds_min = 0.0, seconds_max = 0.0;  ///< a step, or token: median and extremes of the windows
  double items_per_second = 0.0;
  std::string unit;  ///< "samples/s", "tokens/s"
  int64_t parameters = 0;
  double flops = 0.0;           ///< of a step, or token: products, convolutions, attention
  double bytes = 0.0;           ///< of a token: the weights, each read once; 0 for training
  double start_to_first = 0.0;  ///< seconds from the start of the process to the end of the first step
  double start_to_step = 0.0;   ///< the same to its beginning
  int64_t peak_memory = 0;      ///< bytes, largest resident size of the process
  int64_t step_memory = 0;      ///< the same since the first step began: without what opening the data took for a while
  int64_t start_memory = 0;     ///< held before the first step: the program, its data, the weights
  std::optional<double> loss_first, loss_last;
  double others = 0.0;  ///< share of the machine that other processes used meanwhile

  /// The keys of the rivals' scripts, and more. With `limits` also the shares of them.
  Json to_json(const std::optional<MachineLimits>& limits = {}) const;
};

/// Measures for about `seconds`. The experiment's device and threads are taken as they are there. Text is generated
/// with weights of `weight_type`, or without one of train.precision. Throws UsageError for a model that has neither
/// steps nor texts to measure. Where the data are missing and others can stand in, they do.
Benchmark run_benchmark(ExperimentConfig config, double seconds, const DataPlaces& places,
                        std::optional<WeightType> weight_type = {});

}  // namespace genzoo
