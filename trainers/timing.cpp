#include "trainers/timing.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace genzoo {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

}  // namespace

double seconds_per_update(Trainer& trainer, double limit) {
  constexpr int64_t kWarmUp = 3;                                 // the first updates also get their memory
  const auto update = [&] { trainer.update().item<double>(); };  // only then is a device done with it
  const auto start = Clock::now();
  int64_t updates = 0;
  for (; updates < kWarmUp && (updates == 0 || seconds_since(start) < limit / 2); ++updates) update();
  const auto warm = Clock::now();
  const int64_t before = updates;
  do {
    update();
    ++updates;
  } while (seconds_since(start) < limit);
  return seconds_since(warm) / static_cast<double>(updates - before);
}

double Timing::median() const {
  std::vector<double> sorted = windows;
  std::ranges::sort(sorted);
  const size_t half = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

double Timing::min() const { return *std::ranges::min_element(windows); }
double Timing::max() const { return *std::ranges::max_element(windows); }

Timing time_calls(const std::function<void()>& action, const std::function<void()>& finish, double seconds) {
  constexpr double kWindow = 2.0, kWait = 0.05;
  constexpr int kWarmUp = 3;
  const auto finished = [&] {
    action();
    finish();
  };
  const auto warming = Clock::now();
  for (int i = 0; i < kWarmUp || seconds_since(warming) < std::min(kWindow, seconds / 4); ++i) finished();
  const auto one = Clock::now();
  finished();
  const auto calls_at_once = std::max<int64_t>(1, static_cast<int64_t>(kWait / std::max(seconds_since(one), 1e-7)));

  const auto count = std::max<int64_t>(1, std::llround(seconds / kWindow));
  Timing timing;
  for (int64_t w = 0; w < count; ++w) {
    const auto start = Clock::now();
    int64_t calls = 0;
    do {
      for (int64_t i = 0; i < calls_at_once; ++i) action();
      finish();
      calls += calls_at_once;
    } while (seconds_since(start) < seconds / static_cast<double>(count));
    timing.windows.push_back(seconds_since(start) / static_cast<double>(calls));
  }
  return timing;
}

}  // namespace genzoo
