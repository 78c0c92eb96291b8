// Runs the real program as a user would, and the tiny experiments it is run on.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "tests/support.h"

namespace genzoo {

/// How a run of the program ended and what it wrote. A signal that ended it is 128 + its number, as in a shell.
struct Ended {
  int code = -1;
  std::string out, err;
};

/// Where the program runs.
struct Surroundings {
  std::filesystem::path folder = ".";
  std::map<std::string, std::string> environment = {};  ///< added to this process's own
  std::string standard_output = "";                     ///< a file such as /dev/full; empty: read by the test
  std::string standard_input = "/dev/null";             ///< a file
};

/// Empty if there is no such file.
inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

/// The program while it runs.
class Running final {
 public:
  explicit Running(const std::vector<std::string>& words, const Surroundings& where = {}) {
    std::vector<std::string> environment = environment_of(where), command{GENZOO_PROGRAM};
    command.insert(command.end(), words.begin(), words.end());
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, where.folder.c_str());
    posix_spawn_file_actions_addopen(&actions, 0, where.standard_input.c_str(), O_RDONLY, 0);
    const std::string out = where.standard_output.empty() ? (files_ / "out").string() : where.standard_output;
    posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT, 0666);
    posix_spawn_file_actions_addopen(&actions, 2, (files_ / "err").c_str(), O_WRONLY | O_CREAT, 0666);
    const int error = posix_spawn(&process_, GENZOO_PROGRAM, &actions, nullptr, pointers(command).data(),
                                  pointers(environment).data());
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) throw std::system_error(error, std::generic_category(), GENZOO_PROGRAM);
  }
  ~Running() {
    if (!has_ended()) {
      ::kill(process_, SIGKILL);
      ::waitpid(process_, &status_, 0);
    }
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  void signal(int number) const { ::kill(process_, number); }

  bool has_ended() {
    ended_ = ended_ || ::waitpid(process_, &status_, WNOHANG) == process_;
    return ended_;
  }

  /// At most two minutes, then it is killed.
  Ended wait() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
    while (!has_ended()) {
      if (std::chrono::steady_clock::now() > deadline) signal(SIGKILL);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    const int code = WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
    return {code, read_text(files_ / "out"), read_text(files_ / "err")};
  }

 private:
  static std::vector<std::string> environment_of(const Surroundings& where) {
    std::vector<std::string> all;
    for (char** entry = environ; *entry; ++entry) {
      const std::string text = *entry;
      if (!where.environment.contains(text.substr(0, text.find('=')))) all.push_back(text);
    }
    for (const auto& [name, value] : where.environment) all.push_back(name + "=" + value);
    return all;
  }

  static std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> all;
    for (auto& text : texts) all.push_back(text.data());
    all.push_back(nullptr);
    return all;
  }

  TempDir files_;
  pid_t process_ = -1;
  bool ended_ = false;
  int status_ = 0;
};

/// genzoo WORDS, to its end.
inline Ended genzoo(const std::vector<std::string>& words, const Surroundings& where = {}) {
  return Running(words, where).wait();
}

/// What genzoo WORDS tells of wrong usage: exit code 2, and nothing on standard output.
inline std::string usage_error_of(const std::vector<std::string>& words) {
  const Ended ended = genzoo(words);
  CHECK(ended.code == 2);
  CHECK(ended.out.empty());
  return ended.err;
}

/// A tiny experiment of each family with all that a checkpoint must carry: averages, batch statistics, dropout, several
/// optimizers. Writes it, and the text that one of them learns, into `folder`; returns the config's path.
inline std::string tiny_config(const std::string& family, const std::filesystem::path& folder) {
  const auto images = "{uniform_noise: {examples: 64, validation: 32, test: 32}}";
  const std::map<std::string, std::pair<std::string, std::string>> parts = {
      {"realnvp",
       {"{eight_gaussians: {examples: 256, validation: 64, test: 64}}",
        "{realnvp: {couplings: 2, hidden_dim: 8, normalization: batch_norm}}"}},
      {"transformer",
       {fmt::format("{{text: {{file: {}}}}}", (folder / "verses.txt").string()),
        "{transformer: {n_layer: 1, n_head: 2, n_embd: 8, block_size: 8, dropout: 0.2}}"}},
      {"vae", {images, "{vae: {latent_dim: 2, network: {conv: {channels: [2, 4], hidden: 8}}, kl_warmup_steps: 4}}"}},
      {"gan",
       {images,
        "{gan: {latent_dim: 4, generator_width: 2, discriminator_width: 2, discriminator_norm: batch, n_critic: 2}}"}},
  };
  const auto& [data, model] = parts.at(family);
  std::string verses;
  for (int i = 0; i < 40; ++i) verses += fmt::format("and the evening and the morning were the day {}\n", i);
  write_text(folder / "verses.txt", verses);
  const auto path = folder / (family + ".yaml");
  write_text(path, fmt::format("experiment: tiny_{}\n"
                               "seed: 3\n"
                               "device: cpu\n"
                               "threads: 1\n"
                               "data: {}\n"
                               "model: {}\n"
                               "train:\n"
                               "  steps: 8\n"
                               "  batch_size: 16\n"
                               "  optimizer: {{adamw: {{lr: 1.0e-3}}}}\n"
                               "  clip_norm: 100.0\n"
                               "  ema: {{halflife_images: 64}}\n"
                               "  every: {{log: 1, sample: 8, validate: 4, save: 2}}\n",
                               family, data, model));
  return path.string();
}

/// The folder of a finished run of tiny_config, trained once for all tests of this process.
inline std::filesystem::path tiny_run(const std::string& family) {
  static const TempDir home;
  const auto run = home / family;
  if (!std::filesystem::exists(run)) {
    const Ended ended = genzoo({"train", tiny_config(family, home.path()), "--run", run.string(), "--quiet"});
    INFO(ended.err);
    REQUIRE(ended.code == 0);
  }
  return run;
}

}  // namespace genzoo
