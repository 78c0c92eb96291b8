#include "evaluation/trainings.h"

#include <fmt/format.h>

#include <algorithm>

#include "models/registry.h"
#include "trainers/run_folder.h"
#include "trainers/timing.h"
#include "trainers/train_experiment.h"
#include "trainers/trainer.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

std::string steps_name(const Contestant& c) { return "steps of " + c.name; }

/// A finished training is this comparison's own, not another that was put in its place.
void require_training(const ExperimentConfig& wanted, const fs::path& run) {
  const auto found = read_config<ExperimentConfig>(ConfigSource::from_file(RunFolder(run).config()));
  if (found.seed == wanted.seed && experiment_identity(found) == experiment_identity(wanted)) return;
  throw UsageError(
      fmt::format("{}: another training lies there, with another config; name another --out", run.string()));
}

ExitCode train_one(const Contestant& c, const Training& training, const CompareRequest& asked,
                   const ComparisonFolder& folder) {
  const std::string status = fs::exists(training.run) ? summarize_run(training.run).status : "";
  const ExperimentConfig config = config_of_training(c, training, *folder.decided(steps_name(c)));
  if (status == "finished" || status == "diverged") {
    require_training(config, training.run);
    return ExitCode::done;
  }
  asked.progress(fmt::format("training {}, seed {}", c.name, training.seed));
  TrainRequest request;
  request.run = training.run;
  request.resume = RunFolder(training.run).has_run();
  request.quiet = asked.quiet;
  request.terminal = asked.terminal;
  request.command_line = asked.command_line;
  request.places = asked.places;
  try {
    return train_experiment(config, request).code;
  } catch (const DivergedError& error) {
    asked.progress(fmt::format("{}, seed {}: {}", c.name, training.seed, error.what()));
    return ExitCode::done;  // a row of its own in the report
  }
}

/// Such a model takes its one step whatever the budget.
bool learns_in_one_pass(const Contestant& c, SharedData& data) {
  return static_cast<bool>(make_model(c.config.model, data.of(c.config).spec, /*seed=*/0).can.fit);
}

}  // namespace

void decide_steps(const std::vector<Contestant>& contestants, SharedData& data, const CompareRequest& request,
                  ComparisonFolder& folder) {
  for (const Contestant& c : contestants) {
    if (!c.to_train || folder.decided(steps_name(c))) continue;
    int64_t steps = 0;  // its own
    if (learns_in_one_pass(c, data)) {
      folder.decide(steps_name(c), steps);
      continue;
    }
    if (const auto* budget = std::get_if<StepsBudget>(&request.budget)) steps = budget->steps;
    if (const auto* budget = std::get_if<SecondsBudget>(&request.budget)) {
      ExperimentConfig config = config_of_training(c, c.trainings[0], 0);
      set_up_compute(config.threads, config.train.deterministic);
      config.device = resolve_device(config.device).str();
      Trainer timed(config, data.of(c.config), RunFolder(fs::path()));
      const double seconds = seconds_per_update(timed, kTimingShare * budget->seconds);
      steps = steps_within(*budget, seconds);
      request.progress(fmt::format("{}: {:.1f} ms a step, so {} steps in {}", c.name, 1e3 * seconds, steps,
                                   describe(request.budget)));
    }
    folder.decide(steps_name(c), steps);
  }
}

ExitCode train_contestants(const std::vector<Contestant>& contestants, const CompareRequest& request,
                           const ComparisonFolder& folder) {
  int64_t most = 0;
  for (const Contestant& c : contestants) most = std::max(most, static_cast<int64_t>(c.trainings.size()));
  for (int64_t round = 0; round < most; ++round) {
    for (const Contestant& c : contestants) {
      if (!c.to_train || round >= static_cast<int64_t>(c.trainings.size())) continue;
      const ExitCode code = train_one(c, c.trainings[static_cast<size_t>(round)], request, folder);
      if (code != ExitCode::done) return code;
    }
  }
  return ExitCode::done;
}

}  // namespace genzoo
