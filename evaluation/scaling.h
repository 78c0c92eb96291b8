#pragma once
// How the cost of a step grows with one key of a config: its batch, width, depth, length, threads. What was measured,
// what FLOPs would have it be, and where the two part.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "trainers/experiment.h"

namespace genzoo {

/// One key of a config and the values it is to take, each alone beside the config's other values.
struct AxisPlan {
  std::string key;                  ///< "train.batch_size"
  std::vector<std::string> values;  ///< as they are set: "64", "[400]"
  std::vector<double> at;           ///< where they lie on the axis: positive, ascending
};

/// Reads "key=value,value,...", at least two. Numbers are where they are; lists, "[64],[128]", where their first
/// numbers are, or if those are all equal, "[64],[64,64]", at their lengths. Throws UsageError.
AxisPlan parse_axis(const std::string& text);

/// What grows in any experiment: the batch, from a fourth to four times of the config's in doublings that divide into
/// its shards, and the threads, 1, 2, 4, ... and `threads`. Without training only the threads; an axis of one value is
/// left out.
std::vector<AxisPlan> default_axes(const TrainConfig& train, int64_t threads);

/// What was measured at one value.
struct ScalingPoint {
  std::string value;  ///< as it was set
  double at = 0;      ///< where that lies on the axis
  int64_t threads = 1;
  double seconds = 0;                ///< a step
  double items = 1;                  ///< a step: samples or tokens
  double flops = 0;                  ///< a step: products, convolutions, attention
  std::optional<double> limit = {};  ///< of this machine's matrix products on as many threads, FLOP/s
  double peak = 0, start = 0;  ///< bytes of the process: the largest resident size in steps, that before the first
  double others = 0;           ///< share of the machine that other processes used meanwhile

  double cost() const { return seconds / items; }  ///< seconds an item
  double flops_of_item() const { return flops / items; }
  std::optional<double> share() const;       ///< of the limit
  std::optional<double> least_cost() const;  ///< seconds an item at the limit
};

/// A measured axis of a workload.
struct ScalingAxis {
  std::string workload, key, dtype, data;
  std::string item;                  ///< "token", "sample"
  std::vector<ScalingPoint> points;  ///< ascending, at least two

  std::string circumstances() const;  ///< "fp32, 2 threads", without threads where they vary

  /// Exponents, jumps and what is measured, in one line.
  Json to_json() const;
  /// What to_json wrote. Throws RunError naming `where` for anything else.
  static ScalingAxis from_json(const Json& json, const std::string& where);
};

/// By how much more than FLOPs an item's cost may grow between neighbours.
inline constexpr double kScalingTolerance = 0.15;

/// A point that costs more than the growth of FLOPs from the one before it explains.
struct ScalingJump {
  size_t to = 1;               ///< index of the point
  double cost = 1, flops = 1;  ///< growth of both from the point before, per item
};

/// The points whose cost per item grew by more than 1 + kScalingTolerance times the growth of FLOPs per item.
std::vector<ScalingJump> jumps_of(const ScalingAxis& axis);

/// y ~ x^exponent.
struct Growth {
  double exponent = 0;  ///< of the line through all points, by least squares of the logarithms
  double at_end = 0;    ///< between the last two
};

/// Nothing for fewer than two points whose x and y are positive.
std::optional<Growth> growth_of(const std::vector<double>& x, const std::vector<double>& y);

std::optional<Growth> cost_growth(const ScalingAxis& axis);   ///< seconds an item
std::optional<Growth> flops_growth(const ScalingAxis& axis);  ///< FLOPs an item
/// Peak memory above what the smallest point's process held before its first step: so the program itself and what does
/// not grow with the axis have no part in it. Where reading the data took more memory than a step, only what goes
/// beyond that shows.
std::optional<Growth> memory_growth(const ScalingAxis& axis);
double memory_above_start(const ScalingAxis& axis, const ScalingPoint& point);  ///< bytes

/// What the figures say, a sentence a line: where cost jumps, or that it does not, and how cost and memory grow.
std::string findings_of(const ScalingAxis& axis);

/// The rows of an axis's table, the first of them its head.
std::vector<std::vector<std::string>> rows_of(const ScalingAxis& axis);

}  // namespace genzoo
