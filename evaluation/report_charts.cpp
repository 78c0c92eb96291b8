#include "evaluation/report_charts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "evaluation/report_numbers.h"
#include "evaluation/report_page.h"

namespace genzoo {
namespace {

constexpr size_t kMostPoints = 300;  // of a curve on the page
constexpr size_t kMostRows = 10;     // of a curve in the table

/// Models whose losses may share axes.
struct ChartUnit {
  std::string unit;
  std::vector<const ComparedModel*> models;
};

bool has_curve(const ComparedModel& model) {
  return std::ranges::any_of(model.runs, [](const ComparedRun& run) { return !run.curve.empty(); });
}

std::vector<ChartUnit> units_of(const Comparison& comparison) {
  std::vector<ChartUnit> units;
  for (const ComparedModel& model : comparison.models) {
    if (!has_curve(model)) continue;
    const auto same = [&](const ChartUnit& unit) { return !unit.unit.empty() && unit.unit == model.loss_unit; };
    auto unit = std::ranges::find_if(units, same);
    if (unit == units.end()) unit = units.insert(units.end(), {.unit = model.loss_unit, .models = {}});
    unit->models.push_back(&model);
  }
  return units;
}

/// At most `most` points, evenly spaced, the first and the last among them.
std::vector<CurvePoint> thinned(const std::vector<CurvePoint>& curve, size_t most) {
  if (curve.size() <= most) return curve;
  std::vector<CurvePoint> points;
  for (size_t i = 0; i < most; ++i) points.push_back(curve[i * (curve.size() - 1) / (most - 1)]);
  return points;
}

/// "a ends at 3.45, b at 3.34", of the first seeds.
std::string ends_of(const ChartUnit& unit) {
  std::vector<std::string> ends;
  for (const ComparedModel* model : unit.models) {
    const auto run = std::ranges::find_if(model->runs, [](const ComparedRun& r) { return !r.curve.empty(); });
    ends.push_back(fmt::format("{} ends at {}", model->name, brief(run->curve.back().loss)));
  }
  return fmt::format("{}", fmt::join(ends, ", "));
}

std::string chart_html(size_t index, const ChartUnit& unit, const char* against) {
  const std::string what = fmt::format("Validation loss{}{} against training {}. {}.", unit.unit.empty() ? "" : " in ",
                                       unit.unit, against, ends_of(unit));
  return fmt::format(
      "<figure><div class=\"chart\"><canvas role=\"img\" data-unit=\"{0}\" data-against=\"{1}\" "
      "data-hint=\"hint-{0}-{1}\" aria-label=\"{2}\"></canvas></div>\n"
      "<figcaption><span>Against training {1}.</span><span id=\"hint-{0}-{1}\" hidden>The highest losses lie above the "
      "chart.</span></figcaption></figure>\n",
      index, against, escape_html(what));
}

std::string table_html(const ChartUnit& unit) {
  std::string rows;
  for (const ComparedModel* model : unit.models) {
    for (const ComparedRun& run : model->runs) {
      for (const CurvePoint& point : thinned(run.curve, kMostRows)) {
        rows += fmt::format(
            "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td><td class=\"number\">{}</td><td "
            "class=\"number\">{}"
            "</td><td class=\"number\">{}</td></tr>\n",
            escape_html(model->name), run.seed, grouped(point.step), brief(point.seconds), with_error(point.loss, {}));
      }
    }
  }
  return fmt::format(
      "<details><summary>The curves as a table <span>(at most {} points each; all in results.json)</span></summary>\n"
      "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"Learning curves as a "
      "table\"><table><thead><tr>"
      "<th scope=\"col\">model</th><th scope=\"col\" class=\"number\">seed</th><th scope=\"col\" "
      "class=\"number\">step</th>"
      "<th scope=\"col\" class=\"number\">seconds</th><th scope=\"col\" class=\"number\">validation "
      "loss</th></tr></thead>\n"
      "<tbody>\n{}</tbody></table></div></details>\n",
      kMostRows, rows);
}

}  // namespace

std::string charts_html(const Comparison& comparison) {
  std::string html;
  const std::vector<ChartUnit> units = units_of(comparison);
  for (size_t i = 0; i < units.size(); ++i) {
    const std::string heading =
        units[i].unit.empty() ? fmt::format("{}, in its own unit", units[i].models.front()->name) : units[i].unit;
    html += fmt::format("<h3>{}</h3>\n<div class=\"charts\">\n{}{}</div>\n{}", escape_html(heading),
                        chart_html(i, units[i], "seconds"), chart_html(i, units[i], "steps"), table_html(units[i]));
  }
  if (html.empty()) return "";
  return "<noscript><p class=\"hint\">The charts are drawn by a script; the tables below them need "
         "none.</p></noscript>\n" +
         html;
}

std::string curves_data(const Comparison& comparison) {
  Json data = Json::array();
  for (const ChartUnit& unit : units_of(comparison)) {
    Json models = Json::array();
    for (const ComparedModel* model : unit.models) {
      Json seeds = Json::array();
      for (const ComparedRun& run : model->runs) {
        if (run.curve.empty()) continue;
        Json points = Json::array();
        for (const CurvePoint& point : thinned(run.curve, kMostPoints)) {
          points.push_back({point.step, finite_or_null(point.seconds), finite_or_null(point.loss)});
        }
        seeds.push_back({{"seed", run.seed}, {"points", points}});
      }
      models.push_back({{"name", model->name}, {"seeds", seeds}});
    }
    data.push_back({{"unit", unit.unit}, {"models", models}});
  }
  return json_for_script(data);
}

}  // namespace genzoo
