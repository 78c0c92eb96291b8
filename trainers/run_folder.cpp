#include "trainers/run_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <map>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "trainers/experiment.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

std::string file_name(int64_t step, const std::string& extension) { return fmt::format("{:09}{}", step, extension); }

/// The step a file is named after; nothing if it is named otherwise.
std::optional<int64_t> step_of(const fs::path& path, const std::string& extension) {
  if (path.extension() != extension) return {};
  const std::string stem = path.stem().string();
  int64_t step = -1;
  const auto [stop, error] = std::from_chars(stem.data(), stem.data() + stem.size(), step);
  if (error != std::errc() || stop != stem.data() + stem.size() || step < 0) return {};
  return step;
}

/// A JSON file if it is there and whole; null otherwise. For overviews, which must not fail on one bad run.
Json read_json_if_any(const fs::path& path) {
  std::error_code none;
  if (!fs::is_regular_file(path, none)) return {};
  try {
    return parse_json(read_file(path, uint64_t{1} << 24), path.string());
  } catch (const Error&) {
    return {};
  }
}

/// A run's config; nothing if this genzoo cannot read it.
std::optional<ExperimentConfig> config_if_readable(const fs::path& path) {
  try {
    return read_config<ExperimentConfig>(ConfigSource::from_file(path));
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

std::optional<int64_t> sample_step(const fs::path& path) { return step_of(path, ".png"); }

fs::path RunFolder::checkpoint(int64_t step) const { return checkpoints() / file_name(step, ".safetensors"); }

fs::path RunFolder::sample(int64_t step, const std::string& extension) const {
  return samples() / file_name(step, extension);
}

bool RunFolder::has_run() const {
  std::error_code unreadable;
  return fs::is_regular_file(config(), unreadable) || !checkpoint_steps().empty();
}

std::vector<int64_t> RunFolder::checkpoint_steps() const {
  std::vector<int64_t> steps;
  std::error_code none;
  for (const auto& item : fs::directory_iterator(checkpoints(), none)) {
    if (const auto step = step_of(item.path(), ".safetensors")) steps.push_back(*step);
  }
  std::ranges::sort(steps);
  return steps;
}

std::optional<int64_t> RunFolder::best_step() const {
  std::ifstream in(best());
  int64_t step = -1;
  if (!(in >> step) || !fs::is_regular_file(checkpoint(step))) return {};
  return step;
}

void RunFolder::prune(int64_t keep) const {
  const std::vector<int64_t> steps = checkpoint_steps();
  const std::optional<int64_t> best = best_step();
  const auto count = static_cast<int64_t>(steps.size());
  for (int64_t i = 0; i < count - keep; ++i) {
    std::error_code ignored;  // a checkpoint too many is no reason to stop a training
    if (steps[i] != best) fs::remove(checkpoint(steps[i]), ignored);
  }
}

void settle_checkpoints(const RunFolder& run, int64_t keep) {
  const std::vector<int64_t> saved = run.checkpoint_steps();
  std::optional<std::pair<double, int64_t>> best;
  for (const auto& [step, loss] : validation_losses(run)) {
    if (std::ranges::binary_search(saved, step) && (!best || loss < best->first)) best = {loss, step};
  }
  if (best) write_file_whole(run.best(), fmt::format("{}\n", best->second));
  run.prune(keep);
}

std::vector<Validation> validations(const RunFolder& run) {
  std::map<int64_t, Validation> found;
  std::ifstream in(run.log());
  for (std::string line; std::getline(in, line);) {
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object() || json.value("split", "") != "validation") continue;
    const auto step = json.find("step");
    const auto loss = json.find("loss");
    if (step == json.end() || !step->is_number_integer() || loss == json.end() || !loss->is_number()) continue;
    const auto seconds = json.find("seconds");
    const bool timed = seconds != json.end() && seconds->is_number();
    const auto at = step->get<int64_t>();
    found[at] = {at, timed ? seconds->get<double>() : 0.0, loss->get<double>()};
  }
  std::vector<Validation> list;
  for (const auto& [step, validation] : found) list.push_back(validation);
  return list;
}

std::vector<std::pair<int64_t, double>> validation_losses(const RunFolder& run) {
  std::vector<std::pair<int64_t, double>> losses;
  for (const Validation& v : validations(run)) losses.emplace_back(v.step, v.loss);
  return losses;
}

double seconds_logged(const RunFolder& run, int64_t step) {
  double seconds = 0.0;
  std::ifstream in(run.log());
  for (std::string line; std::getline(in, line);) {
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object() || !json.contains("step") || !json["step"].is_number_integer()) continue;
    if (json["step"].get<int64_t>() > step || !json.contains("seconds") || !json["seconds"].is_number()) continue;
    seconds = json["seconds"].get<double>();
  }
  return seconds;
}

