#pragma once
// The loop every family shares. What a step does is the Step's affair; what a batch is, the source's.

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "data/dataset.h"
#include "models/model.h"
#include "trainers/checkpoint.h"
#include "trainers/ema.h"
#include "trainers/experiment.h"
#include "trainers/fine_tuning.h"
#include "trainers/observer.h"
#include "trainers/run_folder.h"
#include "trainers/step.h"

namespace genzoo {

/// How a training ended.
struct TrainOutcome {
  ExitCode code = ExitCode::done;
  int64_t step = 0;
  std::string reason;                     ///< "finished", "stopped by SIGINT"
  std::optional<double> validation_loss;  ///< the last one
  double seconds = 0.0;
};

/// A model, a step, a source and those who watch: one training in one run folder.
class Trainer final {
 public:
  /// The experiment's device and threads are resolved already. Throws UsageError when model and data do not fit.
  Trainer(ExperimentConfig config, const Dataset& dataset, RunFolder run);

  Trainer(const Trainer&) = delete;  // its step refers to its model
  Trainer& operator=(const Trainer&) = delete;

  /// Tells also this one of what happens.
  void add(std::unique_ptr<Observer> observer) { observers_.push_back(std::move(observer)); }

  /// Goes on from a checkpoint, or, when there was none yet, from the start. Throws RunError if it does not fit.
  void load(const std::filesystem::path& checkpoint);
  void restart() { resumed_ = true; }

  /// Begins with other weights than those that were drawn: fine_tuning.h. Before anything else is asked of it.
  void start_from(const ParentWeights& parent);

  /// Trains to the last step, or until a signal comes. Throws DivergedError at a non-finite number; the last
  /// checkpoint is then still good.
  TrainOutcome run();

  /// One update like those of run(), of which no observer is told: its loss, (), on the device. To measure its speed.
  Tensor update();
  /// Examples, of text tokens, that an update learns from.
  int64_t items_per_update() const { return items_per_update_; }

  int64_t steps_done() const { return steps_done_; }
  const AnyModel& model() const { return model_; }

 private:
  Terms advance(bool measured);  // one update, and the average after it
  bool due(int64_t every) const { return steps_done_ % every == 0 || steps_done_ == config_.train.steps; }
  void log(const Terms& terms, const std::function<double()>& clock);
  void validate(double seconds);
  void monitor();
  void histograms();
  void sample();
  void save();
  NamedTensors state() const;
  void require_finite(const NamedTensors& state) const;  // parameters, buffers, moments, averages
  std::string last_good() const;                         // for messages: which checkpoint is left

  ExperimentConfig config_;
  DataSpec spec_;
  RunFolder run_;
  torch::Device device_;
  AnyModel model_;
  std::unique_ptr<Step> step_;
  std::unique_ptr<Ema> ema_;
  std::string parent_;      ///< CheckpointInfo::parent
  std::string ema_prefix_;  ///< of the averaged module's names within the model's: "generator." or ""
  TrainingSource source_;
  int64_t items_per_update_ = 0;  ///< examples, of text tokens
  std::optional<EvaluationSource> validation_;
  int64_t validation_tokens_ = 0;  ///< of pairs: of all targets of a validation
  Batch monitored_;                ///< what the model's monitors look at; undefined when it has none
  Split monitored_split_ = Split::validation;
  std::vector<std::unique_ptr<Observer>> observers_;

  bool resumed_ = false;
  int64_t steps_done_ = 0;
  int64_t last_saved_ = -1;
  std::optional<double> validation_loss_;  ///< of the last validation
  double seconds_before_ = 0.0;            ///< of training, before the run was resumed
  double logged_at_ = 0.0;                 ///< seconds at the last log line; for items_per_s
  int64_t logged_step_ = 0;
};

}  // namespace genzoo
