#include "evaluation/report.h"

#include <sstream>

#include "core/error.h"
#include "core/file.h"
#include "core/image.h"
#include "evaluation/report_numbers.h"
#include "evaluation/report_page.h"
#include "evaluation/report_parts.h"
#include "tests/evaluation/example_comparison.h"
#include "tests/evaluation/html_check.h"

namespace genzoo {
namespace {

using Catch::Matchers::Contains;

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

/// All kinds of comparisons that a report must bear.
std::vector<std::pair<std::string, Comparison>> comparisons() {
  Comparison one = example::images();
  one.models.resize(1);
  Comparison color = example::images();
  color.models[0].samples = example::strokes(8, 1, 2, /*channels=*/3);
  color.models[0].nearest = example::strokes(3, 1, 2);
  return {{"images", example::images()},   {"points", example::points()},
          {"texts", example::texts()},     {"pairs", example::pairs()},
          {"hostile", example::hostile()}, {"one model", one},
          {"other channels", color},       {"nothing", {}}};
}

TEST_CASE("a page is filled once, and parts without a value go", "[evaluation][report]") {
  const std::map<std::string, std::string, std::less<>> values{{"a", "{{b}}{{/a}}"}, {"b", "B"}, {"no", ""}};
  CHECK(fill_page("x {{a}} y", values) == "x {{b}}{{/a}} y");
  CHECK(fill_page("{{#b}}[{{b}}{{#no}}never{{/no}}]{{/b}}{{#no}}{{b}}{{/no}}.", values) == "[B].");
  CHECK_THROWS_AS(fill_page("{{c}}", values), std::logic_error);
  CHECK_THROWS_AS(fill_page("{{#b}}", values), std::logic_error);
  CHECK_THROWS_AS(fill_page("{{/b}}", values), std::logic_error);
  CHECK(escape_html("<a href=\"x\">'&") == "&lt;a href=&quot;x&quot;&gt;&#39;&amp;");
  const std::string lost = "\xEF\xBF\xBD";
  CHECK(escape_html("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80") == "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
  CHECK(escape_html("\xff\xC3(\x01\xE2\x82") == lost + lost + "(" + lost + lost + lost);
  CHECK(escape_html("\xED\xA0\x80") == lost + lost + lost);  // a surrogate
  CHECK(base64("") == "");
  CHECK(base64("f") == "Zg==");
  CHECK(base64("fo") == "Zm8=");
  CHECK(base64("foobar") == "Zm9vYmFy");
  CHECK(base64("\xff\xfe\xfd") == "//79");
}

TEST_CASE("numbers are written as people read them", "[evaluation][report]") {
  CHECK(with_error(3.33912, 0.0123) == "3.339 ± 0.012");
  CHECK(with_error(-1876.24, 5.21) == "-1876.2 ± 5.2");
  CHECK(with_error(3.33912, {}) == "3.339");
  CHECK(with_error(0.000345, {}) == "0.000345");
  CHECK(with_error(8, {}) == "8");
  CHECK(with_error(NAN, {}) == "not a number");
  CHECK(with_error(-INFINITY, {}) == "minus infinite");
  CHECK(grouped(1234567) == "1,234,567");
  CHECK(grouped(-123) == "-123");
  CHECK(grouped(-1234) == "-1,234");
  CHECK(brief(0) == "0");
  CHECK(brief(12870) == "12,870");
  CHECK(brief(0.01234) == "0.0123");
  CHECK(brief(4.5e-8) == "4.50e-08");
  CHECK(with_prefix(3.1e14, "FLOP") == "310\u00a0TFLOP");
  CHECK(bytes_text(999'999) == "1.00\u00a0MB");
  CHECK(duration_text(59.4) == "59.4\u00a0s");
  CHECK(duration_text(320) == "5 min 20 s");
  CHECK(duration_text(7440) == "2 h 4 min");
  CHECK(p_text(0.0312) == "0.031");
  CHECK(p_text(1e-9) == "< 0.0001");
}

TEST_CASE("the embedded texts are those of the files", "[evaluation][report]") {
  CHECK(kReportPage == read_file(std::filesystem::path(GENZOO_SOURCE_DIR) / "assets/report.html"));
  CHECK(kChartLicence == read_file(std::filesystem::path(GENZOO_SOURCE_DIR) / "assets/chart_licence.txt"));
  CHECK_THAT(std::string(kChartLibrary.substr(0, 100)), Contains("Chart.js v"));
  CHECK(kChartLibrary.find("</script") == std::string::npos);
}

TEST_CASE("every page is well formed, whole in itself and tells its pictures in words", "[evaluation][report]") {
  for (const auto& [name, comparison] : comparisons()) {
    INFO(name);
    const std::string html = report_html(comparison);
    const HtmlPage page = read_html(html);
    CHECK(page.mistakes == std::vector<std::string>{});
    CHECK(html.size() < 3'000'000);
    for (const HtmlTag& tag : page.tags) {
      INFO(tag.name);
      if (tag.name == "img") CHECK(tag.attributes.at("alt").size() > 10);
      if (tag.name == "canvas") CHECK(tag.attributes.at("aria-label").size() > 10);
      if (tag.attributes.contains("src")) CHECK(tag.attributes.at("src").starts_with("data:image/png;base64,"));
      if (tag.attributes.contains("href")) {
        const std::string& href = tag.attributes.at("href");
        CHECK((href == "data:," || (href.starts_with("#") && page.ids.contains(href.substr(1)))));
      }
      for (const auto& [key, value] : tag.attributes) CHECK_FALSE(key.starts_with("on"));
    }
    const size_t results = html.find("id=\"results\"");
    const std::string table = html.substr(results, html.find("</section>", results) - results);
    CHECK(table.find("<span class=\"value\"></span>") == std::string::npos);  // a missing number is no blank
    CHECK(html.find("url(") == std::string::npos);
    CHECK(html.find("@import") == std::string::npos);
  }
}

TEST_CASE("names, texts and notes cannot become markup", "[evaluation][report]") {
  const std::string html = report_html(example::hostile());
  CHECK(html.find("<script>alert") == std::string::npos);
  CHECK(count_of(html, "</title>") == 1);
  CHECK(count_of(html, "<script") == 3);
  CHECK(count_of(html, "</script>") == 3);
  CHECK_THAT(html, Contains("&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;&#39;{{curves}}&lt;/title&gt;&lt;!--"));
  CHECK_THAT(html, Contains("\\u003cscript>alert(1)\\u003c/script>"));  // in the charts' data
  // In Markdown only what stands between fences is as it was.
  std::istringstream markdown(report_markdown(example::hostile()));
  bool fenced = false;
  int escaped = 0, literal = 0;
  for (std::string line; std::getline(markdown, line);) {
    if (line.starts_with("```")) fenced = !fenced;
    literal += fenced && line.find("<script>") != std::string::npos;
    escaped += line.find("&lt;script&gt;") != std::string::npos;
    if (!fenced) CHECK(line.find("<script") == std::string::npos);
  }
  CHECK(literal == 2);  // a text and a config
  CHECK(escaped > 10);
  CHECK_FALSE(fenced);
}

TEST_CASE("the tables say what is best, bound, missing and external", "[evaluation][report]") {
  const std::string html = report_html(example::images());
  CHECK_THAT(html, Contains("gan has no likelihood: its density is implicit"));
  CHECK_THAT(html, Contains("not given, and samples alone do not tell"));
  CHECK_THAT(html, Contains("<small>lower bound</small>"));
  CHECK_THAT(html, Contains("<small class=\"tagged\">external</small>"));
  CHECK_THAT(html, Contains("against real data: the floor"));
  CHECK_THAT(html, Contains("not FID"));
  CHECK_THAT(html, Contains("undecided"));
  CHECK_THAT(html, Contains("posterior collapse"));
  const auto columns = columns_of(example::images()).size();
  CHECK(count_of(html, "<em class=\"tag\">best") == columns + 2);  // one a column, and two that explain
  // One model leads nobody.
  Comparison alone = example::images();
  alone.models.resize(1);
  CHECK(count_of(report_html(alone), "<em class=\"tag\">best") == 2);
  const std::string markdown = report_markdown(example::images());
  CHECK_THAT(markdown, Contains("![Samples of every model, real data first](grids.png)"));
  CHECK_THAT(markdown, Contains("gan has no likelihood: its density is implicit"));
  CHECK(count_of(markdown, "best mean</sub>") == columns);
  CHECK_THAT(report_html(example::hostile()), Contains("nan for seed 1: as the example says"));
}

TEST_CASE("results.json reads back with every run, cell and verdict", "[evaluation][report]") {
  const Comparison comparison = example::hostile();
  const Json json = parse_json(report_json(comparison).dump(1, ' ', false, Json::error_handler_t::replace), "test");
  REQUIRE(json["runs"].size() == 3 * 4 + 1);
  const Json& run = json["runs"][0];
  CHECK(run["experiment"] == comparison.models[0].name);
  CHECK(run["model"].is_string());
  CHECK(run["split"] == "test");
  CHECK(run["seed"] == 0);
  CHECK(run["metrics"].size() == comparison.models[0].runs[0].evaluation.metrics.size());
  CHECK(run["metrics"][1]["kind"] == "lower_bound");
  CHECK(run["metrics"][1]["better"] == "higher");
  CHECK(run["costs"]["parameters"] == comparison.models[0].runs[0].costs->parameters);
  CHECK(run["curve"].size() == 24);
  CHECK(json["runs"][12]["external"] == true);
  CHECK(json["runs"][12]["costs"].is_null());
  CHECK(json["runs"][10]["metrics"][0]["value"].is_null());  // not a number
  CHECK(json["protocol"]["samples"] == 10'000);
  CHECK(json["columns"].size() == columns_of(comparison).size());
  CHECK(json["columns"][0]["cells"].size() == comparison.models.size());
  CHECK(json["verdicts"].size() == verdicts_of(comparison).size());
  CHECK(json["floors"].size() == comparison.floors.size());
}

/// RFC 4180, read back.
std::vector<std::vector<std::string>> read_csv(const std::string& csv) {
  std::vector<std::vector<std::string>> rows(1, {""});
  bool quoted = false;
  for (size_t i = 0; i < csv.size(); ++i) {
    if (quoted && csv[i] == '"' && i + 1 < csv.size() && csv[i + 1] == '"') {
      rows.back().back() += csv[i++];
    } else if (csv[i] == '"') {
      quoted = !quoted;
    } else if (!quoted && csv[i] == ',') {
      rows.back().emplace_back();
    } else if (!quoted && csv.compare(i, 2, "\r\n") == 0) {
      rows.push_back({""});
      ++i;
    } else {
      rows.back().back() += csv[i];
    }
  }
  rows.pop_back();
  return rows;
}

TEST_CASE("results.csv is one row a number, whatever the names", "[evaluation][report]") {
  Comparison comparison = example::hostile();
  comparison.models[1].name = "two\r\nlines, \"quoted\"";
  const auto rows = read_csv(report_csv(comparison));
  size_t numbers = 1 + comparison.floors.size();
  for (const ComparedModel& model : comparison.models) {
    for (const ComparedRun& run : model.runs) numbers += run.evaluation.metrics.size() + (run.costs ? 7 : 0);
  }
  REQUIRE(rows.size() == numbers);
  for (const auto& row : rows) REQUIRE(row.size() == 14);
  CHECK(rows[0][5] == "metric");
  CHECK(rows[1][0] == comparison.models[0].name);
  CHECK(rows[1][5] == "likelihood");
  CHECK(std::stod(rows[1][6]) == comparison.models[0].runs[0].evaluation.metrics[0].value);  // to the last bit
  CHECK(rows.back()[0] == "real data");
  size_t named = 0;
  for (const auto& row : rows) named += row[0] == comparison.models[1].name;
  CHECK(named > 10);
}

TEST_CASE("a report is written whole, with pictures where there are some", "[evaluation][report]") {
  const TempDir dir;
  write_report(example::images(), dir / "images");
  for (const char* name : {"report.html", "report.md", "results.json", "results.csv", "grids.png"}) {
    CHECK(std::filesystem::file_size(dir / "images" / name) > 1000);
  }
  // Six labelled panels in rows of three.
  const Tensor grids = read_png(dir / "images" / "grids.png");
  CHECK(grids.size(0) == 3);
  CHECK(grids.size(2) > 3 * 400);
  CHECK(grids.size(1) < grids.size(2));
  CHECK(torch::equal(grids, report_grids(example::images())));
  write_report(example::texts(), dir / "texts");
  CHECK_FALSE(std::filesystem::exists(dir / "texts" / "grids.png"));
  CHECK(report_markdown(example::texts(), "").find("grids.png") == std::string::npos);
  CHECK(report_grids(example::points()).size(0) == 3);
  write_file_whole(dir / "file", "in the way");
  CHECK_THROWS_AS(write_report(example::texts(), dir / "file"), RunError);
}

}  // namespace
}  // namespace genzoo
