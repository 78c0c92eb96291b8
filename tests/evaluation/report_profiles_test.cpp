// Profiles of several models on a report.
#include "evaluation/report_profiles.h"

#include <cmath>

#include "evaluation/report.h"
#include "tests/evaluation/example_comparison.h"
#include "tests/evaluation/html_check.h"

namespace genzoo {
namespace {

using Catch::Matchers::Contains;

TEST_CASE("profiles of one name share a chart, a line a model, means over its seeds",
          "[evaluation][report][profiles]") {
  const std::vector<ProfileChart> charts = profile_charts(example::pairs());
  REQUIRE(charts.size() == 2);
  const ProfileChart& recall = charts[0];
  CHECK(recall.name == "recall_by_distance");
  CHECK(recall.title() == "Recalled by distance before the source's end");
  REQUIRE(recall.lines.size() == 3);
  CHECK(recall.lines[0].model == "lstm");
  CHECK(recall.lines[0].seeds == 3);
  // Of seeds that differ by 0.01: 0.01 below the first, and a standard error of 0.01 / sqrt(3).
  const ProfilePoint& point = recall.lines[0].points[1];
  CHECK(point.x == 8);
  CHECK(point.mean == Approx(std::exp(-0.12 * 8) - 0.01));
  CHECK(*point.standard_error == Approx(0.01 / std::sqrt(3.0)));
  CHECK(point.n == 3);
  // Of one seed what was measured.
  CHECK(recall.lines[1].seeds == 1);
  CHECK(*recall.lines[1].points[0].standard_error == 0.02);
  CHECK(recall.lines[1].points[0].n == 100);
  CHECK(charts[1].lines[2].points.size() == 5);
}

TEST_CASE("profiles in other units, and numbers that are none, do not mix with the rest",
          "[evaluation][report][profiles]") {
  Comparison comparison = example::pairs();
  for (ComparedRun& run : comparison.models[1].runs) run.evaluation.profiles[0].x.unit = "tokens";
  comparison.models[0].runs[1].evaluation.profiles[0].points[0].mean = NAN;
  for (ComparedRun& run : comparison.models[2].runs) {
    for (ProfilePoint& point : run.evaluation.profiles[0].points) point.mean = NAN;
  }
  const std::vector<ProfileChart> charts = profile_charts(comparison);
  REQUIRE(charts.size() == 3);
  CHECK(charts[0].lines.size() == 1);
  CHECK(charts[0].lines[0].points[0].n == 2);  // of two seeds
  CHECK(charts[0].lines[0].points[1].n == 3);
  CHECK(profile_charts(example::images()).empty());
}

TEST_CASE("a profile's table has a row for each place and a dash where there is no number",
          "[evaluation][report][profiles]") {
  const std::vector<ProfileChart> charts = profile_charts(example::pairs());
  const ReportTable table = profile_table(charts[1]);
  REQUIRE(table.head.size() == 4);
  CHECK(table.head[0].text == "length of the source");
  CHECK(table.head[0].note == "chars");
  CHECK(table.head[1].note == "chars/s; 3 seeds");
  CHECK(table.head[2].note == "chars/s; one seed");
  REQUIRE(table.rows.size() == 6);
  CHECK(table.rows[0][0].text == "16");
  CHECK(table.rows[5][0].text == "512");
  CHECK(table.rows[5][3].text == "—");
  CHECK(table.rows[5][3].mark == TableCell::Mark::missing);
  CHECK(table.rows[0][1].text == "22,223 ± 1");  // 2e5 * 0.12 / 1.08 = 22222.2 and the seeds 0, 1, 2
}

TEST_CASE("profiles stand on the page, in Markdown and in the JSON of a comparison", "[evaluation][report][profiles]") {
  const Comparison comparison = example::pairs();
  const std::string html = report_html(comparison), markdown = report_markdown(comparison, "");
  const HtmlPage page = read_html(html);
  CHECK(page.mistakes == std::vector<std::string>{});
  CHECK(page.ids.contains("profiles"));
  std::vector<std::string> drawn;
  for (const HtmlTag& tag : page.tags) {
    if (tag.name == "canvas") drawn.push_back(tag.attributes.at("aria-label"));
  }
  REQUIRE(drawn.size() == 2);
  CHECK_THAT(drawn[0], Contains("lstm: 0.609 to 0.0461"));
  CHECK_THAT(html, Contains("Chart.js v"));  // though there are no learning curves
  CHECK_THAT(html, Contains("A timing.</span>"));
  CHECK_THAT(markdown, Contains("## Profiles") && Contains("### Recalled by distance before the source's end"));
  CHECK_THAT(markdown, Contains("| 512 | "));
  const Json json = report_json(comparison);
  REQUIRE(json["profiles"].size() == 2);
  CHECK(json["profiles"][1]["models"][2]["points"].size() == 5);
  CHECK(json["profiles"][0]["models"][0]["points"][1][0] == 8);
  CHECK(json["runs"][0]["profiles"].size() == 2);
  const std::string without = report_html(example::points());
  CHECK(without.find("id=\"profiles\"") == std::string::npos);
  CHECK(report_markdown(example::points(), "").find("## Profiles") == std::string::npos);
}

}  // namespace
}  // namespace genzoo
