// A comparison for programs: JSON, and a table in long form.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "evaluation/report.h"
#include "evaluation/report_columns.h"
#include "evaluation/report_profiles.h"

namespace genzoo {
namespace {

Json column_json(const Comparison& comparison, const Column& column, const std::vector<Verdict>& verdicts) {
  Json json = {{"name", column.name},     {"unit", column.unit},
               {"of", column.of},         {"better", better_name(column.better)},
               {"title", column.title()}, {"cells", Json::array()}};
  const std::vector<size_t> best = best_of(comparison, column);
  for (size_t i = 0; i < comparison.models.size(); ++i) {
    const Cell cell = cell_of(comparison.models[i], column);
    json["cells"].push_back({{"model", comparison.models[i].name},
                             {"mean", finite_or_null(cell.mean)},
                             {"stderr", finite_or_null(cell.standard_error)},
                             {"seeds", cell.seeds},
                             {"kind", cell.kind.empty() ? Json() : Json(cell.kind)},
                             {"n", cell.n},
                             {"best_mean", std::ranges::count(best, i) > 0},
                             {"decidedly_best", best.size() == 1 && best[0] == i &&
                                                    is_decided(comparison.models[i].name, column, verdicts)},
                             {"why", cell.why}});
  }
  const Metric* floor = floor_of(comparison, column);
  json["floor"] = floor ? finite_or_null(floor->value) : Json();
  return json;
}

Json run_json(const ComparedModel& model, const ComparedRun& run) {
  Json json = {{"experiment", model.name}, {"external", model.external}};
  json.update(run.to_json());
  json["loss_unit"] = model.loss_unit;
  return json;
}

/// RFC 4180: quoted when it holds a comma, a quote or a line's end.
std::string field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

struct Row {
  std::string model, family, seed;
  std::string split, step;
};

void add_row(std::string& csv, const Row& row, const Metric& metric) {
  const std::string error = metric.standard_error ? fmt::format("{}", *metric.standard_error) : "";
  const std::string n = metric.n > 0 ? std::to_string(metric.n) : "";
  const std::string value = fmt::format("{}", metric.value);
  const char* better = better_name(metric.better);
  bool first = true;
  for (const std::string& text : {row.model, row.family, row.seed, row.split, row.step, metric.name, value, metric.unit,
                                  metric.kind, error, n, metric.of, std::string(better), metric.detail}) {
    if (!first) csv += ',';
    first = false;
    csv += field(text);
  }
  csv += "\r\n";
}

void add_costs(std::string& csv, const Row& row, const Costs& costs) {
  const auto add = [&](const char* name, double value, const std::string& unit) {
    add_row(csv, row,
            {.name = name, .value = value, .unit = unit, .kind = "", .standard_error = {}, .n = 0, .detail = "cost"});
  };
  add("parameters", static_cast<double>(costs.parameters), "");
  add("training_flops", costs.training_flops, "FLOP");
  add("steps", static_cast<double>(costs.steps), "");
  if (costs.training_seconds) add("training_seconds", *costs.training_seconds, "s");
  if (costs.items_per_s) add("items_per_s", *costs.items_per_s, costs.item + "/s");
  if (costs.peak_memory) add("peak_memory", static_cast<double>(*costs.peak_memory), "bytes");
  if (costs.samples_per_s) add("samples_per_s", *costs.samples_per_s, "samples/s");
}

}  // namespace

Json report_json(const Comparison& comparison) {
  Json json = {{"title", comparison.title}, {"protocol", comparison.protocol}, {"runs", Json::array()}};
  for (const ComparedModel& model : comparison.models) {
    for (const ComparedRun& run : model.runs) json["runs"].push_back(run_json(model, run));
  }
  for (const char* list : {"floors", "columns", "verdicts"}) json[list] = Json::array();
  for (const Metric& floor : comparison.floors) json["floors"].push_back(floor.to_json());
  const std::vector<Verdict> verdicts = verdicts_of(comparison);
  for (const Column& column : columns_of(comparison)) {
    json["columns"].push_back(column_json(comparison, column, verdicts));
  }
  for (const Verdict& verdict : verdicts) json["verdicts"].push_back(verdict.to_json());
  json["profiles"] = profiles_json(profile_charts(comparison));
  json["notes"] = comparison.notes;
  return json;
}

std::string report_csv(const Comparison& comparison) {
  std::string csv = "model,family,seed,split,step,metric,value,unit,kind,stderr,n,of,better,detail\r\n";
  for (const ComparedModel& model : comparison.models) {
    for (const ComparedRun& run : model.runs) {
      const Row row{model.name, model.family, std::to_string(run.seed), run.evaluation.split,
                    std::to_string(run.evaluation.step)};
      for (const Metric& metric : run.evaluation.metrics) add_row(csv, row, metric);
      if (run.costs) add_costs(csv, row, *run.costs);
    }
  }
  for (const Metric& floor : comparison.floors) add_row(csv, {"real data", "floor", "", "", ""}, floor);
  return csv;
}

}  // namespace genzoo
