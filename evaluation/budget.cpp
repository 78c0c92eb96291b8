#include "evaluation/budget.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/error.h"

namespace genzoo {
namespace {

constexpr double kLargest = 1e12;  // steps or seconds; beyond is a slip of the finger

struct UnitOfTime {
  const char* name;
  double seconds;
};
constexpr UnitOfTime kUnitsOfTime[] = {{"s", 1}, {"min", 60}, {"h", 3600}};

[[noreturn]] void refuse(const std::string& text) {
  throw UsageError(
      fmt::format("--budget {}: wanted a time or a number of steps, such as 120s, 5min, 1h or 5000steps", text));
}

}  // namespace

Budget parse_budget(const std::string& text) {
  if (text.empty()) return OwnSteps{};
  double number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !(number > 0) || number > kLargest) refuse(text);
  const std::string unit(stop, text.data() + text.size());
  if (unit == "steps" && number == std::floor(number)) return StepsBudget{static_cast<int64_t>(number)};
  for (const UnitOfTime& time : kUnitsOfTime) {
    if (unit == time.name) return SecondsBudget{number * time.seconds};
  }
  refuse(text);
}

std::string describe(const Budget& budget) {
  if (const auto* time = std::get_if<SecondsBudget>(&budget)) return fmt::format("{} s", time->seconds);
  if (const auto* steps = std::get_if<StepsBudget>(&budget)) return fmt::format("{} steps", steps->steps);
  return "each config's own steps";
}

int64_t steps_within(const SecondsBudget& budget, double seconds_per_step) {
  return std::max<int64_t>(1, static_cast<int64_t>(budget.seconds / seconds_per_step));
}

}  // namespace genzoo
