// What may be said of each column.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "evaluation/report_columns.h"
#include "evaluation/report_tables.h"

namespace genzoo {
namespace {

std::string names_of(const std::vector<std::string>& names) {
  if (names.size() < 2) return fmt::format("{}", fmt::join(names, ""));
  return fmt::format("{} and {}", fmt::join(names.begin(), names.end() - 1, ", "), names.back());
}

/// "decidedly better than a; decidedly better than what is known of b, but undecided for the models themselves: of that
/// one only a bound or an estimate is known; the lead over c is undecided".
std::string lead_of(const std::string& best, const Column& column, const std::vector<Verdict>& verdicts) {
  std::vector<std::string> worse, bounds, undecided;
  for (const Verdict& verdict : verdicts) {
    if (verdict.column.title() != column.title() || (verdict.a != best && verdict.b != best)) continue;
    const std::string& other = verdict.a == best ? verdict.b : verdict.a;
    if (verdict.better != best) {
      undecided.push_back(other);
    } else {
      (verdict.of_bounds ? bounds : worse).push_back(other);
    }
  }
  std::vector<std::string> parts;
  if (!worse.empty()) {
    const bool all = worse.size() > 1 && bounds.empty() && undecided.empty();
    parts.push_back("decidedly better than " + (all ? "every other" : names_of(worse)));
  }
  if (!bounds.empty()) {
    parts.push_back(fmt::format(
        "decidedly better than what is known of {}, but undecided for the models themselves: of {} only a bound or an "
        "estimate is known",
        names_of(bounds), bounds.size() > 1 ? "those" : "that one"));
  }
  if (!undecided.empty()) parts.push_back(fmt::format("the lead over {} is undecided", names_of(undecided)));
  return fmt::format("{}", fmt::join(parts, "; "));
}

}  // namespace

std::vector<Finding> findings_of(const Comparison& comparison, const std::vector<Verdict>& verdicts) {
  std::vector<Finding> findings;
  for (const Column& column : columns_of(comparison)) {
    const std::vector<size_t> best = best_of(comparison, column);
    if (best.empty()) continue;
    std::vector<std::string> names;
    for (const size_t i : best) names.push_back(comparison.models[i].name);
    const Cell cell = cell_of(comparison.models[best.front()], column);
    const bool tested = is_tested(column, verdicts);
    const char* what = cell.seeds > 1 ? "mean" : "number";
    std::string text = fmt::format("{} {} the best {}, {}", names_of(names), names.size() > 1 ? "share" : "has", what,
                                   cell_text(comparison, column, cell));
    if (is_beyond_floor(comparison, column, cell)) text += ", beyond the floor";
    if (!tested) text += ", untested";
    if (tested && names.size() == 1) text += "; " + lead_of(names.front(), column, verdicts);
    findings.push_back(
        {group_of(column), metric_words(column.name) + (column.unit.empty() ? "" : ", " + column.unit), text});
  }
  return findings;
}

}  // namespace genzoo
