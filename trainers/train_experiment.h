#pragma once
// One experiment from its config to a finished run folder: what `train` does once its command line is read.

#include <filesystem>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "trainers/experiment.h"
#include "trainers/run_folder.h"
#include "trainers/trainer.h"

namespace genzoo {

/// Where and how an experiment is run.
struct TrainRequest {
  std::filesystem::path run;  ///< empty: runs/<experiment>
  bool resume = false;
  bool device_chosen = false;   ///< asked for on the command line, not merely standing in the config; so too:
  bool threads_chosen = false;  ///< what a resumed run is told otherwise to take from itself
  bool shards_chosen = false;
  bool quiet = false;
  bool terminal = false;     ///< stderr is a terminal
  std::string command_line;  ///< for run.json
  DataPlaces places;
};

/// Where a request's run lies: its own folder, or runs/<experiment>.
RunFolder run_folder_of(const ExperimentConfig& config, const TrainRequest& request);

/// The data of a run's config. Where the tokenizer that they name is gone, the run's own copy of it stands in.
Choice data_of_run(const ExperimentConfig& config, const RunFolder& run);

/// Throws UsageError when the folder holds a run already and the request is not to go on with it.
void require_free(const RunFolder& run, const TrainRequest& request);

/// Trains an experiment in its run folder: checks the folder, opens the data, resumes if asked to, and leaves run.json
/// telling how it ended. Throws UsageError when the folder holds a run already or the resumed config differs.
TrainOutcome train_experiment(ExperimentConfig config, const TrainRequest& request);

/// How a changed config stands to the run it resumes.
struct ConfigChanges {
  std::vector<std::string> refused;  ///< "train.batch_size: 64 in the run, 128 now"
  std::vector<std::string> warned;   ///< device, threads, shards, cuda_graph: allowed, the bytes may differ
};
ConfigChanges compare_configs(ExperimentConfig& run, ExperimentConfig& now);

}  // namespace genzoo
