#pragma once
// How data become an update. There are three kinds, and the model's type chooses: one loss, two players, or counting.

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/dataset.h"
#include "models/model.h"
#include "trainers/experiment.h"
#include "trainers/optimizer.h"
#include "trainers/precision.h"
#include "trainers/schedule.h"
#include "trainers/shards.h"

namespace genzoo {

/// What the kinds of step that descend need to know.
struct StepConfig {
  uint64_t seed = 0;
  int64_t steps = 1;       ///< of the whole training, for the schedule
  int64_t accumulate = 1;  ///< batches whose gradients are averaged into one update
  int64_t shards = 1;      ///< equal parts of a batch, each with statistics and randomness of its own
  double clip_norm = 0.0;  ///< 0: gradients are not clipped
  Precision precision = Precision::float32;
  ScheduleConfig schedule;
};

/// The training data: batch number `index`, a pure function.
using BatchSource = std::function<Batch(int64_t index)>;

/// All that is new in an update, its number aside. The batches, as a rule; whoever records updates to repeat them puts
/// tensors of its own in the place of everything that changes.
struct StepInputs {
  template <std::invocable<int64_t> Source>
  StepInputs(Source source) : batch(std::move(source)) {}  // a source of batches is enough

  BatchSource batch;
  /// The draws of a loss: of shard `shard` of batch `index`. Empty: those of the step's own seed.
  std::function<Rng(int64_t index, int64_t shard, torch::Device device)> stream = {};
  /// The optimizers were told their learning rates.
  bool rates_are_set = false;
};

/// The stream that the inputs name, or the one of this seed.
Rng loss_stream(const StepInputs& inputs, uint64_t seed, int64_t index, int64_t shard, torch::Device device);

/// One optimization step: batches in, updated parameters and numbers for the log out. A step owns its optimizers. What
/// it does is a pure function of the parameters, the optimizers' state and the step's number. It knows nothing of
/// epochs, clocks, files or screens.
class Step {
 public:
  virtual ~Step() = default;

  /// Update number `step` (from 0). The terms are detached scalars on the device; "loss" is among them.
  ///
  /// When it is `measured` there are also, of each optimizer, gradient_norm, before it is clipped (always there when it
  /// is), and update_ratio, |change of the weights| / |weights before it|: about 1e-3 is usual; two players' have their
  /// names before them. What is trained is the same.
  virtual Terms update(const StepInputs& inputs, int64_t step, bool measured = false) = 0;

  /// The optimizers by name ("" when there is one; none when it counts), for checkpoints.
  virtual std::vector<std::pair<std::string, Optimizer*>> optimizers() = 0;
  /// The learning rate of a step, as the log shows it: the first optimizer's; nothing without one.
  virtual std::optional<double> learning_rate_at(int64_t step) const = 0;
  /// Batches whose examples an update learns from; of two players: the generator's.
  virtual int64_t batches_per_update() const = 0;
};

/// For a model with one loss.
class GradientStep final : public Step {
 public:
  GradientStep(AnyModel& model, const OptimizerConfig& optimizer, StepConfig config);
  Terms update(const StepInputs& inputs, int64_t step, bool measured) override;
  std::vector<std::pair<std::string, Optimizer*>> optimizers() override { return {{"", &optimizer_}}; }
  std::optional<double> learning_rate_at(int64_t step) const override;
  int64_t batches_per_update() const override { return config_.accumulate; }

 private:
  StepConfig config_;
  Optimizer optimizer_;
  Shards shards_;
  Shards::Learner learner_;
};

/// For two players: n_critic discriminator updates, then one of the generator. Goodfellow et al. (2014), algorithm 1.
/// The generator plays against the fakes that the last discriminator update saw.
class AdversarialStep final : public Step {
 public:
  AdversarialStep(AnyModel& model, const OptimizerConfig& generator, const OptimizerConfig& discriminator,
                  StepConfig config);
  Terms update(const StepInputs& inputs, int64_t step, bool measured) override;
  std::vector<std::pair<std::string, Optimizer*>> optimizers() override {
    return {{"generator", &generator_}, {"discriminator", &discriminator_}};
  }
  std::optional<double> learning_rate_at(int64_t step) const override;
  int64_t batches_per_update() const override { return 1; }

 private:
  int64_t n_critic_;
  StepConfig config_;
  Optimizer generator_;
  Optimizer discriminator_;
  Shards shards_;
  Shards::Learner generator_learner_, discriminator_learner_;
};

/// For a model that counts: one pass over all examples, whatever the batches. There is nothing to descend: no
/// optimizer, no schedule, no shards.
class FitStep final : public Step {
 public:
  FitStep(AnyModel& model, Examples training) : fit_(model.can.fit), training_(std::move(training)) {}
  Terms update(const StepInputs& inputs, int64_t step, bool measured) override;
  std::vector<std::pair<std::string, Optimizer*>> optimizers() override { return {}; }
  std::optional<double> learning_rate_at(int64_t) const override { return std::nullopt; }
  int64_t batches_per_update() const override { return 1; }

 private:
  std::function<Terms(const Examples&)> fit_;
  Examples training_;
};

/// Throws UsageError for settings that are for another kind of learning than the model's: another number of players,
/// or descent where it counts.
void require_settings(const TrainConfig& train, const AnyModel& model);

/// The step that a model's abilities call for. `generator` and `discriminator` are for two players;
/// `training`, all there is to learn from, is for a model that counts.
std::unique_ptr<Step> make_step(AnyModel& model, const OptimizerConfig& optimizer, const OptimizerConfig& generator,
                                const OptimizerConfig& discriminator, const StepConfig& config,
                                const Examples& training = {});

/// What a batch costs that is not learned from: the loss as it is after training; of a model that counts, the mean of
/// -log p per token, or per label, nats. Of one loss or none, not of two players. To be called in evaluation mode.
Loss held_out_loss(const AnyModel& model, const Batch& batch, Rng& rng);

}  // namespace genzoo
