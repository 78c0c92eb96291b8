#include "evaluation/scaling.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "evaluation/scaling_chart.h"
#include "tests/evaluation/html_check.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using Numbers = std::vector<double>;
using Texts = std::vector<std::string>;

constexpr double kMegabyte = 1 << 20;

/// Widths 64 ... 512 whose FLOPs grow with the square, at 100 GFLOP/s, and memory with the width.
ScalingAxis widths() {
  ScalingAxis axis{"some<w>", "model.wide.width", "fp32", "noise & more", "token", {}};
  for (const double width : {64.0, 128.0, 256.0, 512.0}) {
    ScalingPoint point{fmt::format("{}", width), width, 2};
    point.items = 100;
    point.flops = 100 * 1e4 * width * width;
    point.seconds = point.flops / 1e11;
    point.limit = 2e11;
    point.start = (200 + width) * kMegabyte;
    point.peak = (200 + 64 + width) * kMegabyte;
    axis.points.push_back(point);
  }
  return axis;
}

std::string error_of(const std::string& axis) {
  try {
    parse_axis(axis);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("an axis is a key and values in ascending order, lists by their numbers or lengths",
          "[evaluation][scaling]") {
  const AxisPlan batches = parse_axis("train.batch_size=8,16,32");
  CHECK(batches.key == "train.batch_size");
  CHECK(batches.values == Texts{"8", "16", "32"});
  CHECK(batches.at == Numbers{8, 16, 32});
  CHECK(parse_axis("a=0.5,1e3").at == Numbers{0.5, 1000});

  const AxisPlan wide = parse_axis("hidden=[100, 50],[200, 50]");
  CHECK(wide.values == Texts{"[100,50]", "[200,50]"});
  CHECK(wide.at == Numbers{100, 200});
  CHECK(parse_axis("hidden=[64],[64,64],[64,64,64]").at == Numbers{1, 2, 3});
}

TEST_CASE("an axis that cannot be drawn is refused with what was wanted", "[evaluation][scaling]") {
  CHECK(error_of("train.batch_size") ==
        "--axis train.batch_size: got no key=, wanted a key of the config and its "
        "values; as --axis train.batch_size=8,16,32");
  CHECK(error_of("=1,2").find("got no key=") != std::string::npos);
  CHECK(error_of("a=1").find("got one value, wanted at least two") != std::string::npos);
  for (const char* values : {"8,4", "4,4", "0,1", "-1,1", "1,", "a,b", "1,nan", "[],[1]", "[1],[b]"}) {
    INFO(values);
    CHECK(error_of(std::string("a=") + values).find("in ascending order") != std::string::npos);
  }
}

TEST_CASE("without an axis the batch and the threads grow", "[evaluation][scaling]") {
  TrainConfig train;
  train.batch_size = 12;
  train.shards = 2;
  const std::vector<AxisPlan> axes = default_axes(train, 6);
  REQUIRE(axes.size() == 2);
  CHECK(axes[0].key == "train.batch_size");
  CHECK(axes[0].values == Texts{"6", "12", "24", "48"});  // 3 do not split into two shards
  CHECK(axes[1].key == "threads");
  CHECK(axes[1].at == Numbers{1, 2, 4, 6});

  train.batch_size = train.shards = 1;
  CHECK(default_axes(train, 1)[0].values == Texts{"1", "2", "4"});
  train.steps = 0;  // generates
  CHECK(default_axes(train, 1).empty());
  CHECK(default_axes(train, 2)[0].values == Texts{"1", "2"});
}

TEST_CASE("a jump is a cost that grows faster than FLOPs by more than the tolerance", "[evaluation][scaling]") {
  ScalingAxis axis = widths();
  CHECK(jumps_of(axis).empty());
  axis.points[2].seconds *= 1.01 * (1 + kScalingTolerance);
  const std::vector<ScalingJump> jumps = jumps_of(axis);
  REQUIRE(jumps.size() == 1);
  CHECK(jumps[0].to == 2);
  CHECK(jumps[0].cost == Approx(4 * 1.01 * 1.15));
  CHECK(jumps[0].flops == Approx(4));
  CHECK(
      findings_of(axis).starts_with("A jump at width 256: a token costs 4.65 times what it did at 128, its FLOPs are "
                                    "4.00 times as many.\n"));
  axis.points[2].seconds *= 0.98 / 1.01;
  CHECK(jumps_of(axis).empty());
  CHECK(findings_of(axis).starts_with("No jump: from each value to the next a token's cost grows at most 15 % more"));

  // Of twice as many items twice the seconds are no growth.
  axis = widths();
  axis.points[1].items *= 2;
  axis.points[1].flops *= 2;
  axis.points[1].seconds *= 2;
  CHECK(jumps_of(axis).empty());
}

TEST_CASE("exponents are slopes of logarithms, of memory above the smallest point's start", "[evaluation][scaling]") {
  const auto square = growth_of({1, 2, 4, 8}, {3, 12, 48, 192});
  REQUIRE(square.has_value());
  CHECK(square->exponent == Approx(2));
  CHECK(square->at_end == Approx(2));
  const auto late = growth_of({1, 10, 100}, {1, 1, 10});
  CHECK(late->exponent == Approx(0.5));
  CHECK(late->at_end == Approx(1));
  CHECK(growth_of({1, 2, 4}, {0, 2, 4})->exponent == Approx(1));  // without what has no logarithm
  CHECK_FALSE(growth_of({1, 2}, {0, 2}).has_value());

  const ScalingAxis axis = widths();
  CHECK(cost_growth(axis)->exponent == Approx(2));
  CHECK(flops_growth(axis)->exponent == Approx(2));
  CHECK(memory_above_start(axis, axis.points[0]) == Approx(64 * kMegabyte));
  CHECK(memory_growth(axis)->exponent == Approx(1));
  CHECK(findings_of(axis).find("Peak memory above the start's: width^1.00 (1.00 between the last two).") !=
        std::string::npos);
}

TEST_CASE("an axis's line of JSON reads back, and nothing else is one", "[evaluation][scaling]") {
  ScalingAxis axis = widths();
  axis.points[3].limit.reset();
  const Json json = axis.to_json();
  const ScalingAxis back = ScalingAxis::from_json(json, "there");
  CHECK(back.to_json() == json);
  CHECK(back.points[1].share().value() == Approx(0.5));
  CHECK(back.points[1].least_cost().value() == Approx(back.points[1].cost() / 2));
  CHECK(json.at("points")[3].at("share_of_products").is_null());
  for (const char* text : {"{}", "[]", R"({"workload": "a"})"}) {
    CHECK_THROWS_WITH(ScalingAxis::from_json(parse_json(text, ""), "there"),
                      "there: no axis that `genzoo bench scaling --json` measured");
  }
}

TEST_CASE("a table shows growth beside the value before", "[evaluation][scaling]") {
  ScalingAxis axis = widths();
  axis.points[3].seconds *= 2;
  const auto rows = rows_of(axis);
  REQUIRE(rows.size() == 5);
  CHECK(rows[0][0] == "width");
  CHECK(axis.circumstances() == "fp32, 2 threads");
  CHECK(rows[0][2] == "ms/token");
  CHECK(rows[1][7] == "-");
  CHECK(rows[2][7] == "x4.00");
  CHECK(rows[4][7] == "x8.00 (jump)");
  CHECK(rows[4][4] == "25 %");
  CHECK(rows[1][6] == "64.0");
}

TEST_CASE("the figure is well-formed, needs no other file, and rings what jumps", "[evaluation][scaling]") {
  ScalingAxis jumping = widths(), other = widths(), bare = widths();
  jumping.points[3].seconds *= 2;
  other.workload = "another";
  other.points.resize(2);
  for (ScalingPoint& point : bare.points) {  // no limit was measured, and the system tells no memory
    point.limit.reset();
    point.peak = point.start = 0;
  }
  for (const auto& axes : std::vector<std::vector<ScalingAxis>>{{widths(), jumping, other}, {bare}}) {
    const std::string svg = scaling_svg(axes);
    const HtmlPage page = read_html(svg);
    CHECK(page.mistakes == Texts{});
    REQUIRE_FALSE(page.tags.empty());
    CHECK(page.tags[0].attributes.at("xmlns") == "http://www.w3.org/2000/svg");
    CHECK(svg.find("prefers-color-scheme: dark") != std::string::npos);
    CHECK(svg.find("some&lt;w&gt;") != std::string::npos);
    for (const char* never : {"nan", "inf", "href", "url(", "<script"}) CHECK(svg.find(never) == std::string::npos);
    for (const HtmlTag& tag : page.tags) {
      const auto x = tag.attributes.find("x"), y = tag.attributes.find("y");
      if (x != tag.attributes.end()) CHECK(std::stod(x->second) < std::stod(page.tags[0].attributes.at("width")));
      if (y != tag.attributes.end()) CHECK(std::stod(y->second) < std::stod(page.tags[0].attributes.at("height")));
    }
    const auto rings = std::ranges::count_if(
        page.tags, [](const HtmlTag& tag) { return tag.name == "circle" && tag.attributes.at("class") == "jump"; });
    CHECK(rings == (axes.size() == 1 ? 0 : 1));
  }
}

}  // namespace genzoo
