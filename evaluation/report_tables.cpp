#include "evaluation/report_tables.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "evaluation/report_columns.h"
#include "evaluation/report_numbers.h"

namespace genzoo {
namespace {

using Mark = TableCell::Mark;

TableCell missing(const std::string& why) { return {.text = "—", .note = why, .mark = Mark::missing}; }

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
  return {
      .text = metric_words(column.name), .note = fmt::format("{}", fmt::join(notes, "; ")), .group = group_of(column)};
}

TableCell results_cell(const ComparedModel& model, const Cell& cell, int decimals, bool tell_count) {
  if (!cell.mean) return missing(cell.why);
  std::vector<std::string> notes;
  if (!cell.kind.empty()) notes.push_back(metric_words(cell.kind));
  const auto runs = static_cast<int64_t>(model.runs.size());
  if (cell.seeds < runs) {
    notes.push_back(fmt::format("{} of {} seeds", cell.seeds, runs));
  } else if (cell.seeds == 1) {
    notes.push_back(model.external ? "one set of samples" : "one seed");
  }
  if (const std::string half = incomplete_in_words(model); !half.empty()) notes.push_back(half);
  if (tell_count && cell.n > 0) notes.push_back(fmt::format("n = {}", grouped(cell.n)));
  return {.text = with_error(*cell.mean, cell.standard_error, decimals),
          .note = fmt::format("{}", fmt::join(notes, ", "))};
}

TableCell floor_cell(const Metric* floor, int64_t n, int decimals) {
  if (!floor) return missing("no floor");
  if (!std::isfinite(floor->value)) return missing(floor->detail);
  const int own = decimals_of(floor->value, floor->standard_error);
  TableCell cell{.text = with_error(floor->value, floor->standard_error, std::min(own, std::max(decimals, 1)))};
  if (floor->n != n) cell.note = fmt::format("n = {}", grouped(floor->n));
  return cell;
}

/// Which weights were measured, of all seeds: "averaged weights", "raw weights"; empty when there are none.
std::string weights_of(const ComparedModel& model) {
  std::vector<std::string> words;
  for (const ComparedRun& run : model.runs) {
    if (run.evaluation.weights.empty() || run.evaluation.metrics.empty()) continue;
    const std::string word = (run.evaluation.weights == "ema" ? "averaged" : run.evaluation.weights) + " weights";
    if (!std::ranges::count(words, word)) words.push_back(word);
  }
  return fmt::format("{}", fmt::join(words, " and "));
}

/// "external", "flow, 3 seeds, averaged weights".
std::string origin_of(const ComparedModel& model) {
  if (model.external) return "external";
  const std::string weights = weights_of(model);
  return fmt::format("{}, {} seed{}{}{}", model.family, model.runs.size(), model.runs.size() == 1 ? "" : "s",
                     weights.empty() ? "" : ", ", weights);
}

TableCell verdict_cell(const Verdict& verdict) {
  if (verdict.better.empty()) return {.text = "undecided", .note = verdict.why};
  if (verdict.of_bounds) {
    return {.text = fmt::format("the number of {} is better", verdict.better),
            .note = "undecided for the models themselves: the other has only a bound or an estimate"};
  }
  return {.text = fmt::format("{} is better", verdict.better), .mark = Mark::best};
}

/// Appends the column to a table whose rows have their names already.
void add_results(const Comparison& comparison, const Column& column, const std::vector<Verdict>& verdicts,
                 ReportTable& table) {
  std::vector<Cell> cells;
  for (const ComparedModel& model : comparison.models) cells.push_back(cell_of(model, column));
  const int decimals = column_decimals(comparison, column);
  const int64_t n = common_count(cells);
  table.head.push_back(head_of(column, n));
  for (size_t i = 0; i < cells.size(); ++i) {
    table.rows[i].push_back(results_cell(comparison.models[i], cells[i], decimals, n == 0));
    table.rows[i].back().beyond_floor = is_beyond_floor(comparison, column, cells[i]);
  }
  const std::vector<size_t> best = best_of(comparison, column);
  for (const size_t i : best) {
    const bool decided = best.size() == 1 && is_decided(comparison.models[i].name, column, verdicts);
    table.rows[i].back().mark = decided ? Mark::best : Mark::leading;
  }
  if (!comparison.floors.empty()) table.rows.back().push_back(floor_cell(floor_of(comparison, column), n, decimals));
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
  if (!is_tested(column, verdicts)) return table;
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
    table.rows.push_back({{.text = fmt::format("{} − {}", verdict.a, verdict.b)},
                          {.text = brief(verdict.difference)},
                          {.text = fmt::format("{}\u00a0and\u00a0{}", verdict.seeds_a, verdict.seeds_b)},
                          number(verdict.t, brief),
                          number(verdict.degrees_of_freedom, brief),
                          number(verdict.p, p_text),
                          number(verdict.corrected_p, p_text),
                          number(verdict.effect, brief),
                          verdict_cell(verdict)});
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
          {{.text = metric_words(metric.name)},
           cell.mean ? TableCell{.text = with_error(*cell.mean, cell.standard_error)} : missing(cell.why),
           {.text = metric.unit},
           {.text = what}});
    }
  }
  return table;
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
