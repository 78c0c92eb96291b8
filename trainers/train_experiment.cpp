// What stands around the loop: the folder, the data, the record of how it ended.
#include "trainers/train_experiment.h"

#include <ATen/Version.h>
#include <fmt/ranges.h>

#include <chrono>
#include <cstdio>
#include <map>

#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/version.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

std::string utc_now() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

ExperimentConfig config_of_run(const RunFolder& run) {
  return read_config<ExperimentConfig>(ConfigSource::from_file(run.config()));
}

/// run.json: what a person or program may ask of a run that is not in its config.
class RunRecord final {
 public:
  explicit RunRecord(const RunFolder& run) : path_(run.run_json()) {
    if (!fs::exists(path_)) return;
    try {
      json_ = parse_json(read_file(path_), path_.string());
      if (!json_.is_object()) json_ = Json::object();
    } catch (const RunError&) {
      json_ = Json::object();  // a damaged record is no reason not to train
    }
  }

  bool says(const std::string& exit_reason) const {
    return json_.contains("exit_reason") && json_["exit_reason"] == exit_reason;
  }

  /// The instruction set that an earlier part of the run computed with; empty when it is not known.
  std::string instructions() const {
    const bool known = json_.contains(kInstructions) && json_[kInstructions].is_string();
    return known ? json_[kInstructions].get<std::string>() : "";
  }

  /// A training begins, or goes on.
  void begin(const ExperimentConfig& config, const AnyModel& model, const TrainRequest& request, bool resumed) {
    const std::string now = utc_now();
    if (!json_.contains("started")) json_["started"] = now;
    if (resumed) json_["resumed"].push_back(now);
    json_["genzoo"] = program_version();
    json_["git_commit"] = git_commit();
    json_["libtorch"] = libtorch_version();
    json_["build"] = build_description();
    json_[kInstructions] = at::get_cpu_capability();
    json_["command_line"] = request.command_line;
    json_["exit_reason"] = "running";
    json_["ended"] = nullptr;
    json_["device"] = config.device;
    json_["threads"] = config.threads;
    json_["parameters"] = parameter_count(*model.module);
    write();
    start_peak_memory();
  }

  void end(const std::string& reason, int64_t step) {
    json_["exit_reason"] = reason;
    json_["step"] = step;
    json_["ended"] = utc_now();
    if (const auto peak = peak_memory()) {  // bytes; of a run in several parts the largest
      const Json& before = json_["peak_memory"];
      json_["peak_memory"] = before.is_number_integer() ? std::max(before.get<int64_t>(), *peak) : *peak;
    }
    write();
  }

 private:
  void write() {  // a command line may hold any bytes
    write_file_whole(path_, json_.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n");
  }
  static constexpr const char* kInstructions = "cpu_capability";
  fs::path path_;
  Json json_ = Json::object();
};

/// Another instruction set rounds otherwise.
void warn_of_other_instructions(const RunRecord& record) {
  const std::string before = record.instructions(), now = at::get_cpu_capability();
  if (before.empty() || before == now) return;
  std::fputs(fmt::format("genzoo: warning: instruction set: {} in the run, {} now: the bytes will differ from an "
                         "uninterrupted run's\n",
                         before, now)
                 .c_str(),
             stderr);
}

void add_observers(Trainer& trainer, const RunFolder& run, const TrainRequest& request, const DataSpec& spec) {
  trainer.add(std::make_unique<JsonLog>(run));
  trainer.add(std::make_unique<TensorBoardLog>(run));
  trainer.add(std::make_unique<SampleFiles>(run, spec.kind == DataKind::vectors && spec.dims() == 2));
  if (!request.quiet) trainer.add(std::make_unique<Console>(request.terminal));
}

/// The folder, which is made if it is not there, for this process alone.
FolderLock lock_run(const RunFolder& run) {
  auto lock = FolderLock::try_lock(run.path());
  if (lock) return std::move(*lock);
  throw UsageError(fmt::format("{} is in use by another genzoo; wait for it, or choose another folder by --run",
                               run.path().string()));
}

/// Does something with the newest checkpoint; when that is damaged, the error also says from where one can go on.
void read_newest(const RunFolder& run, const std::function<void(const fs::path&)>& read) {
  const std::vector<int64_t> steps = run.checkpoint_steps();
  try {
    read(run.checkpoint(steps.back()));
  } catch (const RunError& error) {
    throw RunError(fmt::format("{}; remove that file to go on from {}", error.what(),
                               steps.size() > 1 ? fmt::format("step {}", steps[steps.size() - 2]) : "the start"));
  }
}

/// Takes from the run what a config leaves open, refuses what would be another experiment, warns of the rest.
void settle_resumed(ExperimentConfig& config, const RunFolder& run, const TrainRequest& request) {
  ExperimentConfig before = config_of_run(run);
  config.device = request.device_chosen ? resolve_device(config.device).str() : before.device;
  if (!request.threads_chosen) config.threads = before.threads;
  if (!request.shards_chosen) config.train.shards = before.train.shards;
  const ConfigChanges changes = compare_configs(before, config);
  if (!changes.refused.empty()) {
    throw UsageError(fmt::format("{}: --resume with another config: {}; give the run's own config, or another --run",
                                 run.path().string(), fmt::join(changes.refused, "; ")));
  }
  for (const auto& change : changes.warned) {
    if (request.quiet) continue;
    std::fputs(fmt::format("genzoo: warning: {}: the bytes will differ from an uninterrupted run's\n", change).c_str(),
               stderr);
  }
}

void start_from_parent(Trainer& trainer, const ExperimentConfig& config, const DataSpec& spec) {
  if (config.train.init_from.empty()) return;
  const ParentWeights parent = read_parent(config.train.init_from);
  require_same_tokens(parent, spec);
  trainer.start_from(parent);
}

}  // namespace

