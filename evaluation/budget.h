#pragma once
// How long each model of a comparison trains.

#include <cstdint>
#include <string>
#include <variant>

namespace genzoo {

/// As its config says.
struct OwnSteps {
  bool operator==(const OwnSteps&) const = default;
};
/// Wall clock of training alone: updates, without validation, sampling and saving. Becomes a number of steps once, by
/// timing.
struct SecondsBudget {
  double seconds = 0.0;
  bool operator==(const SecondsBudget&) const = default;
};
struct StepsBudget {
  int64_t steps = 0;
  bool operator==(const StepsBudget&) const = default;
};
using Budget = std::variant<OwnSteps, SecondsBudget, StepsBudget>;

/// "120s", "2.5s", "5min", "1h", "5000steps"; "" is OwnSteps. Throws UsageError for anything else.
Budget parse_budget(const std::string& text);

/// "120 s", "5000 steps", "each config's own steps".
std::string describe(const Budget& budget);

/// The share of a budget in seconds that is spent on timing a step.
inline constexpr double kTimingShare = 0.05;

/// Steps of `seconds_per_step` that fit a budget in seconds; at least one.
int64_t steps_within(const SecondsBudget& budget, double seconds_per_step);

}  // namespace genzoo
