#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "core/json.h"
#include "tools/output.h"
#include "tools/verb.h"
#include "trainers/estimate.h"
#include "trainers/fine_tuning.h"
#include "trainers/train_experiment.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

ExperimentConfig read_experiment(const Arguments& arguments) {
  ConfigSource source = ConfigSource::from_file(arguments.text("CONFIG"));
  for (const auto& assignment : arguments.all("set")) source.set(assignment);
  inherit_settings(source);
  auto config = read_config<ExperimentConfig>(source);
  if (arguments.given("device")) config.device = arguments.text("device");
  if (arguments.given("threads")) config.threads = arguments.integer("threads");
  return config;
}

/// Whether --set overrides the key.
bool is_set(const Arguments& arguments, const std::string& key) {
  const auto overrides = arguments.all("set");
  return std::ranges::any_of(overrides, [&](const std::string& set) { return set.starts_with(key + "="); });
}

/// Everything but the training.
void rehearse(ExperimentConfig config, const TrainRequest& request) {
  config.device = resolve_device(config.device).str();
  config.threads = set_up_compute(config.threads, config.train.deterministic);
  const RunFolder run = run_folder_of(config, request);
  require_free(run, request);
  const Dataset dataset = open_dataset(run.has_run() ? data_of_run(config, run) : config.data, request.places);
  check_parent(config, dataset.spec);
  const std::string cost = estimate_cost(config, dataset).describe();
  if (request.quiet) return;
  print(write_config(config));
  print(fmt::format("\ndata: {}, {} to train on\n{}run folder: {}\n", dataset.spec.describe(),
                    dataset.count(Split::train), cost, run.path().string()));
}

/// The newest sample of a run, empty if there is none.
fs::path newest_sample(const RunFolder& run, int64_t step) {
  for (const char* extension : {".png", ".txt"}) {
    if (fs::exists(run.sample(step, extension))) return run.sample(step, extension);
  }
  return {};
}

void tell_where_things_are(const RunFolder& run, const TrainOutcome& outcome) {
  print(fmt::format("run: {}\n", run.path().string()));
  const fs::path sample = newest_sample(run, outcome.step);
  if (!sample.empty()) print(fmt::format("samples: {}\n", sample.string()));
  const fs::path animation = run.samples() / "animation.webp";
  if (fs::exists(animation)) print(fmt::format("animation: {}\n", animation.string()));
}

ExitCode run(const Arguments& arguments) {
  const ExperimentConfig config = read_experiment(arguments);
  const TrainRequest request{.run = arguments.has("run") ? arguments.text("run") : "",
                             .resume = arguments.flag("resume"),
                             .device_chosen = arguments.given("device") || is_set(arguments, "device"),
                             .threads_chosen = arguments.given("threads") || is_set(arguments, "threads"),
                             .shards_chosen = is_set(arguments, "train.shards"),
                             .quiet = arguments.flag("quiet"),
                             .terminal = isatty(STDERR_FILENO) == 1,
                             .command_line = arguments.command_line(),
                             .places = DataPlaces::from_environment()};
  if (arguments.flag("dry-run")) {
    rehearse(config, request);
    return ExitCode::done;
  }
  const TrainOutcome outcome = train_experiment(config, request);
  if (request.quiet) return outcome.code;
  if (outcome.code == ExitCode::done) {
    if (outcome.seconds == 0.0) print(fmt::format("{} at step {}\n", outcome.reason, outcome.step));
    tell_where_things_are(run_folder_of(config, request), outcome);
  } else {
    fmt::print(stderr, "genzoo: saved at step {}; go on with --resume\n", outcome.step);
  }
  return outcome.code;
}

}  // namespace

Verb train_verb() {
  const Range threads{0, 4096, false, false, "in [0, 4096]"};
  return {
      "train",
      "runs the experiment of a config",
      "CONFIG",
      "Everything is kept in the run folder, runs/<experiment> unless --run says otherwise. Ctrl-C saves a checkpoint\n"
      "and ends; --resume goes on from the newest one, to the same end as if nothing had happened.",
      {{"set", Takes::any_times, "KEY=VALUE",
        "overrides a key of the config, as train.steps=100; another choice (train.optimizer.sgd.lr=0.1) replaces the "
        "file's with its settings"},
       {"run", Takes::text, "DIR", "the run folder"},
       {"resume", Takes::nothing, "", "goes on with the run in the folder"},
       {"device", Takes::text, "auto|cpu|cuda[:N]", "overrides the config's device"},
       {"threads", Takes::integer, "N", "overrides the config's threads; 0: all cores", nullptr, false, threads},
       {"dry-run", Takes::nothing, "",
        "checks everything, prints the resolved config and what it costs, and ends before the first step"},
       {"quiet", Takes::nothing, "", "prints nothing but errors"}},
      run};
}

}  // namespace genzoo