ConfigChanges compare_configs(ExperimentConfig& run, ExperimentConfig& now) {
  const auto leaves = [](ExperimentConfig& c) {
    const auto list = flatten_config([&](Fields& f) { c.fields(f); });
    return std::map<std::string, std::string>(list.begin(), list.end());
  };
  const auto before = leaves(run), after = leaves(now);
  ConfigChanges changes;
  const auto judge = [&](const std::string& key, const std::string& was, const std::string& is) {
    const bool free = key.starts_with("train.every.") || key == "train.keep" ||
                      (key == "train.steps" && !depends_on_steps(now.train.schedule));
    if (was == is || free) return;
    const bool computes_alike =
        key == "device" || key == "threads" || key == "train.shards" || key == "train.cuda_graph";
    auto& list = computes_alike ? changes.warned : changes.refused;
    list.push_back(fmt::format("{}: {} in the run, {} now", key, was, is));
  };
  for (const auto& [key, was] : before) judge(key, was, after.contains(key) ? after.at(key) : "absent");
  for (const auto& [key, is] : after) {
    if (!before.contains(key)) judge(key, "absent", is);
  }
  return changes;
}

RunFolder run_folder_of(const ExperimentConfig& config, const TrainRequest& request) {
  return RunFolder(request.run.empty() ? fs::path("runs") / config.experiment : request.run);
}

Choice data_of_run(const ExperimentConfig& config, const RunFolder& run) {
  const std::string key = fmt::format("data.{}.tokens.tokenizer.path", config.data.name);
  ExperimentConfig own = config;
  for (const auto& [name, value] : flatten_config([&](Fields& f) { own.fields(f); })) {
    if (name != key || fs::exists(value) || !fs::exists(run.tokenizer())) continue;
    ConfigSource source = ConfigSource::from_text(write_config(config), run.config().string());
    source.set(fmt::format("{}={}", key, run.tokenizer().string()));
    return read_config<ExperimentConfig>(source).data;
  }
  return config.data;
}

void require_free(const RunFolder& run, const TrainRequest& request) {
  if (request.resume) return;
  if (run.has_run()) {
    throw UsageError(
        fmt::format("{} holds a run already, which is not overwritten; go on with it by --resume, or choose "
                    "another folder by --run",
                    run.path().string()));
  }
  for (const fs::path& file : {run.log(), run.best(), run.run_json(), run.samples()}) {
    if (!fs::exists(file)) continue;
    throw UsageError(
        fmt::format("{} has no config.yaml but holds {}, which a run would overwrite; choose another folder "
                    "by --run",
                    run.path().string(), file.filename().string()));
  }
}

TrainOutcome train_experiment(ExperimentConfig config, const TrainRequest& request) {
  const RunFolder run = run_folder_of(config, request);
  require_free(run, request);
  // A training that is refused leaves no folder behind; one that is there is locked before anything is read from it.
  std::optional<FolderLock> lock;
  if (fs::exists(run.path())) {
    lock.emplace(lock_run(run));
    require_free(run, request);  // a run may have begun there before the lock was ours
  }
  const bool resuming = run.has_run();
  if (resuming) settle_resumed(config, run, request);
  config.device = resolve_device(config.device).str();
  config.threads = set_up_compute(config.threads, config.train.deterministic);

  const std::vector<int64_t> saved = run.checkpoint_steps();
  if (resuming && !saved.empty() && saved.back() >= config.train.steps) {
    read_newest(run, [](const fs::path& newest) { read_checkpoint(newest); });  // whole, or it is no end
    // It may have been killed after its last checkpoint and before its last words.
    settle_checkpoints(run, config.train.keep);
    RunRecord record(run);
    if (!record.says("finished")) record.end("finished", saved.back());
    return {ExitCode::done, saved.back(), "finished already", {}, 0.0};
  }
  const Dataset dataset = open_dataset(resuming ? data_of_run(config, run) : config.data, request.places);
  Trainer trainer(config, dataset, run);
  if (!resuming || saved.empty()) start_from_parent(trainer, config, dataset.spec);
  if (resuming && saved.empty()) trainer.restart();
  if (resuming && !saved.empty()) read_newest(run, [&](const fs::path& newest) { trainer.load(newest); });

  if (!lock) {
    lock.emplace(lock_run(run));
    if (run.has_run()) {
      throw UsageError(fmt::format("{}: another genzoo has begun a run there meanwhile; go on with it by --resume",
                                   run.path().string()));
    }
  }
  write_file_whole(run.config(), write_config(config));  // first of all: with it the folder is a run's
  if (!dataset.spec.tokenizer.empty()) write_file_whole(run.tokenizer(), dataset.spec.tokenizer);
  RunRecord record(run);
  if (resuming && !request.quiet) warn_of_other_instructions(record);
  record.begin(config, trainer.model(), request, resuming);
  try {
    add_observers(trainer, run, request, dataset.spec);
    const TrainOutcome outcome = trainer.run();
    record.end(outcome.reason, outcome.step);
    return outcome;
  } catch (const std::exception& error) {
    const bool diverged = dynamic_cast<const DivergedError*>(&error) != nullptr;
    try {
      record.end(diverged ? "diverged" : "failed", trainer.steps_done());
    } catch (const Error&) {
      // A full disk is told of once, by the error that is on its way.
    }
    throw;
  }
}

}  // namespace genzoo
