#include "trainers/observer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "core/error.h"
#include "core/image.h"
#include "core/json.h"

namespace genzoo {
namespace {

std::string duration(double seconds) {
  const auto s = static_cast<int64_t>(std::lround(seconds));
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

}  // namespace

void JsonLog::begin(int64_t step, int64_t, bool resumed) {
  if (resumed) lines_.write(Json{{"resumed_at", step}}.dump());
}

void JsonLog::line(const LogLine& line) {
  Json json{
      {"step", line.step}, {"split", kSplitNames[static_cast<int>(line.split)]}, {"loss", finite_or_null(line.loss)}};
  for (const auto& [name, value] : line.terms) json[name] = finite_or_null(value);
  if (line.lr) json["lr"] = *line.lr;
  if (line.items_per_s) json["items_per_s"] = *line.items_per_s;
  json["seconds"] = line.seconds;
  lines_.write(json.dump());
  // The best checkpoint is chosen, and others removed, by these lines: they must not be lost before those are.
  if (line.split == Split::validation) lines_.sync();
}

void JsonLog::monitors(const MonitorLine& line) {
  Json values = Json::object(), warnings = Json::array();
  for (const Monitor& monitor : line.monitors) {
    values[monitor.name] = finite_or_null(monitor.value);
    if (!monitor.warning.empty()) warnings.push_back(monitor.warning);
  }
  // A line of its own, without a loss: it is no validation to those who look for one.
  lines_.write(Json{
      {"step", line.step},
      {"split", kSplitNames[static_cast<int>(line.split)]},
      {"monitors", values},
      {"warnings",
       warnings}}.dump());
}

void TensorBoardLog::begin(int64_t step, int64_t, bool resumed) {
  writer_ = std::make_unique<EventWriter>(folder_, resumed ? step : -1);
}

void TensorBoardLog::line(const LogLine& line) {
  const std::string prefix = std::string(kSplitNames[static_cast<int>(line.split)]) + "/";
  writer_->scalar(prefix + "loss", line.step, line.loss);
  for (const auto& [name, value] : line.terms) writer_->scalar(prefix + name, line.step, value);
  if (line.lr) writer_->scalar(prefix + "lr", line.step, *line.lr);
}

void TensorBoardLog::monitors(const MonitorLine& line) {
  for (const Monitor& monitor : line.monitors) writer_->scalar("monitors/" + monitor.name, line.step, monitor.value);
}

void TensorBoardLog::samples(int64_t step, const SampleOutput& output) {
  if (!output.picture.defined()) {
    writer_->text("samples", step, output.text);
    return;
  }
  const Tensor& picture = output.picture;
  writer_->image("samples", step, encode_png(picture), picture.size(2), picture.size(1), picture.size(0), output.note);
}

void TensorBoardLog::histograms(int64_t step, const NamedTensors& tensors) {
  for (const auto& [name, tensor] : tensors) {
    const Tensor values = tensor.detach().to(torch::kCPU, torch::kFloat).contiguous();
    writer_->histogram(name, step, {values.data_ptr<float>(), static_cast<size_t>(values.numel())});
  }
}

void SampleFiles::samples(int64_t step, const SampleOutput& output) {
  if (output.picture.defined()) {
    write_png(run_.sample(step, ".png"), output.picture);
  } else {
    write_file_whole(run_.sample(step, ".txt"), output.text);
  }
}

void SampleFiles::end(int64_t, const std::string&) {
  if (!animate_) return;
  std::vector<std::filesystem::path> paths;
  std::error_code none;
  for (const auto& item : std::filesystem::directory_iterator(run_.samples(), none)) {
    if (sample_step(item.path())) paths.push_back(item.path());
  }
  std::ranges::sort(paths);
  std::vector<Tensor> frames;
  for (const auto& path : paths) {
    try {
      frames.push_back(read_png(path));
    } catch (const RunError&) {
      continue;  // a picture that somebody spoiled is no reason to call a training failed
    }
    if (frames.back().sizes() != frames.front().sizes()) frames.pop_back();
  }
  if (frames.size() < 2) return;
  constexpr int kMilliseconds = 160, kLastFrameRepeats = 8;
  frames.insert(frames.end(), kLastFrameRepeats, frames.back());
  write_animation(run_.samples() / "animation.webp", frames, kMilliseconds);
}

/// A reader of stderr that has gone away is no reason to stop a training: failed writes are ignored.
void Console::put(const std::string& text) {
  std::fputs(text.c_str(), stderr);
  std::fflush(stderr);
}

void Console::clear() {
  if (is_terminal_) put("\r\x1b[K");
}

void Console::begin(int64_t step, int64_t steps, bool resumed) {
  first_ = step;
  steps_ = steps;
  started_ = std::chrono::steady_clock::now();
  if (resumed) put(fmt::format("resumed at step {} of {}\n", step, steps));
}

void Console::line(const LogLine& line) {
  std::string text = fmt::format("step {:>{}}/{}  {}loss {:.4f}", line.step, std::to_string(steps_).size(), steps_,
                                 line.split == Split::validation ? "validation " : "", line.loss);
  for (const auto& [name, value] : line.terms) {
    if (!name.ends_with("gradient_norm") && !name.ends_with("update_ratio")) {  // a line of a terminal is short
      text += fmt::format("  {} {:.4g}", name, value);
    }
  }
  if (line.items_per_s) text += fmt::format("  {:.0f}/s", *line.items_per_s);
  if (line.split == Split::train && line.step > first_) {
    const double spent = std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
    const double left = spent / static_cast<double>(line.step - first_) * static_cast<double>(steps_ - line.step);
    text += fmt::format("  {} left", duration(left));
  }
  clear();
  const bool stays = !is_terminal_ || line.split == Split::validation || line.step == steps_;
  put(text + (stays ? "\n" : ""));
}

void Console::monitors(const MonitorLine& line) {
  for (const Monitor& monitor : line.monitors) {
    if (monitor.warning.empty() || !warned_.insert(monitor.name).second) continue;
    clear();
    put(fmt::format("genzoo: warning: step {}: {}\n", line.step, monitor.warning));
  }
}

void Console::samples(int64_t, const SampleOutput& output) {
  if (std::exchange(told_of_samples_, true) || output.note.empty()) return;
  clear();
  put(output.note + "\n");
}

void Console::end(int64_t step, const std::string& reason) {
  clear();
  put(fmt::format("{} at step {}\n", reason, step));
}

}  // namespace genzoo
