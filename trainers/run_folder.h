#pragma once
// A run's folder: where its files lie, and what they tell of it.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"

namespace genzoo {

/// The files of one run. Names only; nothing is opened by making one.
class RunFolder final {
 public:
  explicit RunFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}

  const std::filesystem::path& path() const { return folder_; }
  std::filesystem::path config() const { return folder_ / "config.yaml"; }
  std::filesystem::path run_json() const { return folder_ / "run.json"; }
  std::filesystem::path tokenizer() const { return folder_ / "tokenizer.json"; }  ///< of text: what opens it elsewhere
  std::filesystem::path log() const { return folder_ / "log.jsonl"; }
  std::filesystem::path best() const { return folder_ / "best"; }
  std::filesystem::path samples() const { return folder_ / "samples"; }
  std::filesystem::path checkpoints() const { return folder_ / "checkpoints"; }
  std::filesystem::path checkpoint(int64_t step) const;  ///< checkpoints/000004000.safetensors
  std::filesystem::path sample(int64_t step, const std::string& extension) const;  ///< samples/000004000.png

  bool has_run() const;                           ///< there is a config.yaml, or a checkpoint
  std::vector<int64_t> checkpoint_steps() const;  ///< ascending
  std::optional<int64_t> best_step() const;       ///< as the file says, if that checkpoint is there

  /// Removes all but the `keep` newest checkpoints and the best.
  void prune(int64_t keep) const;

 private:
  std::filesystem::path folder_;
};

/// The step of a sample's picture, by its name; nothing for other files.
std::optional<int64_t> sample_step(const std::filesystem::path& path);

/// A validation that log.jsonl tells of.
struct Validation {
  int64_t step = 0;
  double seconds = 0.0;  ///< of training until then
  double loss = 0.0;
};

/// By step; of two lines for one step the last counts.
std::vector<Validation> validations(const RunFolder& run);

/// Their losses by step.
std::vector<std::pair<int64_t, double>> validation_losses(const RunFolder& run);

/// Writes which saved step has the lowest validation loss, as the log tells, so that a killed run and an uninterrupted
/// one agree; and removes all but the `keep` newest checkpoints and that one.
void settle_checkpoints(const RunFolder& run, int64_t keep);

/// Seconds of training (of updates alone) that the log tells of at its last line up to a step; 0 when it tells nothing.
double seconds_logged(const RunFolder& run, int64_t step);

/// What `genzoo list` shows of a run.
struct RunSummary {
  std::filesystem::path folder;
  std::string experiment;
  std::string model;
  std::string dataset;
  std::string status;  ///< "running", "finished", "stopped", "diverged", "failed", "interrupted": the exit reason
  int64_t step = 0;
  int64_t steps = 0;
  std::optional<double> best_loss;  ///< validation loss of the best checkpoint
  std::optional<int64_t> best_step;
  std::optional<int64_t> peak_memory;  ///< bytes, while training
  std::string started;                 ///< UTC, ISO 8601
  // Where and by what it was trained; empty when run.json does not tell, or is not there.
  std::string device;   ///< "cpu, 2 threads"
  std::string program;  ///< "genzoo 0.1.0 d86f94ff216d, LibTorch 2.15.0, CPU, AVX512"
  Json to_json() const;
};

RunSummary summarize_run(const std::filesystem::path& folder);
std::vector<RunSummary> list_runs(const std::filesystem::path& below);  ///< every run folder below, by path

}  // namespace genzoo
