#pragma once
// Who takes part in a comparison: models that are to be trained, and models that are trained already.

#include <filesystem>
#include <string>
#include <vector>

#include "evaluation/budget.h"
#include "trainers/experiment.h"

namespace genzoo {

/// One training of a contestant.
struct Training {
  int64_t seed = 0;
  std::filesystem::path run;  ///< its folder; of a given model perhaps one checkpoint file
};

/// A model of the comparison.
struct Contestant {
  std::string name;         ///< its experiment's
  ExperimentConfig config;  ///< as given; of trained ones the first seed's
  bool to_train = true;     ///< by the comparison; false: somebody trained it before
  std::vector<Training> trainings;
};

/// Reads the inputs, which are configs, run folders and checkpoint files, in the order given. A config is to be trained
/// with seeds 0 ... seeds - 1 in `out`/runs/<experiment>/seed-<s>/. Given runs whose configs differ in nothing but
/// seed, device and threads are seeds of one contestant. Throws UsageError: an input that is not there, a run without a
/// checkpoint, two contestants of one name, no input at all.
std::vector<Contestant> read_contestants(const std::vector<std::string>& inputs, const std::filesystem::path& out,
                                         int64_t seeds);

/// The config of one training of a contestant: its seed, `steps` (0: its own), and, under a budget, the comparison's
/// own cadences, which disturb the training ten times and not more.
ExperimentConfig config_of_training(const Contestant& contestant, const Training& training, int64_t steps);

/// The config with its seed, device and threads at their defaults, as text: what makes two runs the same experiment.
std::string experiment_identity(ExperimentConfig config);

}  // namespace genzoo
