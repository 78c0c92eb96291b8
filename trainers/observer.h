#pragma once
// Those who watch a training: the log file, TensorBoard, the terminal, the folder of samples. A trainer tells all of
// them the same things; none of them can change what is trained.

#include <torch/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/safetensors.h"
#include "core/tensorboard.h"
#include "data/dataset.h"
#include "models/model.h"
#include "trainers/run_folder.h"

namespace genzoo {

/// One line of the log.
struct LogLine {
  int64_t step = 0;  ///< updates done
  Split split = Split::train;
  double loss = 0.0;
  std::map<std::string, double> terms;
  std::optional<double> lr;           ///< of training lines
  std::optional<double> items_per_s;  ///< examples, or tokens, since the last line
  double seconds = 0.0;               ///< of updates alone, without validation and the like; also before a resumption
};

/// What a model's monitors said at a step.
struct MonitorLine {
  int64_t step = 0;
  Split split = Split::validation;  ///< of the data they looked at
  std::vector<Monitor> monitors;
};

/// What a model drew at a step: a picture, or text.
struct SampleOutput {
  Tensor picture;  ///< (3 or 1, H, W) uint8; undefined for text
  std::string text;
  std::string note;  ///< what a viewer must know: "means of p(x|z), not draws"; mostly empty
};

class Observer {
 public:
  virtual ~Observer() = default;
  /// From which step to which; `resumed`: the run had begun before, perhaps without a checkpoint.
  virtual void begin(int64_t step, int64_t steps, bool resumed) = 0;
  virtual void line(const LogLine& line) = 0;
  virtual void monitors(const MonitorLine&) {}
  virtual void samples(int64_t step, const SampleOutput& output) = 0;
  /// Tensors by the names their histograms have: weights/<parameter>, gradients/<parameter>.
  virtual void histograms(int64_t /*step*/, const NamedTensors&) {}
  virtual void end(int64_t step, const std::string& reason) = 0;
};

/// log.jsonl, one JSON object a line.
class JsonLog final : public Observer {
 public:
  explicit JsonLog(const RunFolder& run) : lines_(run.log()) {}
  void begin(int64_t step, int64_t steps, bool resumed) override;
  void line(const LogLine& line) override;
  void monitors(const MonitorLine& line) override;
  void samples(int64_t, const SampleOutput&) override {}
  void end(int64_t, const std::string&) override {}

 private:
  AppendedLines lines_;
};

/// TensorBoard's event file: train/loss, train/<term>, validation/loss, monitors/<name>, samples, and on request
/// weights/<parameter> and gradients/<parameter>.
class TensorBoardLog final : public Observer {
 public:
  explicit TensorBoardLog(const RunFolder& run) : folder_(run.path()) {}
  void begin(int64_t step, int64_t steps, bool resumed) override;
  void line(const LogLine& line) override;
  void monitors(const MonitorLine& line) override;
  void samples(int64_t step, const SampleOutput& output) override;
  void histograms(int64_t step, const NamedTensors& tensors) override;
  void end(int64_t, const std::string&) override {}

 private:
  std::filesystem::path folder_;
  std::unique_ptr<EventWriter> writer_;
};

/// samples/<step>.png or .txt; of 2-D data also samples/animation.webp at the end.
class SampleFiles final : public Observer {
 public:
  SampleFiles(const RunFolder& run, bool animate) : run_(run), animate_(animate) {}
  void begin(int64_t, int64_t, bool) override {}
  void line(const LogLine&) override {}
  void samples(int64_t step, const SampleOutput& output) override;
  void end(int64_t step, const std::string& reason) override;

 private:
  RunFolder run_;
  bool animate_;
};

/// One line that is rewritten on a terminal, plain lines elsewhere, on stderr; and of every monitor its first warning.
class Console final : public Observer {
 public:
  explicit Console(bool is_terminal) : is_terminal_(is_terminal) {}
  void begin(int64_t step, int64_t steps, bool resumed) override;
  void line(const LogLine& line) override;
  void monitors(const MonitorLine& line) override;
  void samples(int64_t step, const SampleOutput& output) override;
  void end(int64_t step, const std::string& reason) override;

 private:
  void put(const std::string& text);
  void clear();
  bool is_terminal_;
  bool told_of_samples_ = false;
  std::set<std::string> warned_;  ///< names of monitors
  int64_t first_ = 0, steps_ = 0;
  std::chrono::steady_clock::time_point started_;
};

}  // namespace genzoo
