#include "evaluation/scaling_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "evaluation/report_page.h"

namespace genzoo {
namespace {

// Pixels.
constexpr double kLeft = 62, kRight = 128, kTop = 8, kBottom = 12;
constexpr double kPanel = 148, kGutter = 16;                                                   // widths
constexpr double kHead = 26, kNote = 16, kCost = 128, kBetween = 8, kMemory = 88, kFoot = 44;  // heights, top to bottom
constexpr double kRow = kHead + kNote + kCost + kBetween + kNote + kMemory + kFoot;
constexpr double kLine = 12;  // between labels

constexpr double kMegabyte = 1 << 20;

// Each colour twice: on white, and on the near-black that dark pages have.
constexpr const char* kStyle = R"(<style>
text { font: 11px system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; fill: #1f2328 }
.head { font-size: 13px; font-weight: 600 }
.dim { fill: #59636e }
.small { font-size: 10px }
.back { fill: #ffffff }
.grid { stroke: #d1d9e0; stroke-width: 0.6 }
.frame { stroke: #818b98; stroke-width: 0.8; fill: none }
.curve { fill: none; stroke-width: 1.8; stroke-linejoin: round }
.ideal { stroke-dasharray: 4 3; stroke-width: 1.4 }
.cost { stroke: #0550ae } .cost-mark { fill: #0550ae }
.limit { stroke: #59636e } .limit-mark { fill: #59636e }
.peak { stroke: #116329 } .peak-mark { fill: #116329 }
.above { stroke: #953800 } .above-mark { fill: #953800 }
.jump { fill: none; stroke: #cf222e; stroke-width: 1.8 } .jump-mark { fill: #cf222e }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.dim { fill: #9198a1 }
.back { fill: #0d1117 }
.grid { stroke: #2f363e }
.frame { stroke: #656c76 }
.cost { stroke: #79c0ff } .cost-mark { fill: #79c0ff }
.limit { stroke: #9198a1 } .limit-mark { fill: #9198a1 }
.peak { stroke: #7ee787 } .peak-mark { fill: #7ee787 }
.above { stroke: #ffa657 } .above-mark { fill: #ffa657 }
.jump { stroke: #ff7b72 } .jump-mark { fill: #ff7b72 }
}
</style>
)";

/// The range of positive numbers that a scale must show.
struct Extent {
  double low = std::numeric_limits<double>::infinity(), high = 0;

  void include(double value) {
    if (!(value > 0) || !std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return high == 0; }
};

/// From numbers to pixels, equal factors equally long, with some room at both ends.
class LogScale final {
 public:
  LogScale(Extent extent, double from, double to) : from_(from), to_(to) {
    const double room = 0.08 * std::max(std::log(extent.high / extent.low), std::log(2.0));
    low_ = std::log(extent.low) - room;
    high_ = std::log(extent.high) + room;
  }
  double operator()(double value) const { return from_ + (to_ - from_) * (std::log(value) - low_) / (high_ - low_); }

  /// Round numbers within, two to six where there are: powers of ten, or with their halves and fifths.
  std::vector<double> ticks() const {
    std::vector<double> dense, sparse;
    for (int power = -12; power <= 12; ++power) {
      for (const double digit : {1.0, 2.0, 5.0}) {
        const double tick = digit * std::pow(10.0, power), at = std::log(tick);
        if (at < low_ || at > high_) continue;
        dense.push_back(tick);
        if (digit == 1.0) sparse.push_back(tick);
      }
    }
    return dense.size() <= 6 || sparse.size() < 2 ? dense : sparse;
  }

 private:
  double from_, to_, low_, high_;
};

std::string text_at(double x, double y, const char* anchor, const char* style, const std::string& text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" class=\"{}\">{}</text>\n", x, y, anchor, style,
                     escape_html(text));
}

std::string line_at(double x1, double y1, double x2, double y2) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" class=\"grid\"/>\n", x1, y1, x2,
                     y2);
}

/// A number of an axis in few characters: "1024", "0.02".
std::string number_text(double value) { return fmt::format("{:g}", value); }

std::string slope_text(const char* what, const std::optional<Growth>& growth) {
  return growth ? fmt::format("{}{:.2f}", what, growth->exponent) : "";
}

/// A curve that a chart shows, and its name beside the row's last panel.
struct Curve {
  const char* style;  ///< class of its line; its points' is this with "-mark"
  bool ideal;         ///< dashed and without points: not measured
  const char* label;
  std::optional<double> (*measure)(const ScalingAxis&, const ScalingPoint&);

  /// Nothing for what has no place on a logarithmic scale, such as memory where the system tells none.
  std::optional<double> y(const ScalingAxis& axis, const ScalingPoint& point) const {
    const std::optional<double> value = measure(axis, point);
    return value && *value > 0 && std::isfinite(*value) ? value : std::nullopt;
  }
};

/// Half a panel: one quantity of all axes of a row.
struct Chart {
  std::string unit;
  std::vector<Curve> curves;
  double top, height;
  LogScale scale;
};

const Curve kCostCurves[] = {{"cost", false, "measured",
                              [](const ScalingAxis&, const ScalingPoint& p) { return std::optional(1e3 * p.cost()); }},
                             {"limit", true, "at the products' limit", [](const ScalingAxis&, const ScalingPoint& p) {
                                const auto least = p.least_cost();
                                return least ? std::optional(1e3 * *least) : std::nullopt;
                              }}};
const Curve kMemoryCurves[] = {
    {"peak", false, "peak",
     [](const ScalingAxis&, const ScalingPoint& p) { return std::optional(p.peak / kMegabyte); }},
    {"above", false, "above start", [](const ScalingAxis& axis, const ScalingPoint& p) {
       return std::optional(memory_above_start(axis, p) / kMegabyte);
     }}};

using Row = std::vector<const ScalingAxis*>;

std::vector<Row> rows_of_figure(const std::vector<ScalingAxis>& axes) {
  std::vector<Row> rows;
  for (const ScalingAxis& axis : axes) {
    const auto same = [&](const Row& row) {
      return row.front()->workload == axis.workload && row.front()->dtype == axis.dtype;
    };
    const auto row = std::ranges::find_if(rows, same);
    if (row == rows.end()) {
      rows.push_back({&axis});
    } else {
      row->push_back(&axis);
    }
  }
  return rows;
}

Chart chart_of(const Row& row, std::string unit, std::span<const Curve> curves, double top, double height) {
  Extent extent;
  for (const ScalingAxis* axis : row) {
    for (const ScalingPoint& point : axis->points) {
      for (const Curve& curve : curves) extent.include(curve.y(*axis, point).value_or(0));
    }
  }
  if (extent.empty()) extent.include(1);  // where the system tells no memory
  return {std::move(unit), {curves.begin(), curves.end()}, top, height, LogScale(extent, top + height, top)};
}

LogScale scale_of(const ScalingAxis& axis, double left) {
  Extent extent;
  for (const ScalingPoint& point : axis.points) extent.include(point.at);
  return LogScale(extent, left, left + kPanel);
}

std::string curve_svg(const ScalingAxis& axis, const Curve& curve, const LogScale& x, const LogScale& y) {
  std::string path, marks;
  for (const ScalingPoint& point : axis.points) {
    const std::optional<double> value = curve.y(axis, point);
    if (!value) continue;
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : " L", x(point.at), y(*value));
    if (curve.ideal) continue;
    marks += fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.6\" class=\"{}-mark\"><title>{} {}: {:.4g}</title></circle>\n",
        x(point.at), y(*value), curve.style, escape_html(axis.key), escape_html(point.value), *value);
  }
  if (path.empty()) return "";
  return fmt::format("<path d=\"{}\" class=\"curve {}{}\"/>\n{}", path, curve.style, curve.ideal ? " ideal" : "",
                     marks);
}

std::string jumps_svg(const ScalingAxis& axis, const LogScale& x, const Chart& chart) {
  std::string svg;
  for (const ScalingJump& jump : jumps_of(axis)) {
    const ScalingPoint& point = axis.points[jump.to];
    const double left = x(point.at), top = chart.scale(1e3 * point.cost());
    svg += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"6\" class=\"jump\"/>\n", left, top);
    svg += text_at(left - 9, std::max(top - 4, chart.top + 10), "end", "small jump-mark", "jump");
  }
  return svg;
}

/// Frame, grid and curves of one axis in one chart; `note` stands above it.
std::string chart_svg(const ScalingAxis& axis, const Chart& chart, double left, bool first, const std::string& note) {
  const LogScale x = scale_of(axis, left);
  const double bottom = chart.top + chart.height, right = left + kPanel;
  std::string svg = text_at(left, chart.top - 5, "start", "small dim", note);
  for (const double tick : chart.scale.ticks()) {
    const double y = chart.scale(tick);
    svg += line_at(left, y, right, y);
    if (first) svg += text_at(left - 6, y + 3.5, "end", "dim", number_text(tick));
  }
  for (const ScalingPoint& point : axis.points) svg += line_at(x(point.at), chart.top, x(point.at), bottom);
  svg += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" class=\"frame\"/>\n", left,
                     chart.top, kPanel, chart.height);
  for (const Curve& curve : chart.curves) svg += curve_svg(axis, curve, x, chart.scale);
  if (first) {
    const double middle = chart.top + chart.height / 2;
    svg += fmt::format("<text transform=\"translate({:.1f} {:.1f}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
                       left - 46, middle, escape_html(chart.unit));
  }
  return svg;
}

/// The curves' names beside their last points, pushed apart where they would overlap.
std::string labels_svg(const ScalingAxis& axis, const Chart& chart, double left) {
  struct Label {
    double y;
    const Curve* curve;
  };
  std::vector<Label> labels;
  for (const Curve& curve : chart.curves) {
    const auto value = curve.y(axis, axis.points.back());
    if (value) labels.push_back({chart.scale(*value) + 3.5, &curve});
  }
  std::ranges::sort(labels, {}, &Label::y);
  std::string svg;
  double free_from = 0;
  for (const Label& label : labels) {
    const double y = std::max(label.y, free_from);
    svg +=
        text_at(left + kPanel + 6, y, "start", fmt::format("{}-mark", label.curve->style).c_str(), label.curve->label);
    free_from = y + kLine;
  }
  return svg;
}

/// The measured values under a panel, as many as have room, the last for certain, and the key below them.
std::string foot_svg(const ScalingAxis& axis, double left, double top) {
  const LogScale x = scale_of(axis, left);
  std::string svg;
  double free_to = std::numeric_limits<double>::infinity();
  for (auto point = axis.points.rbegin(); point != axis.points.rend(); ++point) {
    const std::string text = number_text(point->at);
    const double half = 3.2 * static_cast<double>(text.size());
    if (x(point->at) + half > free_to) continue;
    svg += text_at(x(point->at), top + 14, "middle", "dim", text);
    free_to = x(point->at) - half - 3;
  }
  return svg + text_at(left + kPanel / 2, top + 29, "middle", "", axis.key);
}

std::string row_svg(const Row& row, double top) {
  const double cost_top = top + kHead + kNote, memory_top = cost_top + kCost + kBetween + kNote;
  const Chart cost = chart_of(row, "ms a " + row.front()->item, kCostCurves, cost_top, kCost);
  const Chart memory = chart_of(row, "MB", kMemoryCurves, memory_top, kMemory);
  const ScalingAxis& named = *row.front();
  std::string svg = fmt::format(
      "<text x=\"{:.1f}\" y=\"{:.1f}\"><tspan class=\"head\">{}</tspan><tspan class=\"dim\" dx=\"8\">{}; {}</tspan>"
      "</text>\n",
      kLeft, top + 16, escape_html(named.workload), escape_html(named.circumstances()), escape_html(named.data));
  for (size_t i = 0; i < row.size(); ++i) {
    const ScalingAxis& axis = *row[i];
    const double left = kLeft + static_cast<double>(i) * (kPanel + kGutter);
    svg += chart_svg(axis, cost, left, i == 0,
                     slope_text("slope ", cost_growth(axis)) + slope_text(", of FLOPs ", flops_growth(axis)));
    svg += jumps_svg(axis, scale_of(axis, left), cost);
    svg += chart_svg(axis, memory, left, i == 0, slope_text("slope above start ", memory_growth(axis)));
    svg += foot_svg(axis, left, memory_top + kMemory);
    if (i + 1 == row.size()) svg += labels_svg(axis, cost, left) + labels_svg(axis, memory, left);
  }
  return svg;
}

}  // namespace

std::string scaling_svg(const std::vector<ScalingAxis>& axes) {
  const std::vector<Row> rows = rows_of_figure(axes);
  size_t columns = 0;
  for (const Row& row : rows) columns = std::max(columns, row.size());
  const double width = kLeft + static_cast<double>(columns) * (kPanel + kGutter) - kGutter + kRight;
  const double height = kTop + static_cast<double>(rows.size()) * kRow + kBottom;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
      "role=\"img\">\n<title>How the cost of a step and its memory grow with each key of a config</title>\n{2}"
      "<rect width=\"100%\" height=\"100%\" class=\"back\"/>\n",
      width, height, kStyle);
  for (size_t i = 0; i < rows.size(); ++i) svg += row_svg(rows[i], kTop + static_cast<double>(i) * kRow);
  return svg + "</svg>\n";
}

}  // namespace genzoo
