// What the models of a comparison cost.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "evaluation/report_numbers.h"
#include "evaluation/report_tables.h"

namespace genzoo {
namespace {

using Number = std::function<std::optional<double>(const Costs&)>;
using Text = std::function<std::string(double mean, const Costs& first)>;

struct CostColumn {
  TableHead head;
  Number number;
  Text text;
};

const std::vector<CostColumn>& cost_columns() {
  static const std::vector<CostColumn> columns = {
      {{.text = "parameters"},
       [](const Costs& costs) { return static_cast<double>(costs.parameters); },
       [](double mean, const Costs&) { return grouped(std::llround(mean)); }},
      {{.text = "training"},
       [](const Costs& costs) { return costs.training_flops; },
       [](double mean, const Costs&) { return with_prefix(mean, "FLOP"); }},
      {{.text = "steps"},
       [](const Costs& costs) { return static_cast<double>(costs.steps); },
       [](double mean, const Costs&) { return grouped(std::llround(mean)); }},
      {{.text = "training time", .note = "updates alone"},
       [](const Costs& costs) { return costs.training_seconds; },
       [](double mean, const Costs&) { return duration_text(mean); }},
      {{.text = "training speed"},
       [](const Costs& costs) { return costs.items_per_s; },
       [](double mean, const Costs& first) { return fmt::format("{} {}/s", brief(mean), first.item); }},
      {{.text = "sampling speed"},
       [](const Costs& costs) { return costs.samples_per_s; },
       [](double mean, const Costs&) { return fmt::format("{} samples/s", brief(mean)); }},
      {{.text = "peak memory", .note = "while training"},
       [](const Costs& costs) { return costs.peak_memory ? std::optional<double>(*costs.peak_memory) : std::nullopt; },
       [](double mean, const Costs&) { return bytes_text(std::llround(mean)); }},
  };
  return columns;
}

/// The mean over the seeds that have the number, and how far they spread where they do.
TableCell cost_cell(const ComparedModel& model, const CostColumn& column) {
  std::vector<double> values;
  const Costs* first = nullptr;
  for (const ComparedRun& run : model.runs) {
    if (!run.costs) continue;
    const auto value = column.number(*run.costs);
    if (!value || !std::isfinite(*value)) continue;
    if (!first) first = &*run.costs;
    values.push_back(*value);
  }
  if (values.empty()) {
    return {.text = "—", .note = model.external ? "" : "not measured", .mark = TableCell::Mark::missing};
  }
  double mean = 0.0;
  for (const double value : values) mean += value / static_cast<double>(values.size());
  TableCell cell{.text = column.text(mean, *first)};
  const auto [low, high] = std::ranges::minmax(values);
  // Told only when it shows in the digits printed.
  const std::string low_text = column.text(low, *first), high_text = column.text(high, *first);
  if (low_text != high_text) cell.note = fmt::format("{} to {}", low_text, high_text);
  return cell;
}

TableCell stop_cell(const ComparedModel& model) {
  std::vector<std::string> reasons;
  for (const ComparedRun& run : model.runs) {
    if (!run.stopped_by.empty() && !std::ranges::count(reasons, run.stopped_by)) reasons.push_back(run.stopped_by);
  }
  if (model.external) return {.text = "—", .mark = TableCell::Mark::missing};  // not trained here
  if (reasons.empty()) return {.text = "—", .note = "unknown", .mark = TableCell::Mark::missing};
  return {.text = fmt::format("{}", fmt::join(reasons, "; "))};
}

}  // namespace

ReportTable costs_table(const Comparison& comparison) {
  ReportTable table;
  table.head.push_back({.text = "model", .number = false});
  for (const CostColumn& column : cost_columns()) table.head.push_back(column.head);
  table.head.push_back({.text = "stopped by", .number = false});
  for (const ComparedModel& model : comparison.models) {
    std::vector<TableCell> row{{.text = model.name, .note = model.external ? "external: not trained here" : ""}};
    for (const CostColumn& column : cost_columns()) row.push_back(cost_cell(model, column));
    row.push_back(stop_cell(model));
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace genzoo
