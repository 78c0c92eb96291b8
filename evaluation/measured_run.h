#pragma once
// One training of a contestant, measured under the comparison's protocol.

#include <filesystem>
#include <string>

#include "data/dataset.h"
#include "evaluation/comparison.h"
#include "evaluation/sample_metrics.h"
#include "trainers/checkpoint.h"

namespace genzoo {

/// What is the same for all.
struct Protocol {
  Split split = Split::test;
  int64_t k = 1;         ///< draws an example for a likelihood that is a bound
  int64_t examples = 0;  ///< of the split, for likelihoods; 0: all
  int64_t samples = 0;   ///< drawn from each model
};

/// Likelihood and monitors of the split, profiles of models of pairs, metrics of `protocol.samples` samples (where the
/// model draws any and `real` is there), and what the training cost as its run folder tells. `dataset` is the one it
/// was trained on.
ComparedRun measure_run(const LoadedModel& loaded, const Dataset& dataset, const SampleMetrics* real,
                        const Protocol& protocol);

}  // namespace genzoo
