#include "evaluation/contestants.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "core/error.h"
#include "trainers/checkpoint.h"
#include "trainers/fine_tuning.h"
#include "trainers/run_folder.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kPauses = 10;                // validations and checkpoints of a training under a budget
constexpr int64_t kLogLines = 100;             // of it
constexpr int64_t kValidationExamples = 1000;  // a curve needs no more, and slow models would pay for it

bool is_config(const fs::path& input) { return input.extension() == ".yaml" || input.extension() == ".yml"; }

Contestant from_config(const fs::path& input, const fs::path& out, int64_t seeds) {
  Contestant contestant;
  ConfigSource source = ConfigSource::from_file(input);
  inherit_settings(source);
  contestant.config = read_config<ExperimentConfig>(source);
  contestant.name = contestant.config.experiment;
  for (int64_t seed = 0; seed < seeds; ++seed) {
    contestant.trainings.push_back({seed, out / "runs" / contestant.name / fmt::format("seed-{}", seed)});
  }
  return contestant;
}

Contestant from_run(const fs::path& input) {
  std::error_code none;
  if (fs::is_regular_file(input, none) && input.extension() != ".safetensors") {
    throw UsageError(
        fmt::format("{}: it is no config (whose name ends in .yaml), no run folder and no checkpoint", input.string()));
  }
  const fs::path checkpoint = find_checkpoint(input, Which::newest);  // throws when there is none
  const CheckpointInfo info = read_checkpoint(checkpoint).info;
  Contestant contestant;
  contestant.config = read_config<ExperimentConfig>(ConfigSource::from_text(info.config, checkpoint.string()));
  contestant.name = contestant.config.experiment;
  contestant.to_train = false;
  contestant.trainings.push_back({contestant.config.seed, input});
  return contestant;
}

/// Adds a given run to the contestant whose further seed it is, if there is one.
bool joined(std::vector<Contestant>& contestants, const Contestant& run) {
  const std::string identity = experiment_identity(run.config);
  for (Contestant& other : contestants) {
    if (other.to_train || experiment_identity(other.config) != identity) continue;
    const Training& training = run.trainings[0];
    for (const Training& t : other.trainings) {
      if (t.seed != training.seed) continue;
      throw UsageError(fmt::format("{} and {} are the same experiment with the same seed {}; give one of them",
                                   t.run.string(), training.run.string(), t.seed));
    }
    other.trainings.push_back(training);
    std::ranges::sort(other.trainings, {}, &Training::seed);
    return true;
  }
  return false;
}

/// Contestants of one name are told apart by where they lie; two configs of one name would share their runs' folder.
void require_names(std::vector<Contestant>& contestants) {
  std::map<std::string, std::vector<Contestant*>> by_name;
  for (Contestant& c : contestants) by_name[c.name].push_back(&c);
  for (auto& [name, same] : by_name) {
    if (same.size() == 1) continue;
    if (std::ranges::count_if(same, &Contestant::to_train) > 1) {
      throw UsageError(fmt::format("two configs have the experiment '{}'; give one of them another name", name));
    }
    for (Contestant* c : same) {
      if (!c->to_train) c->name = fmt::format("{} ({})", name, c->trainings[0].run.string());
    }
  }
}

}  // namespace

std::string experiment_identity(ExperimentConfig config) {
  const ExperimentConfig defaults;
  config.seed = defaults.seed;
  config.device = defaults.device;
  config.threads = defaults.threads;
  return write_config(config);
}

std::vector<Contestant> read_contestants(const std::vector<std::string>& inputs, const fs::path& out, int64_t seeds) {
  if (inputs.empty()) throw UsageError("nothing to compare; name configs, run folders or checkpoint files");
  std::vector<Contestant> contestants;
  for (const fs::path input : inputs) {
    Contestant contestant = is_config(input) ? from_config(input, out, seeds) : from_run(input);
    if (contestant.to_train || !joined(contestants, contestant)) contestants.push_back(std::move(contestant));
  }
  require_names(contestants);
  return contestants;
}

ExperimentConfig config_of_training(const Contestant& contestant, const Training& training, int64_t steps) {
  ExperimentConfig config = contestant.config;
  config.seed = training.seed;
  if (steps == 0) return config;
  TrainConfig& train = config.train;
  const auto every = [&](int64_t times) { return std::max<int64_t>(1, steps / times); };
  train.steps = steps;
  train.every.log = every(kLogLines);
  train.every.validate = train.every.save = every(kPauses);
  train.every.sample = steps;
  train.keep = 1;
  if (train.validate_examples == 0 || train.validate_examples > kValidationExamples) {
    train.validate_examples = kValidationExamples;
  }
  return config;
}

}  // namespace genzoo
