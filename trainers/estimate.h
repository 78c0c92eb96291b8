#pragma once
// What an experiment will cost, told before its first step.

#include <cstdint>
#include <string>

#include "data/dataset.h"
#include "trainers/experiment.h"

namespace genzoo {

/// Costs of one training step, measured on one forward and backward pass over a batch of the data, without an update.
struct CostEstimate {
  int64_t parameters = 0;
  double flops_per_step = 0.0;   ///< matrix products, convolutions, attention; a multiply and an add are two
  int64_t weights_bytes = 0;     ///< parameters, gradients, moments, averages
  int64_t activation_bytes = 0;  ///< peak of what a pass allocates besides
  int64_t data_bytes = 0;        ///< the splits in memory
  std::string describe() const;  ///< lines for people
};

CostEstimate estimate_cost(const ExperimentConfig& config, const Dataset& dataset);

}  // namespace genzoo
