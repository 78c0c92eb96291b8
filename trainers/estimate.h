#pragma once
// What an experiment will cost, told before its first step.

#include <cstdint>
#include <string>

#include "data/dataset.h"
#include "trainers/experiment.h"

namespace genzoo {

/// Costs of one training step, measured on one forward and backward pass over a batch of the data, or over one shard of
/// it, without an update; of a model that counts, on the whole text. Of an experiment without steps, and with texts to
/// generate, those of a token.
struct CostEstimate {
  int64_t parameters = 0;
  double flops_per_step = 0.0;   ///< matrix products, convolutions, attention; a multiply and an add are two
  int64_t program_bytes = 0;     ///< LibTorch, what its libraries keep for themselves, memory that lies between blocks
  int64_t weights_bytes = 0;     ///< parameters, gradients (every worker's), moments, averages; or counts
  int64_t activation_bytes = 0;  ///< peak of what a pass allocates besides, in all workers
  int64_t data_bytes = 0;        ///< the splits in memory
  int64_t opening_bytes = 0;     ///< held at most before the model was made: what opening the data took
  bool trains = true;
  bool counts = false;  ///< it trains by counting, without gradients

  /// The largest resident size of the process that is to be expected.
  int64_t memory_bytes() const;
  std::string describe() const;  ///< lines for people
};

/// To be called in a process that has done nothing but open the data, so that what it holds is what a training would.
/// On another device than the CPU the numbers are those of a pass on the CPU.
CostEstimate estimate_cost(const ExperimentConfig& config, const Dataset& dataset);

}  // namespace genzoo
