#pragma once
// Updates that are recorded once and then replayed. On a GPU much of a small model's step is the launching of its
// hundreds of kernels one by one; recorded as a graph they are launched all at once.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "trainers/step.h"

namespace genzoo {

/// Records what a device is asked to do, so that all of it can be done again at once, in the same memory.
class Recorder {
 public:
  using Work = std::function<void()>;
  virtual ~Recorder() = default;

  /// Does the work as it will be recorded: what it needs besides tensors (handles, workspaces) is there afterwards.
  virtual void rehearse(const Work& work) = 0;
  /// Calls the work, of which the device only takes note. Once. Throws UsageError when it cannot be recorded.
  virtual void record(const Work& work) = 0;
  /// Does what was recorded.
  virtual void replay() = 0;
};

/// The updates of another step, recorded. What changes from one to the next lies in tensors that stay where they are
/// and are filled before each replay: batches, draws, learning rates. The draws come from the same streams in the same
/// order, so that a replay computes what the step itself would have, to the byte.
///
/// The step itself makes the updates that are measured, those before the loss settles, and two more, from which it is
/// seen what an update asks for; all are updates of the training, none is made twice.
class GraphedStep final : public Step {
 public:
  /// `settles_at`: Abilities::loss_settles_at. The config is the inner step's.
  GraphedStep(std::unique_ptr<Step> inner, StepConfig config, int64_t settles_at, std::unique_ptr<Recorder> recorder);

  Terms update(const StepInputs& inputs, int64_t step, bool measured) override;
  std::vector<std::pair<std::string, Optimizer*>> optimizers() override { return inner_->optimizers(); }
  std::optional<double> learning_rate_at(int64_t step) const override { return inner_->learning_rate_at(step); }
  int64_t batches_per_update() const override { return inner_->batches_per_update(); }

 private:
  /// What a step asked for, in order.
  struct Rehearsal {
    struct Stream {
      int64_t index, shard;
    };
    int64_t step;
    std::vector<int64_t> indices;  ///< of batches
    std::vector<Batch> batches;
    std::vector<Stream> streams;
    Terms terms;
  };
  /// The number of a batch: a linear function of the step's.
  struct Index {
    int64_t slope, offset;
    int64_t at(int64_t step) const { return slope * step + offset; }
  };
  struct StaticBatch {
    Index index;
    Batch batch;
  };
  struct StaticDraws {
    Index index;
    int64_t shard;
    std::unique_ptr<DrawTape> tape;
  };

  Terms rehearse(const StepInputs& inputs, int64_t step);
  void prepare();
  void record(int64_t step);
  void fill(const StepInputs& inputs, int64_t step);
  Terms terms() const;

  std::unique_ptr<Step> inner_;
  StepConfig config_;
  int64_t settles_at_;
  std::vector<Rehearsal> rehearsals_;

  std::vector<StaticBatch> batches_;
  std::vector<StaticDraws> draws_;
  size_t next_batch_ = 0, next_draws_ = 0;  ///< of those that the work has taken
  std::vector<std::string> names_;          ///< of the terms
  Tensor values_;                           ///< (terms) float32
  torch::Device device_ = torch::kCPU;
  bool recorded_ = false;
  std::unique_ptr<Recorder> recorder_;  ///< last: what it recorded goes before the memory that it works on
};

}  // namespace genzoo
