#pragma once
// A batch split into equal parts, each with statistics and randomness of its own. Gradients of the parts are added in a
// fixed binary tree, so who computes a part, and when, does not change a bit of the sum.

#include <functional>

#include "data/dataset.h"
#include "models/model.h"
#include "trainers/optimizer.h"

namespace torch::nn {
class Module;  // its own header costs every file that includes it a second to compile
}

namespace genzoo {

/// Rows [shard B / S, (shard + 1) B / S) of a batch.
Batch shard_of(const Batch& batch, int64_t shard, int64_t shards);

/// Runs `part(shard)` for each shard, which adds that shard's gradient into `parameters` and returns its terms. Leaves
/// the mean of the shards' gradients added to what was there, the mean of the terms as the result, and the mean of what
/// each shard made of the module's floating-point buffers (batch statistics) in `module`. With one shard: just
/// part(0). With more, each part runs on one thread.
Terms for_each_shard(int64_t shards, torch::nn::Module& module, FlatParameters& parameters,
                     const std::function<Terms(int64_t shard)>& part);

/// Adds tensors pairwise, level by level: ((0+1)+(2+3))+... . Their number is a power of two. In place: the sum is the
/// first, which is returned.
Tensor tree_sum(std::vector<Tensor> parts);

}  // namespace genzoo
