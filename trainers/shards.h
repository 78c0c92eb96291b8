#pragma once
// A batch split into equal parts, each with statistics and randomness of its own. Gradients of the parts are added in a
// fixed binary tree, so who computes a part, and when, does not change a bit of the sum.
//
// With several shards each is computed by one thread, on a replica of the model whose parameters are views of the same
// values. The number of threads is the process's; 8 shards on 1, 2 or 4 threads give the same bytes.

#include <functional>
#include <memory>
#include <vector>

#include "core/workers.h"
#include "data/dataset.h"
#include "models/model.h"
#include "trainers/optimizer.h"

namespace genzoo {

/// Rows [shard B / S, (shard + 1) B / S) of a batch.
Batch shard_of(const Batch& batch, int64_t shard, int64_t shards);

/// How many workers compute so many shards of a model on the CPU: as many as LibTorch has threads, at most one a shard.
int64_t workers_for(int64_t shards);

/// Adds tensors pairwise, level by level: ((0+1)+(2+3))+... . Their number is a power of two. In place: the sum is the
/// first, which is returned.
Tensor tree_sum(std::vector<Tensor> parts);

/// The replicas of a model that compute its shards.
class Shards final {
 public:
  /// `shards` is a power of two; with one there are no replicas. workers_for(shards) of them, or one, if the model has
  /// no twin.
  Shards(AnyModel& model, int64_t shards);

  int64_t count() const { return count_; }
  /// Who computes large pieces; nullptr with one shard, where LibTorch's own threads share every operator.
  Workers* workers() const { return workers_.get(); }
  /// All models there are, the given one first.
  std::vector<AnyModel*> models();

  /// A set of parameters that learns: the module that `player` picks from a model, in every replica.
  class Learner final {
   public:
    using Player = std::function<torch::nn::Module&(AnyModel&)>;
    Learner(Shards& shards, FlatParameters& parameters, const Player& player);

   private:
    friend class Shards;
    FlatParameters* whole_;
    std::vector<FlatParameters> replicas_;  ///< one a worker; empty with one shard
  };

  /// Runs `part` for each shard on the model it is given, which adds that shard's gradient of the mean loss of the
  /// shard to the learner's parameters and returns the shard's terms. Leaves the mean of the gradients added to what
  /// the learner's had, and in the model's floating-point buffers the mean of what each shard made of them (batch
  /// statistics). Returns the mean of the terms.
  Terms accumulate(Learner& learner, const std::function<Terms(int64_t shard, AnyModel& model)>& part);

 private:
  struct Outcome;
  void compute(int worker, Learner& learner, const std::function<Terms(int64_t, AnyModel&)>& part,
               const std::vector<Tensor>& buffers, std::vector<Outcome>& outcomes);

  AnyModel& model_;
  int64_t count_;
  std::vector<AnyModel> twins_;  ///< of the workers but the first
  std::unique_ptr<Workers> workers_;
};

}  // namespace genzoo
