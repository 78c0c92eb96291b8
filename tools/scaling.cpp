// How cost grows: points measured by processes of their own, a table and a figure of them.
#include "tools/scaling.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <thread>

#include "core/file.h"
#include "evaluation/scaling.h"
#include "evaluation/scaling_chart.h"
#include "tools/output.h"
#include "tools/table.h"
#include "tools/trained_model.h"
#include "tools/workloads.h"

namespace genzoo {
namespace {

/// The axes of a workload.
struct Plan {
  std::string workload;
  std::vector<AxisPlan> axes;
};

std::string assignment(const AxisPlan& axis, size_t i) { return axis.key + "=" + axis.values[i]; }

/// Reads the config of every point, so that mistakes are told before anything is measured.
void check_points(const std::string& workload, const AxisPlan& axis, const Arguments& arguments) {
  for (size_t i = 0; i < axis.values.size(); ++i) {
    try {
      read_workload(workload, arguments, {assignment(axis, i)});
    } catch (const ConfigError& error) {
      std::string lines = error.what();
      const std::string set = "--set " + assignment(axis, i);  // as the reader calls it
      for (size_t at = 0; (at = lines.find(set, at)) != lines.npos;) lines.replace(at, 5, "--axis");
      throw ConfigError(lines);
    }
  }
}

Plan plan_for(const std::string& workload, const Arguments& arguments) {
  const ExperimentConfig config = read_workload(workload, arguments);
  const int64_t threads = config.threads > 0 ? config.threads : std::max(1U, std::thread::hardware_concurrency());
  Plan plan{workload, {}};
  for (const std::string& text : arguments.all("axis")) plan.axes.push_back(parse_axis(text));
  if (plan.axes.empty()) plan.axes = default_axes(config.train, arguments.given("threads") ? 1 : threads);
  if (plan.axes.empty()) {
    throw UsageError(
        fmt::format("bench scaling {}: its batch of {} has no half and there is one thread, so there is "
                    "nothing to vary; wanted --axis KEY=VALUE,VALUE,...",
                    workload, config.train.batch_size));
  }
  for (const AxisPlan& axis : plan.axes) {
    if (axis.key == "threads" && arguments.given("threads")) {
      throw UsageError("bench scaling: --threads and --axis threads=... contradict each other; leave one out");
    }
    if (std::ranges::count(plan.axes, axis.key, &AxisPlan::key) > 1) {
      throw UsageError(fmt::format("bench scaling: --axis {} is given twice", axis.key));
    }
    check_points(workload, axis, arguments);
  }
  return plan;
}

/// Ends the program as a measuring process ended, which has said why.
struct PointFailed {
  ExitCode code;
};

Json line_of(const Ended& ended) {
  if (ended.code != ExitCode::done) throw PointFailed{ended.code};
  return parse_json(ended.text, "bench");
}

/// What this machine's matrix products can do, by type and number of threads: measured once.
class Limits final {
 public:
  explicit Limits(const Arguments& arguments) : arguments_(arguments) {}

  std::optional<double> of(const std::string& dtype, int64_t threads) {
    if (arguments_.flag("no-limits")) return std::nullopt;
    if (!lines_.contains(threads)) {
      std::vector<std::string> more;
      if (!arguments_.given("threads")) more = {"--threads", fmt::format("{}", threads)};
      lines_[threads] = line_of(measure_apart("limits", arguments_, /*seconds=*/1, more));
    }
    return 1e9 * lines_[threads].at(dtype == "fp32" ? "float32_gflops" : "bfloat16_gflops").get<double>();
  }

 private:
  const Arguments& arguments_;
  std::map<int64_t, Json> lines_;
};

/// Measures along one axis.
class AxisMeasurement final {
 public:
  AxisMeasurement(std::string workload, const AxisPlan& plan, const Arguments& arguments, Limits& limits)
      : workload_(std::move(workload)), plan_(plan), arguments_(arguments), limits_(limits) {}

  ScalingAxis run() {
    for (size_t i = 0; i < plan_.values.size(); ++i) axis_.points.push_back(measure(i));
    // A moment in which the machine did something else looks like a jump: only what is seen twice is one.
    std::set<size_t> seen_twice;
    for (bool more = true; more;) {
      more = false;
      for (const ScalingJump& jump : jumps_of(axis_)) {
        for (const size_t i : {jump.to - 1, jump.to}) more = measure_again(i, seen_twice) || more;
      }
    }
    return axis_;
  }

