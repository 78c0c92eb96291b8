#include "evaluation/comparison.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "evaluation/statistics.h"

namespace genzoo {
namespace {

Column column_of(const Metric& metric) {
  return {.name = metric.name, .unit = metric.unit, .of = metric.of, .better = metric.better};
}

const Metric* metric_in(const ComparedRun& run, const Column& column) {
  const auto& metrics = run.evaluation.metrics;
  const auto found = std::ranges::find_if(metrics, [&](const Metric& metric) { return column.holds(metric); });
  return found == metrics.end() ? nullptr : &*found;
}

/// The column's numbers of a model, one a training seed that has it.
std::vector<double> values_of(const ComparedModel& model, const Column& column) {
  std::vector<double> values;
  for (const ComparedRun& run : model.runs) {
    if (const Metric* metric = metric_in(run, column)) values.push_back(metric->value);
  }
  return values;
}

/// A metric of the column's name that may not stand in it, as words.
std::string incomparable(const ComparedModel& model, const Column& column) {
  for (const ComparedRun& run : model.runs) {
    for (const Metric& metric : run.evaluation.metrics) {
      if (metric.name != column.name || column.holds(metric)) continue;
      const std::string unit = metric.unit.empty() ? "" : " in " + metric.unit;
      return fmt::format("not comparable: known{}{}{} only", unit, metric.of.empty() ? "" : " of ", metric.of);
    }
  }
  return "";
}

/// Why no seed of a model has a number in the column.
std::string why_missing(const ComparedModel& model, const Column& column) {
  if (model.runs.empty()) return "no finished run";
  const bool bound = column.name == "bound";  // beside likelihoods
  const auto is_exact = [](const Metric& metric) { return metric.name == "likelihood" && metric.kind == "exact"; };
  for (const ComparedRun& run : model.runs) {
    const auto found = run.evaluation.missing.find(bound ? "likelihood" : column.name);
    if (found != run.evaluation.missing.end()) return found->second;
    if (bound && std::ranges::any_of(run.evaluation.metrics, is_exact)) return "none needed: its likelihood is exact";
  }
  if (std::string why = incomparable(model, column); !why.empty()) return why;
  if (std::ranges::all_of(model.runs, has_diverged)) return model.runs.front().stopped_by;
  if (model.external) return "not given, and samples alone do not tell";
  return "not measured";
}

/// A metric that could not be had says why in its own words.
std::string why_not_finite(const ComparedModel& model, const ComparedRun& run, const Metric& metric) {
  const std::string seed = model.runs.size() > 1 ? fmt::format(" for seed {}", run.seed) : "";
  return fmt::format("{}{}: {}", metric.value, seed, metric.detail.empty() ? "not a finite number" : metric.detail);
}

/// A training that diverged and left nothing to measure spoils what the other seeds have; empty when there is none.
std::string why_lost(const ComparedModel& model) {
  for (const ComparedRun& run : model.runs) {
    if (run.evaluation.metrics.empty() && has_diverged(run)) {
      return fmt::format("seed {} was lost: {}", run.seed, run.stopped_by);
    }
  }
  return "";
}

/// Bounds and estimates that stand in one cell, when runs differ in them.
std::string kinds_of(const std::set<std::string>& kinds) { return fmt::format("{}", fmt::join(kinds, ", ")); }

/// Why two models that have numbers have no test.
std::string why_untested(const ComparedModel& a, size_t seeds_a, const ComparedModel& b, size_t seeds_b) {
  for (const ComparedModel* model : {&a, &b}) {
    if (const std::string half = incomplete_in_words(*model); !half.empty()) {
      return fmt::format("{}: {}", model->name, half);
    }
  }
  if (seeds_a < 2 && seeds_b < 2) return "one training seed of each: chance is unknown";
  if (seeds_a < 2 || seeds_b < 2) {
    return fmt::format("one training seed of {}: chance is unknown", seeds_a < 2 ? a.name : b.name);
  }
  return "the same number for every seed: chance is unknown";
}

Verdict verdict_of(const ComparedModel& a, const ComparedModel& b, const Column& column) {
  const auto values_a = values_of(a, column), values_b = values_of(b, column);
  Verdict verdict{.column = column,
                  .a = a.name,
                  .b = b.name,
                  .difference = *cell_of(a, column).mean - *cell_of(b, column).mean,
                  .seeds_a = static_cast<int64_t>(values_a.size()),
                  .seeds_b = static_cast<int64_t>(values_b.size()),
                  .t = {},
                  .degrees_of_freedom = {},
                  .p = {},
                  .corrected_p = {},
                  .effect = hedges_g(values_a, values_b),
                  .better = ""};
  const bool complete = incomplete_in_words(a).empty() && incomplete_in_words(b).empty();
  const auto test = welch_test(values_a, values_b);
  if (test && complete) {
    verdict.t = test->t;
    verdict.degrees_of_freedom = test->degrees_of_freedom;
    verdict.p = test->p;
  } else {
    verdict.why = why_untested(a, values_a.size(), b, values_b.size());
  }
  return verdict;
}

/// Whether all that a column knows of a model is a bound or an estimate.
bool rests_on_bound(const Comparison& comparison, const std::string& name, const Column& column) {
  const auto model = std::ranges::find(comparison.models, name, &ComparedModel::name);
  if (model == comparison.models.end()) return false;
  const std::string kind = cell_of(*model, column).kind;
  // Only of likelihoods a kind is told. A divergence and a likelihood of no kind are not known to be exact.
  if (kind.empty()) return column.name == "divergence" || column.name == "likelihood";
  return kind != "exact";
}

/// Corrects the tests of one column, and decides.
void decide(const Comparison& comparison, std::vector<Verdict>& verdicts, double level) {
  std::vector<Verdict*> tested;
  std::vector<double> p;
  for (Verdict& verdict : verdicts) {
    if (!verdict.p) continue;
    tested.push_back(&verdict);
    p.push_back(*verdict.p);
  }
  const std::vector<double> corrected = holm_correction(p);
  for (size_t i = 0; i < tested.size(); ++i) {
    Verdict& verdict = *tested[i];
    verdict.corrected_p = corrected[i];
    if (corrected[i] >= level) continue;
    const bool a_is_lower = verdict.difference < 0;
    const bool a_is_better = a_is_lower == (verdict.column.better == Better::lower);
    verdict.better = a_is_better ? verdict.a : verdict.b;
    verdict.of_bounds = rests_on_bound(comparison, a_is_better ? verdict.b : verdict.a, verdict.column);
  }
}

}  // namespace

bool has_diverged(const ComparedRun& run) { return run.ending == Ending::diverged; }

std::string incomplete_in_words(const ComparedModel& model) {
  const auto count = [&](Ending ending) { return std::ranges::count(model.runs, ending, &ComparedRun::ending); };
  const auto diverged = count(Ending::diverged), unfinished = count(Ending::unfinished);
  const auto of = model.runs.size();
  std::vector<std::string> parts;
  const auto add = [&](auto number, const char* what) {
    if (number > 0) parts.push_back(of > 1 ? fmt::format("{} of {} seeds {}", number, of, what) : what);
  };
  add(diverged, "diverged");
  add(unfinished, "unfinished");
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string Column::title() const {
  std::string text = unit.empty() ? name : fmt::format("{}, {}", name, unit);
  return of.empty() ? text : fmt::format("{} of {}", text, of);
}

bool Column::holds(const Metric& metric) const { return metric.name == name && metric.unit == unit && metric.of == of; }

std::vector<Column> columns_of(const Comparison& comparison) {
  std::vector<Column> columns;
  for (const ComparedModel& model : comparison.models) {
    for (const ComparedRun& run : model.runs) {
      for (const Metric& metric : run.evaluation.metrics) {
        const auto holds = [&](const Column& column) { return column.holds(metric); };
        if (metric.better == Better::neither || std::ranges::any_of(columns, holds)) continue;
        columns.push_back(column_of(metric));
      }
    }
  }
  // Likelihoods first; then those of one treatment or extractor side by side, in the order of the first of them.
  const auto is_likelihood = [](const Column& column) { return column.name == "likelihood" || column.name == "bound"; };
  const auto others = std::ranges::stable_partition(columns, is_likelihood);
  const auto side_by_side = [](auto part) {
    std::vector<std::string> order;
    for (const Column& column : part) order.push_back(column.of);
    std::ranges::stable_sort(part, {}, [&](const Column& column) { return std::ranges::find(order, column.of); });
  };
  side_by_side(std::ranges::subrange(columns.begin(), others.begin()));
  side_by_side(others);
  return columns;
}

Cell cell_of(const ComparedModel& model, const Column& column) {
  Cell cell;
  RunningMean mean;
  std::set<std::string> kinds;
  for (const ComparedRun& run : model.runs) {
    const Metric* metric = metric_in(run, column);
    if (!metric) continue;
    if (!std::isfinite(metric->value) && cell.why.empty()) cell.why = why_not_finite(model, run, *metric);
    mean.add(metric->value);
    kinds.insert(metric->kind);
    cell.n = cell.seeds == 0 ? metric->n : std::min(cell.n, metric->n);
    ++cell.seeds;
  }
  cell.kind = kinds_of(kinds);
  if (cell.seeds == 0) cell.why = why_missing(model, column);
  if (cell.why.empty()) cell.why = why_lost(model);
  if (!cell.why.empty()) return cell;
  cell.mean = mean.mean();
  cell.standard_error = mean.standard_error();
  return cell;
}

const Metric* floor_of(const Comparison& comparison, const Column& column) {
  const auto found = std::ranges::find_if(comparison.floors, [&](const Metric& floor) { return column.holds(floor); });
  return found == comparison.floors.end() ? nullptr : &*found;
}

std::vector<size_t> best_of(const Comparison& comparison, const Column& column) {
  if (column.better == Better::neither) return {};
  std::vector<size_t> best;
  double record = 0.0;
  int64_t numbers = 0;
  for (size_t i = 0; i < comparison.models.size(); ++i) {
    const Cell cell = cell_of(comparison.models[i], column);
    if (!cell.mean) continue;
    const double badness = column.better == Better::lower ? *cell.mean : -*cell.mean;
    if (numbers++ == 0 || badness < record) {
      best = {i};
      record = badness;
    } else if (badness == record) {
      best.push_back(i);
    }
  }
  return numbers < 2 ? std::vector<size_t>{} : best;
}

std::vector<Verdict> verdicts_of(const Comparison& comparison, double level) {
  std::vector<Verdict> all;
  const auto& models = comparison.models;
  for (const Column& column : columns_of(comparison)) {
    std::vector<Verdict> verdicts;
    for (size_t i = 0; i < models.size(); ++i) {
      for (size_t j = i + 1; j < models.size(); ++j) {
        if (!cell_of(models[i], column).mean || !cell_of(models[j], column).mean) continue;
        verdicts.push_back(verdict_of(models[i], models[j], column));
      }
    }
    decide(comparison, verdicts, level);
    all.insert(all.end(), verdicts.begin(), verdicts.end());
  }
  return all;
}

Json Verdict::to_json() const {
  return {{"metric", column.name},
          {"unit", column.unit},
          {"of", column.of},
          {"a", a},
          {"b", b},
          {"difference", finite_or_null(difference)},
          {"seeds_a", seeds_a},
          {"seeds_b", seeds_b},
          {"t", finite_or_null(t)},
          {"degrees_of_freedom", finite_or_null(degrees_of_freedom)},
          {"p", finite_or_null(p)},
          {"corrected_p", finite_or_null(corrected_p)},
          {"effect", finite_or_null(effect)},
          {"verdict", better.empty() || of_bounds ? "undecided" : "decided"},
          {"better", better.empty() ? Json() : Json(better)},
          {"of_bounds", of_bounds},
          {"why", why}};
}

}  // namespace genzoo
