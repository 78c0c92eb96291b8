// The speed of workloads: one line each, measured by a process of its own.
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "evaluation/benchmark.h"
#include "evaluation/machine_limits.h"
#include "tools/output.h"
#include "tools/table.h"
#include "tools/trained_model.h"
#include "tools/verb.h"

extern char** environ;

namespace genzoo {
namespace {

namespace fs = std::filesystem;

constexpr double kLimitSeconds = 0.5;  // for each of the machine's limits
constexpr const char* kProgram = "/proc/self/exe";

/// Where the workloads' configs may lie: here, beside the build folder, or where the program is installed.
std::vector<std::string> workload_folders() {
  std::error_code none;
  const fs::path beside = fs::read_symlink(kProgram, none).parent_path().parent_path();
  return {"configs/bench", beside / "configs" / "bench", beside / "share" / "genzoo" / "configs" / "bench"};
}

fs::path workload_folder() {
  for (const std::string& folder : workload_folders()) {
    if (fs::is_directory(folder)) return folder;
  }
  throw UsageError(fmt::format("bench: the workloads' configs are in none of {}; go to genzoo's folder, or give paths",
                               fmt::join(workload_folders(), ", ")));
}

std::vector<std::string> all_workloads() {
  std::vector<std::string> names;
  for (const auto& item : fs::directory_iterator(workload_folder())) {
    if (item.path().extension() == ".yaml") names.push_back(item.path().stem().string());
  }
  std::ranges::sort(names);
  return names;
}

/// The config of a workload's name, or of a path.
fs::path config_of(const std::string& workload) {
  if (workload.find('/') != workload.npos || workload.ends_with(".yaml")) return workload;
  const fs::path path = workload_folder() / (workload + ".yaml");
  if (fs::exists(path)) return path;
  throw UsageError(fmt::format("bench: no workload \"{}\"; there are {}, limits, and the path of any config", workload,
                               fmt::join(all_workloads(), ", ")));
}

/// What the measuring process is to be told besides the workload.
std::vector<std::string> settings(const Arguments& arguments) {
  std::vector<std::string> words;
  for (const char* name : {"precision", "weight-type", "seconds", "threads", "device"}) {
    if (arguments.given(name)) words.insert(words.end(), {fmt::format("--{}", name), arguments.all(name).front()});
  }
  for (const std::string& set : arguments.all("set")) words.insert(words.end(), {"--set", set});
  return words;
}

Json measure_here(const std::string& workload, const Arguments& arguments) {
  ConfigSource source = ConfigSource::from_file(config_of(workload));
  for (const std::string& set : arguments.all("set")) source.set(set);
  auto config = read_config<ExperimentConfig>(source);
  if (arguments.given("precision")) {
    config.train.precision = arguments.text("precision") == "bfloat16" ? Precision::bfloat16 : Precision::float32;
  }
  if (arguments.given("threads")) config.threads = arguments.integer("threads");
  if (arguments.given("device")) config.device = arguments.text("device");
  std::optional<WeightType> weight_type;
  if (arguments.given("weight-type")) weight_type = parse_weight_type(arguments.text("weight-type"));
  const Benchmark line =
      run_benchmark(config, arguments.number("seconds"), DataPlaces::from_environment(), weight_type);
  // After the workload, for the machine as it is now, and for the workload's memory to be its own.
  return line.to_json(measure_limits(kLimitSeconds));
}

/// How a process ended, and what it printed; its errors went to stderr.
struct Ended {
  ExitCode code;
  std::string text;
};

Ended run_process(std::vector<std::string> words) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw RunError(std::system_category().message(errno));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  pid_t child = 0;
  const int failure = posix_spawn(&child, kProgram, &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string text;
  for (char piece[4096]; failure == 0;) {
    const ssize_t count = read(ends[0], piece, sizeof piece);
    if (count <= 0) break;
    text.append(piece, static_cast<size_t>(count));
  }
  close(ends[0]);
  if (failure != 0) throw RunError(fmt::format("bench: {}", std::system_category().message(failure)));
  int status = 0;
  waitpid(child, &status, 0);
  return {WIFEXITED(status) ? static_cast<ExitCode>(WEXITSTATUS(status)) : ExitCode::failed, text};
}

Ended measure_apart(const std::string& workload, const Arguments& arguments) {
  std::vector<std::string> words = {"genzoo", "bench", workload, "--json"};
  for (const std::string& word : settings(arguments)) words.push_back(word);
  return run_process(std::move(words));
}

std::vector<std::string> row_of(const Json& line) {
  const auto number = [&](const char* key) { return line.at(key).get<double>(); };
  const auto percent = [&](const char* key) {
    return line.at(key).is_null() ? std::string("-") : fmt::format("{:.0f} %", 100 * number(key));
  };
  const std::string losses = line.at("loss_first").is_null()
                                 ? "-"
                                 : fmt::format("{:.4g} -> {:.4g}", number("loss_first"), number("loss_last"));
  return {line.at("workload").get<std::string>(),
          line.at("dtype").get<std::string>(),
          fmt::format("{:.4g} ({:.4g} to {:.4g})", number("ms_per_step"), number("ms_min"), number("ms_max")),
          fmt::format("{:.5g} {}", number("items_per_s"), line.at("unit").get<std::string>()),
          fmt::format("{:.4g}", number("gflop_per_step")),
          percent("share_of_products"),
          percent("share_of_memory"),
          fmt::format("{:.0f}", number("peak_rss_mb")),
          fmt::format("{:.2f}", number("start_to_step_s")),
          losses,
          percent("other_cpu")};
}

std::string describe_limits(const MachineLimits& limits) {
  return fmt::format(
      "matrix products  {:.0f} GFLOP/s float32, {:.0f} bfloat16\nmemory           {:.1f} GB/s read, {:.1f} GB/s "
      "x += y\n",
      1e-9 * limits.float32_flops, 1e-9 * limits.bfloat16_flops, 1e-9 * limits.read_bytes, 1e-9 * limits.update_bytes);
}

ExitCode show_limits(const Arguments& arguments) {
  set_up_compute(arguments.integer("threads"), /*deterministic=*/true);
  const MachineLimits limits = measure_limits(kLimitSeconds);
  if (arguments.flag("json")) {
    print_json(limits.to_json());
  } else {
    print(describe_limits(limits));
  }
  return ExitCode::done;
}

ExitCode run(const Arguments& arguments) {
  std::vector<std::string> workloads = arguments.all("WORKLOAD");
  if (workloads == std::vector<std::string>{"limits"}) return show_limits(arguments);
  if (workloads.empty()) workloads = all_workloads();
  for (const std::string& workload : workloads) config_of(workload);  // before the first is measured
  if (arguments.flag("json") && workloads.size() == 1) {
    print(measure_here(workloads[0], arguments).dump() + "\n");
    return ExitCode::done;
  }
  Table table;
  table.add({"workload", "type", "ms/step (min to max)", "speed", "GFLOP", "of products", "of memory", "peak MB",
             "start s", "loss", "others"});
  for (const std::string& workload : workloads) {
    const Ended ended = measure_apart(workload, arguments);
    if (ended.code != ExitCode::done) return ended.code;  // it has said why
    if (arguments.flag("json")) {
      print(ended.text);
      flush_output();
    } else {
      table.add(row_of(parse_json(ended.text, "bench")));
    }
  }
  if (!arguments.flag("json")) print(table.text());
  return ExitCode::done;
}

}  // namespace

Verb bench_verb() {
  return {
      "bench",
      "measures training and decoding speed",
      "[WORKLOAD...]",
      "WORKLOAD: a config of configs/bench by its name, the path of any config, or `limits`, what the machine can do "
      "at\n"
      "best; without: all of configs/bench. Each is measured by a process of its own. The columns: milliseconds of a\n"
      "step (of decoding: of a token), median and extremes of windows of two seconds; the share of the speed of this\n"
      "machine's matrix products and of its memory; the largest resident memory; seconds from the start of the "
      "process\n"
      "to its first step; the first and the last loss; the share of the machine that other processes used meanwhile.",
      {{"precision", Takes::word, "float32|bfloat16", "overrides the config's"},
       {"weight-type", Takes::word, "float32|bfloat16|int8", "of decoding; without: by the precision"},
       {"seconds", Takes::number, "N", "measured time of each", "10", false, positive},
       {"threads", Takes::integer, "N", "0: all cores", "0", false, Range{0, 4096, false, false, "in [0, 4096]"}},
       {"device", Takes::text, "auto|cpu|cuda[:N]", "overrides the config's"},
       {"set", Takes::any_times, "KEY=VALUE", "overrides a key of the config, as train.batch_size=64"},
       {"json", Takes::nothing, "", "one line of JSON a workload"}},
      run};
}

}  // namespace genzoo
