// The workloads of bench, and their measurement by processes of their own.
#include "tools/workloads.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

extern char** environ;

namespace genzoo {
namespace {

namespace fs = std::filesystem;

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
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) {  // else it has said itself what was wrong
    throw RunError(
        fmt::format("bench: the process that measures was ended by signal {} ({}); if memory ran out, take a "
                    "smaller batch or model",
                    WTERMSIG(status), strsignal(WTERMSIG(status))));
  }
  return {static_cast<ExitCode>(WEXITSTATUS(status)), text};
}

}  // namespace

std::vector<std::string> all_workloads() {
  std::vector<std::string> names;
  for (const auto& item : fs::directory_iterator(workload_folder())) {
    if (item.path().extension() == ".yaml") names.push_back(item.path().stem().string());
  }
  std::ranges::sort(names);
  return names;
}

fs::path config_of(const std::string& workload) {
  if (workload.find('/') != workload.npos || workload.ends_with(".yaml")) return workload;
  const fs::path path = workload_folder() / (workload + ".yaml");
  if (fs::exists(path)) return path;
  throw UsageError(fmt::format("bench: no workload \"{}\"; there are {}, limits, and the path of any config", workload,
                               fmt::join(all_workloads(), ", ")));
}

ExperimentConfig read_workload(const std::string& workload, const Arguments& arguments,
                               const std::vector<std::string>& more) {
  ConfigSource source = ConfigSource::from_file(config_of(workload));
  for (const std::string& set : arguments.all("set")) source.set(set);
  for (const std::string& set : more) source.set(set);
  auto config = read_config<ExperimentConfig>(source);
  if (arguments.given("precision")) {
    config.train.precision = arguments.text("precision") == "bfloat16" ? Precision::bfloat16 : Precision::float32;
  }
  if (arguments.given("threads")) config.threads = arguments.integer("threads");
  if (arguments.given("device")) config.device = arguments.text("device");
  return config;
}

Ended measure_apart(const std::string& workload, const Arguments& arguments, double seconds,
                    const std::vector<std::string>& more) {
  std::vector<std::string> words = {"genzoo", "bench", workload, "--json", "--seconds", fmt::format("{}", seconds)};
  for (const char* name : {"precision", "weight-type", "threads", "device"}) {
    if (arguments.given(name)) words.insert(words.end(), {fmt::format("--{}", name), arguments.all(name).front()});
  }
  for (const std::string& set : arguments.all("set")) words.insert(words.end(), {"--set", set});
  words.insert(words.end(), more.begin(), more.end());
  return run_process(std::move(words));
}

}  // namespace genzoo
