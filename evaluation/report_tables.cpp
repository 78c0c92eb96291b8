#include "evaluation/report_tables.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "evaluation/report_numbers.h"

namespace genzoo {
namespace {

using Mark = TableCell::Mark;

std::string with_spaces(std::string name) {
  std::ranges::replace(name, '_', ' ');
  return name;
}

TableCell missing(const std::string& why) { return {.text = "—", .note = why, .mark = Mark::missing}; }

/// Digits after the point for the numbers of one column: enough for the smallest error, at most six significant.
int column_decimals(const std::vector<Cell>& cells) {
  int decimals = 0, most = 6;
  for (const Cell& cell : cells) {
    if (!cell.mean) continue;
    decimals = std::max(decimals, decimals_of(*cell.mean, cell.standard_error));
    if (*cell.mean != 0) most = std::min(most, 5 - static_cast<int>(std::floor(std::log10(std::abs(*cell.mean)))));
  }
  return std::clamp(decimals, 0, std::max(most, 0));
}

/// The one n of all numbers of a column; 0 when they differ or there are none.
int64_t common_count(const std::vector<Cell>& cells) {
  int64_t n = 0;
  for (const Cell& cell : cells) {
    if (!cell.mean) continue;
    if (n != 0 && n != cell.n) return 0;
    n = cell.n;
  }
  return n;
}

TableHead head_of(const Column& column, int64_t n) {
  std::vector<std::string> notes;
  if (!column.unit.empty()) notes.push_back(column.unit);
  notes.push_back(column.better == Better::lower ? "lower is better" : "higher is better");
  if (n > 0) notes.push_back(fmt::format("n = {}", grouped(n)));
  return {.text = with_spaces(column.name), .note = fmt::format("{}", fmt::join(notes, "; ")), .group = column.of};
}

/// Whether every other model with a number is decidedly worse in the column.
bool is_decided(const std::string& name, const Column& column, const std::vector<Verdict>& verdicts) {
  return std::ranges::all_of(verdicts, [&](const Verdict& verdict) {
    const bool concerns = verdict.column.title() == column.title() && (verdict.a == name || verdict.b == name);
    return !concerns || verdict.better == name;
  });
}

TableCell results_cell(const ComparedModel& model, const Cell& cell, int decimals, bool tell_count) {
  if (!cell.mean) return missing(cell.why);
  std::vector<std::string> notes;
  if (!cell.kind.empty()) notes.push_back(with_spaces(cell.kind));
  const auto runs = static_cast<int64_t>(model.runs.size());
  if (cell.seeds < runs) {
    notes.push_back(fmt::format("{} of {} seeds", cell.seeds, runs));
  } else if (cell.seeds == 1) {
    notes.push_back(model.external ? "one set of samples" : "one seed");
  }
  if (tell_count && cell.n > 0) notes.push_back(fmt::format("n = {}", grouped(cell.n)));
  return {.text = with_error(*cell.mean, cell.standard_error, decimals),
          .note = fmt::format("{}", fmt::join(notes, ", "))};
}

TableCell floor_cell(const Metric* floor, int64_t n) {
  if (!floor) return missing("no floor");
  TableCell cell{.text = with_error(floor->value, floor->standard_error)};
  if (floor->n != n) cell.note = fmt::format("n = {}", grouped(floor->n));
  return cell;
}

/// "vae", "external", "realnvp, 3 seeds".
std::string origin_of(const ComparedModel& model) {
  if (model.external) return "external";
  return fmt::format("{}, {} seed{}", model.family, model.runs.size(), model.runs.size() == 1 ? "" : "s");
}

/// Appends the column to a table whose rows have their names already.
void add_results(const Comparison& comparison, const Column& column, const std::vector<Verdict>& verdicts,
                 ReportTable& table) {
  std::vector<Cell> cells;
  for (const ComparedModel& model : comparison.models) cells.push_back(cell_of(model, column));
  const int decimals = column_decimals(cells);
  const int64_t n = common_count(cells);
  table.head.push_back(head_of(column, n));
  for (size_t i = 0; i < cells.size(); ++i) {
    table.rows[i].push_back(results_cell(comparison.models[i], cells[i], decimals, n == 0));
  }
  const std::vector<size_t> best = best_of(comparison, column);
  for (const size_t i : best) {
    const bool decided = best.size() == 1 && is_decided(comparison.models[i].name, column, verdicts);
    table.rows[i].back().mark = decided ? Mark::best : Mark::leading;
  }
  if (!comparison.floors.empty()) table.rows.back().push_back(floor_cell(floor_of(comparison, column), n));
}

std::string names_of(const std::vector<std::string>& names) {
  if (names.size() < 2) return fmt::format("{}", fmt::join(names, ""));
  return fmt::format("{} and {}", fmt::join(names.begin(), names.end() - 1, ", "), names.back());
}

/// "decidedly better than a; the lead over b is undecided".
std::string lead_of(const std::string& best, const Column& column, const std::vector<Verdict>& verdicts) {
  std::vector<std::string> worse, undecided;
  bool tested = false;
  for (const Verdict& verdict : verdicts) {
    if (verdict.column.title() != column.title() || (verdict.a != best && verdict.b != best)) continue;
    (verdict.better == best ? worse : undecided).push_back(verdict.a == best ? verdict.b : verdict.a);
    tested = tested || verdict.p;
  }
  if (!tested) return "no test of the differences is possible";
  if (undecided.empty()) {
    return worse.size() > 1 ? "decidedly better than every other" : fmt::format("decidedly better than {}", worse[0]);
  }
  if (worse.empty()) return fmt::format("the lead over {} is undecided", names_of(undecided));
  return fmt::format("decidedly better than {}; the lead over {} is undecided", names_of(worse), names_of(undecided));
}

std::string in_words(const Json& value) {
  if (value.is_null()) return "none";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_number_integer()) return grouped(value.get<int64_t>());
  if (value.is_number()) return brief(value.get<double>());
  std::vector<std::string> parts;
  for (const auto& [key, member] : value.items()) {
    parts.push_back(value.is_array() ? in_words(member) : fmt::format("{} {}", with_spaces(key), in_words(member)));
  }
  return parts.empty() ? "none" : fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace

ReportTable results_table(const Comparison& comparison, const std::vector<Verdict>& verdicts) {
  ReportTable table;
  table.head.push_back({.text = "model", .number = false});
  for (const ComparedModel& model : comparison.models) {
    table.rows.push_back({{.text = model.name, .note = origin_of(model)}});
  }
  if (!comparison.floors.empty()) table.rows.push_back({{.text = "real data", .note = "against real data: the floor"}});
  for (const Column& column : columns_of(comparison)) add_results(comparison, column, verdicts, table);
  return table;
}

ReportTable differences_table(const Column& column, const std::vector<Verdict>& verdicts) {
  ReportTable table;
  table.head = {{.text = "pair", .number = false},
                {.text = "difference", .note = "of the means"},
                {.text = "seeds"},
                {.text = "t"},
                {.text = "degrees of freedom"},
                {.text = "p"},
                {.text = "corrected p", .note = "Holm"},
                {.text = "effect", .note = "Hedges' g"},
                {.text = "verdict", .number = false}};
  for (const Verdict& verdict : verdicts) {
    if (verdict.column.title() != column.title()) continue;
    const auto number = [](const std::optional<double>& value, std::string (*text)(double)) {
      return value ? TableCell{.text = text(*value)} : missing("");
    };
    const bool decided = !verdict.better.empty();
    table.rows.push_back({{.text = fmt::format("{} − {}", verdict.a, verdict.b)},
                          {.text = brief(verdict.difference)},
                          {.text = fmt::format("{}\u00a0and\u00a0{}", verdict.seeds_a, verdict.seeds_b)},
                          number(verdict.t, brief),
                          number(verdict.degrees_of_freedom, brief),
                          number(verdict.p, p_text),
                          number(verdict.corrected_p, p_text),
                          number(verdict.effect, brief),
                          {.text = decided ? fmt::format("{} is better", verdict.better) : "undecided",
                           .note = verdict.why,
                           .mark = decided ? Mark::best : Mark::none}});
  }
  return table;
}

ReportTable monitors_table(const ComparedModel& model) {
  ReportTable table;
  table.head = {{.text = "metric", .number = false},
                {.text = "value"},
                {.text = "unit", .number = false},
                {.text = "what it is", .number = false}};
  std::vector<Column> seen;
  for (const ComparedRun& run : model.runs) {
    for (const Metric& metric : run.evaluation.metrics) {
      const auto holds = [&](const Column& column) { return column.holds(metric); };
      if (metric.better != Better::neither || std::ranges::any_of(seen, holds)) continue;
      seen.push_back({.name = metric.name, .unit = metric.unit, .of = metric.of});
      const Cell cell = cell_of(model, seen.back());
      const auto what = metric.of.empty() ? metric.detail : fmt::format("of {}; {}", metric.of, metric.detail);
      table.rows.push_back(
          {{.text = with_spaces(metric.name)},
           cell.mean ? TableCell{.text = with_error(*cell.mean, cell.standard_error)} : missing(cell.why),
           {.text = metric.unit},
           {.text = what}});
    }
  }
  return table;
}

std::vector<Finding> findings_of(const Comparison& comparison, const std::vector<Verdict>& verdicts) {
  std::vector<Finding> findings;
  for (const Column& column : columns_of(comparison)) {
    const std::vector<size_t> best = best_of(comparison, column);
    if (best.empty()) continue;
    std::vector<std::string> names;
    for (const size_t i : best) names.push_back(comparison.models[i].name);
    const Cell cell = cell_of(comparison.models[best.front()], column);
    const std::string value = with_error(*cell.mean, cell.standard_error);
    const std::string what = with_spaces(column.name) + (column.unit.empty() ? "" : ", " + column.unit);
    findings.push_back({column.of, what,
                        names.size() > 1 ? fmt::format("{} share the best mean, {}", names_of(names), value)
                                         : fmt::format("{} has the best mean, {}; {}", names.front(), value,
                                                       lead_of(names.front(), column, verdicts))});
  }
  return findings;
}

std::vector<std::pair<std::string, std::string>> protocol_in_words(const Comparison& comparison) {
  std::vector<std::pair<std::string, std::string>> words;
  if (!comparison.protocol.is_object()) return words;
  for (const auto& [key, value] : comparison.protocol.items()) words.emplace_back(with_spaces(key), in_words(value));
  return words;
}

std::vector<std::string> notes_of(const ComparedModel& model) {
  std::vector<std::string> notes = model.notes;
  for (const ComparedRun& run : model.runs) {
    notes.insert(notes.end(), run.evaluation.notes.begin(), run.evaluation.notes.end());
    for (const auto& [name, why] : run.evaluation.missing)
      notes.push_back(fmt::format("{}: {}", with_spaces(name), why));
  }
  std::vector<std::string> once;
  for (const std::string& note : notes) {
    if (!std::ranges::count(once, note)) once.push_back(note);
  }
  return once;
}

std::string subtitle_of(const Comparison& comparison) {
  size_t fewest = SIZE_MAX, most = 0, external = 0;
  for (const ComparedModel& model : comparison.models) {
    if (model.external) {
      ++external;
      continue;
    }
    fewest = std::min(fewest, model.runs.size());
    most = std::max(most, model.runs.size());
  }
  const size_t trained = comparison.models.size() - external;
  std::string text = fmt::format("{} model{} on {}", comparison.models.size(), comparison.models.size() == 1 ? "" : "s",
                                 comparison.title);
  if (trained > 0) {
    const auto seeds = fewest == most ? std::to_string(most) : fmt::format("{} to {}", fewest, most);
    text += fmt::format(", {} training seed{}{}", seeds, most == 1 ? "" : "s", trained > 1 ? " each" : "");
  }
  if (external > 0) text += fmt::format(", {} external", external);
  return text;
}

}  // namespace genzoo
