#pragma once
// CUDA graphs as recordings of updates.

#include <torch/types.h>

#include <memory>

#include "trainers/graphed_step.h"

namespace genzoo {

/// A recorder for this CUDA device. Throws UsageError if the program was built without CUDA. What it recorded keeps the
/// memory that a step needs; a step that is not replayed takes as much besides.
///
/// Nobody has run it on a GPU yet: it is written to LibTorch's headers, 2.6 to 2.15, and compiled.
std::unique_ptr<Recorder> make_cuda_recorder(torch::Device device);

}  // namespace genzoo