 private:
  /// Keeps the faster time. Says whether it was the point's second.
  bool measure_again(size_t i, std::set<size_t>& seen_twice) {
    if (!seen_twice.insert(i).second) return false;
    const ScalingPoint again = measure(i);
    if (again.seconds < axis_.points[i].seconds) axis_.points[i] = again;
    return true;
  }

  ScalingPoint measure(size_t i) {
    const Json line = line_of(measure_apart(workload_, arguments_, arguments_.number("seconds"),
                                            {"--no-limits", "--set", assignment(plan_, i)}));
    const auto number = [&](const char* key) { return line.at(key).get<double>(); };
    constexpr double kMegabyte = 1 << 20;
    const std::string dtype = line.at("dtype");
    ScalingPoint point{plan_.values[i], plan_.at[i], line.at("threads")};
    point.seconds = 1e-3 * number("ms_per_step");
    point.items = std::max(1.0, std::round(number("items_per_s") * point.seconds));
    point.flops = 1e9 * number("gflop_per_step");
    point.limit = limits_.of(dtype, point.threads);
    point.peak = kMegabyte * number("step_rss_mb");
    point.start = kMegabyte * number("start_rss_mb");
    point.others = number("other_cpu");
    axis_.workload = line.at("workload");
    axis_.key = plan_.key;
    axis_.dtype = dtype;
    axis_.data = line.at("data");
    axis_.item = line.at("unit") == "tokens/s" ? "token" : "sample";
    return point;
  }

  std::string workload_;
  const AxisPlan& plan_;
  const Arguments& arguments_;
  Limits& limits_;
  ScalingAxis axis_;
};

void show(const ScalingAxis& axis, const Arguments& arguments) {
  if (arguments.flag("json")) {
    print(axis.to_json().dump() + "\n");
  } else {
    Table table;
    for (const std::vector<std::string>& row : rows_of(axis)) table.add(row);
    const bool markdown = arguments.flag("markdown");
    print(fmt::format("{}{}: {}; {}; {}{}\n\n{}\n{}\n", markdown ? "**" : "", axis.workload, axis.key,
                      axis.circumstances(), axis.data, markdown ? "**" : "", markdown ? table.markdown() : table.text(),
                      findings_of(axis)));
  }
  flush_output();
}

std::vector<ScalingAxis> read_axes(const std::vector<std::string>& files) {
  std::vector<ScalingAxis> axes;
  for (const std::string& file : files) {
    for (const std::string& line : split_words(read_file(file), '\n')) {
      axes.push_back(ScalingAxis::from_json(parse_json(line, file), file));
    }
  }
  if (axes.empty()) throw UsageError("bench scaling: --from: no axis in these files");
  return axes;
}

std::vector<ScalingAxis> measure_axes(const std::vector<std::string>& workloads, const Arguments& arguments) {
  if (workloads.empty()) {
    throw UsageError("bench scaling: WORKLOAD is missing, wanted: genzoo bench scaling WORKLOAD..., as gpt_char_cpu");
  }
  std::vector<Plan> plans;
  for (const std::string& workload : workloads) plans.push_back(plan_for(workload, arguments));
  std::vector<ScalingAxis> axes;
  Limits limits(arguments);
  for (const Plan& plan : plans) {
    for (const AxisPlan& axis : plan.axes) {
      axes.push_back(AxisMeasurement(plan.workload, axis, arguments, limits).run());
      show(axes.back(), arguments);  // each as soon as it is known: all of them take minutes
    }
  }
  return axes;
}

}  // namespace

ExitCode show_scaling(const std::vector<std::string>& workloads, const Arguments& arguments) {
  if (arguments.flag("json") && arguments.flag("markdown")) {
    throw UsageError("bench scaling: --json and --markdown are two forms of one table; leave one out");
  }
  if (arguments.has("out")) output_path(arguments, {".svg"});
  std::vector<ScalingAxis> axes;
  if (arguments.has("from")) {
    if (!workloads.empty() || arguments.has("axis")) {
      throw UsageError("bench scaling: with --from nothing is measured; leave out WORKLOAD and --axis");
    }
    axes = read_axes(arguments.all("from"));
    for (const ScalingAxis& axis : axes) show(axis, arguments);
  } else {
    try {
      axes = measure_axes(workloads, arguments);
    } catch (const PointFailed& failed) {
      return failed.code;
    }
  }
  if (arguments.has("out")) write_file_whole(arguments.text("out"), scaling_svg(axes));
  return ExitCode::done;
}

}  // namespace genzoo
