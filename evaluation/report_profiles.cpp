#include "evaluation/report_profiles.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "evaluation/report_columns.h"
#include "evaluation/report_numbers.h"
#include "evaluation/report_page.h"

namespace genzoo {
namespace {

/// The chart of profiles like this one, which may be new.
ProfileChart& chart_of(std::vector<ProfileChart>& charts, const Profile& profile) {
  const auto same = [&](const ProfileChart& chart) {
    return chart.name == profile.name && chart.x == profile.x && chart.y == profile.y;
  };
  const auto found = std::ranges::find_if(charts, same);
  if (found != charts.end()) return *found;
  return charts.emplace_back(
      ProfileChart{.name = profile.name, .x = profile.x, .y = profile.y, .detail = profile.detail, .lines = {}});
}

/// Means over seeds, x by x.
std::vector<ProfilePoint> over_seeds(const std::vector<const Profile*>& seeds) {
  std::map<double, std::vector<const ProfilePoint*>> by_x;
  for (const Profile* profile : seeds) {
    for (const ProfilePoint& point : profile->points) {
      if (std::isfinite(point.mean)) by_x[point.x].push_back(&point);
    }
  }
  std::vector<ProfilePoint> points;
  for (const auto& [x, found] : by_x) {
    if (seeds.size() == 1) {
      points.push_back(*found.front());
      continue;
    }
    RunningMean mean;
    for (const ProfilePoint* point : found) mean.add(point->mean);
    points.push_back({.x = x, .mean = mean.mean(), .standard_error = mean.standard_error(), .n = mean.count()});
  }
  return points;
}

std::string capitalized(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

/// A number of a profile with its error: of large ones the digits that matter, of shares three.
std::string value_text(const ProfileAxis& axis, const ProfilePoint& point) {
  if (axis.unit == "share") return with_error(point.mean, point.standard_error, 3);
  if (std::abs(point.mean) >= 1000) {
    const std::string mean = grouped(std::llround(point.mean));
    return point.standard_error ? fmt::format("{} ± {}", mean, grouped(std::llround(std::ceil(*point.standard_error))))
                                : mean;
  }
  return with_error(point.mean, point.standard_error);
}

/// "a: 1.00 to 0.46": the first and the last point of each line.
std::string ends_of(const ProfileChart& chart) {
  std::vector<std::string> ends;
  for (const ProfileLine& line : chart.lines) {
    ends.push_back(
        fmt::format("{}: {} to {}", line.model, brief(line.points.front().mean), brief(line.points.back().mean)));
  }
  return fmt::format("{}", fmt::join(ends, ", "));
}

}  // namespace

std::string ProfileChart::title() const { return capitalized(fmt::format("{} by {}", y.title, x.title)); }

std::vector<ProfileChart> profile_charts(const Comparison& comparison) {
  std::vector<ProfileChart> charts;
  for (const ComparedModel& model : comparison.models) {
    std::map<std::string, std::vector<const Profile*>> by_name;
    for (const ComparedRun& run : model.runs) {
      for (const Profile& profile : run.evaluation.profiles) {
        chart_of(charts, profile);
        by_name[profile.name].push_back(&profile);
      }
    }
    for (const auto& [name, seeds] : by_name) {
      ProfileLine line{model.name, static_cast<int64_t>(seeds.size()), over_seeds(seeds)};
      if (!line.points.empty()) chart_of(charts, *seeds.front()).lines.push_back(std::move(line));
    }
  }
  std::erase_if(charts, [](const ProfileChart& chart) { return chart.lines.empty(); });
  return charts;
}

ReportTable profile_table(const ProfileChart& chart) {
  ReportTable table;
  table.head.push_back({.text = chart.x.title, .note = chart.x.unit, .group = "", .number = false});
  std::set<double> places;
  for (const ProfileLine& line : chart.lines) {
    const std::string seeds = line.seeds > 1 ? fmt::format("{} seeds", line.seeds) : "one seed";
    table.head.push_back({.text = line.model,
                          .note = chart.y.unit.empty() ? seeds : fmt::format("{}; {}", chart.y.unit, seeds),
                          .group = "",
                          .number = true});
    for (const ProfilePoint& point : line.points) places.insert(point.x);
  }
  for (const double x : places) {
    std::vector<TableCell> row{{.text = fmt::format("{}", x)}};
    for (const ProfileLine& line : chart.lines) {
      const auto point = std::ranges::find(line.points, x, &ProfilePoint::x);
      if (point == line.points.end()) {
        row.push_back({.text = "—", .note = "", .mark = TableCell::Mark::missing});
      } else {
        row.push_back({.text = value_text(chart.y, *point)});
      }
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::string profile_figure_html(size_t index, const ProfileChart& chart) {
  const std::string label = fmt::format("{}, {}. {}.", chart.title(), chart.x.words(), ends_of(chart));
  return fmt::format(
      "<figure><div class=\"chart\"><canvas role=\"img\" data-profile=\"{}\" aria-label=\"{}\"></canvas></div>\n"
      "<figcaption><strong>{}</strong><span>{}.</span></figcaption></figure>\n",
      index, escape_html(label), escape_html(chart.title()), escape_html(capitalized(chart.detail)));
}

Json profiles_json(const std::vector<ProfileChart>& charts) {
  const auto axis = [](const ProfileAxis& a) { return Json{{"title", a.title}, {"unit", a.unit}, {"log", a.log}}; };
  Json data = Json::array();
  for (const ProfileChart& chart : charts) {
    Json models = Json::array();
    for (const ProfileLine& line : chart.lines) {
      Json points = Json::array();
      for (const ProfilePoint& p : line.points) points.push_back({p.x, p.mean, finite_or_null(p.standard_error), p.n});
      models.push_back({{"name", line.model}, {"seeds", line.seeds}, {"points", points}});
    }
    data.push_back({{"name", chart.name},
                    {"title", chart.title()},
                    {"x", axis(chart.x)},
                    {"y", axis(chart.y)},
                    {"detail", chart.detail},
                    {"models", models}});
  }
  return data;
}

}  // namespace genzoo
