#include "evaluation/comparison_notes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "evaluation/report_numbers.h"

namespace genzoo {
namespace {

constexpr double kBudgetTolerance = 0.1;  // of the seconds; beyond it a note says so

/// A budget in seconds is kept by steps that were timed once; on a busy machine they take another time.
void add_budget_notes(const Comparison& comparison, const SecondsBudget& budget, std::vector<std::string>& notes) {
  notes.push_back("the budget is of updates alone; validation, sampling and saving come on top of it");
  const std::string reason = "budget of " + describe(budget);
  for (const ComparedModel& model : comparison.models) {
    RunningMean seconds;
    for (const ComparedRun& run : model.runs) {
      const bool bound = !model.given && run.ending == Ending::complete && run.stopped_by == reason;
      if (bound && run.costs && run.costs->training_seconds) seconds.add(*run.costs->training_seconds);
    }
    if (seconds.count() == 0 || std::abs(seconds.mean() / budget.seconds - 1) < kBudgetTolerance) continue;
    notes.push_back(
        fmt::format("{} took {} of training on average, with a budget of {}: its steps were timed when the "
                    "machine was busier or idler",
                    model.name, duration_text(seconds.mean()), duration_text(budget.seconds)));
  }
}

/// "trainings differ in their device, so their times do not compare: cpu, 2 threads (a, b); cuda:0, 2 threads (c)".
void add_difference(const Comparison& comparison, std::string Costs::*what, const std::string& words,
                    std::vector<std::string>& notes) {
  std::map<std::string, std::vector<std::string>> models;  // by what was found
  for (const ComparedModel& model : comparison.models) {
    for (const ComparedRun& run : model.runs) {
      if (!run.costs || ((*run.costs).*what).empty()) continue;
      std::vector<std::string>& names = models[(*run.costs).*what];
      if (!std::ranges::count(names, model.name)) names.push_back(model.name);
    }
  }
  if (models.size() < 2) return;
  std::vector<std::string> parts;
  for (const auto& [found, names] : models) parts.push_back(fmt::format("{} ({})", found, fmt::join(names, ", ")));
  notes.push_back(fmt::format("trainings differ in {}: {}", words, fmt::join(parts, "; ")));
}

bool was_trained_here(const ComparedModel& model) { return !model.external && !model.given; }

}  // namespace

std::vector<std::string> training_notes(const Comparison& comparison, const Budget& budget) {
  std::vector<std::string> notes;
  if (all_diverged(comparison)) notes.push_back(kAllDiverged);
  if (const auto* seconds = std::get_if<SecondsBudget>(&budget)) add_budget_notes(comparison, *seconds, notes);
  add_difference(comparison, &Costs::trained_on, "their device, so their times do not compare", notes);
  add_difference(comparison, &Costs::trained_by, "the program that ran them", notes);
  return notes;
}

bool all_diverged(const Comparison& comparison) {
  bool any = false;
  for (const ComparedModel& model : comparison.models) {
    if (!was_trained_here(model)) continue;
    any = true;
    if (!std::ranges::all_of(model.runs, has_diverged)) return false;
  }
  return any;
}

}  // namespace genzoo