Json RunSummary::to_json() const {
  return {{"run", folder.string()},
          {"experiment", experiment},
          {"model", model},
          {"dataset", dataset},
          {"status", status},
          {"step", step},
          {"steps", steps},
          {"best_loss", best_loss ? Json(*best_loss) : Json()},
          {"best_step", best_step ? Json(*best_step) : Json()},
          {"peak_memory", peak_memory ? Json(*peak_memory) : Json()},
          {"started", started},
          {"device", device},
          {"program", program}};
}

RunSummary summarize_run(const fs::path& folder) {
  const RunFolder run(folder);
  RunSummary summary;
  summary.folder = folder;
  if (const auto config = config_if_readable(run.config())) {
    summary.experiment = config->experiment;
    summary.model = config->model.name;
    summary.dataset = config->data.name;
    summary.steps = config->train.steps;
  }
  const std::vector<int64_t> steps = run.checkpoint_steps();
  if (!steps.empty()) summary.step = steps.back();
  summary.best_step = run.best_step();
  for (const auto& [step, loss] : validation_losses(run)) {
    if (step == summary.best_step) summary.best_loss = loss;
  }
  const Json json = read_json_if_any(run.run_json());
  if (json.is_object()) {
    const auto text = [&](const char* key) {
      return json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : std::string();
    };
    summary.started = text("started");
    summary.status = text("exit_reason");
    const auto number = [&](const char* key) {
      return json.contains(key) && json[key].is_number_integer() ? json[key].get<int64_t>() : std::optional<int64_t>();
    };
    summary.peak_memory = number("peak_memory");
    summary.device = text("device");
    if (const auto threads = number("threads")) summary.device += fmt::format(", {} threads", *threads);
    if (!text("genzoo").empty()) {
      summary.program = fmt::format("genzoo {} {}, LibTorch {}, {}", text("genzoo"), text("git_commit"),
                                    text("libtorch"), text("build"));
    }
  }
  if (is_locked(folder)) {
    summary.status = "running";
  } else if (summary.status.empty() || summary.status == "running") {
    summary.status = "interrupted";  // it ended without a word: killed
  }
  return summary;
}

std::vector<RunSummary> list_runs(const fs::path& below) {
  if (!fs::is_directory(below)) {
    throw UsageError(
        fmt::format("{}: there is no such folder; runs lie in runs/ unless --run said otherwise", below.string()));
  }
  std::set<fs::path> folders;
  if (RunFolder(below).has_run()) folders.insert(below);
  std::error_code error;
  const auto options = fs::directory_options::skip_permission_denied;
  for (auto it = fs::recursive_directory_iterator(below, options, error); it != fs::recursive_directory_iterator();
       it.increment(error)) {
    if (it->is_directory(error) && RunFolder(it->path()).has_run() &&
        fs::exists(RunFolder(it->path()).run_json(), error)) {
      folders.insert(it->path());
      it.disable_recursion_pending();
    }
  }
  std::vector<RunSummary> runs;
  for (const auto& folder : folders) runs.push_back(summarize_run(folder));
  return runs;
}

}  // namespace genzoo
