#include "evaluation/scaling.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "core/error.h"

namespace genzoo {
namespace {

constexpr double kMegabyte = 1 << 20;

/// The parts of a text between commas that stand outside of brackets.
std::vector<std::string> split_values(const std::string& text) {
  std::vector<std::string> values(1);
  int depth = 0;
  for (const char c : text) {
    depth += (c == '[') - (c == ']');
    if (c == ',' && depth == 0) {
      values.emplace_back();
    } else if (c != ' ') {
      values.back() += c;
    }
  }
  return values;
}

/// The numbers of "64" or "[64, 128]"; empty for anything else.
std::vector<double> numbers_of(const std::string& value) {
  const bool list = value.size() > 2 && value.front() == '[' && value.back() == ']';
  std::vector<double> numbers;
  for (const std::string& word : list ? split_values(value.substr(1, value.size() - 2)) : std::vector{value}) {
    double number = 0;
    const char* end = word.data() + word.size();
    const auto [stop, error] = std::from_chars(word.data(), end, number);
    if (error != std::errc() || stop != end || !(number > 0) || !std::isfinite(number)) return {};
    numbers.push_back(number);
  }
  return numbers;
}

/// Where values lie; empty when one has no place.
std::vector<double> places_of(const std::vector<std::string>& values) {
  std::vector<double> firsts, lengths;
  for (const std::string& value : values) {
    const std::vector<double> numbers = numbers_of(value);
    if (numbers.empty()) return {};
    firsts.push_back(numbers.front());
    lengths.push_back(static_cast<double>(numbers.size()));
  }
  const bool all_equal = std::ranges::adjacent_find(firsts, std::not_equal_to<>()) == firsts.end();
  return all_equal ? lengths : firsts;
}

std::string join_values(const std::vector<std::string>& values) {
  std::string text;
  for (const std::string& value : values) text += (text.empty() ? "" : ",") + value;
  return text;
}

AxisPlan plan_of(const std::string& key, const std::vector<int64_t>& numbers) {
  AxisPlan plan{key, {}, {}};
  for (const int64_t number : numbers) {
    plan.values.push_back(fmt::format("{}", number));
    plan.at.push_back(static_cast<double>(number));
  }
  return plan;
}

template <class F>
std::optional<Growth> growth_along(const ScalingAxis& axis, const F& y) {
  std::vector<double> xs, ys;
  for (const ScalingPoint& point : axis.points) {
    xs.push_back(point.at);
    ys.push_back(y(point));
  }
  return growth_of(xs, ys);
}

Json exponents(const std::optional<Growth>& growth) {
  return growth ? Json{{"exponent", growth->exponent}, {"at_end", growth->at_end}} : Json();
}

std::string describe(const Growth& growth) {
  return fmt::format("^{:.2f} ({:.2f} between the last two)", growth.exponent, growth.at_end);
}

std::string short_name(const std::string& key) { return key.substr(key.rfind('.') + 1); }

}  // namespace

AxisPlan parse_axis(const std::string& text) {
  const auto refuse = [&](const std::string& why) {
    throw UsageError(fmt::format("--axis {}: {}; as --axis train.batch_size=8,16,32", text, why));
  };
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) refuse("got no key=, wanted a key of the config and its values");
  AxisPlan plan{text.substr(0, equals), split_values(text.substr(equals + 1)), {}};
  if (plan.values.size() < 2) refuse("got one value, wanted at least two with commas between them");
  plan.at = places_of(plan.values);
  const bool ascends = std::ranges::adjacent_find(plan.at, std::greater_equal<>()) == plan.at.end();
  if (plan.at.empty() || !ascends) {
    refuse(
        fmt::format("got {}, wanted positive numbers, or lists of them, in ascending order", join_values(plan.values)));
  }
  return plan;
}

std::vector<AxisPlan> default_axes(const TrainConfig& train, int64_t threads) {
  std::vector<int64_t> batches, counts;
  for (const double factor : {0.25, 0.5, 1.0, 2.0, 4.0}) {
    const double wanted = factor * static_cast<double>(train.batch_size);
    const bool whole = wanted == std::floor(wanted) && static_cast<int64_t>(wanted) % train.shards == 0;
    if (train.steps > 0 && whole && wanted >= 1) batches.push_back(static_cast<int64_t>(wanted));
  }
  for (int64_t count = 1; count < threads; count *= 2) counts.push_back(count);
  counts.push_back(threads);
  std::vector<AxisPlan> plans;
  if (batches.size() > 1) plans.push_back(plan_of("train.batch_size", batches));
  if (counts.size() > 1) plans.push_back(plan_of("threads", counts));
  return plans;
}

std::optional<double> ScalingPoint::share() const {
  return limit ? std::optional(flops / seconds / *limit) : std::nullopt;
}

std::optional<double> ScalingPoint::least_cost() const {
  return limit ? std::optional(flops_of_item() / *limit) : std::nullopt;
}

std::vector<ScalingJump> jumps_of(const ScalingAxis& axis) {
  std::vector<ScalingJump> jumps;
  for (size_t i = 1; i < axis.points.size(); ++i) {
    const ScalingPoint &before = axis.points[i - 1], &now = axis.points[i];
    const double cost = now.cost() / before.cost(), flops = now.flops_of_item() / before.flops_of_item();
    if (cost > (1 + kScalingTolerance) * flops) jumps.push_back({i, cost, flops});
  }
  return jumps;
}

std::optional<Growth> growth_of(const std::vector<double>& x, const std::vector<double>& y) {
  std::vector<double> u, v;  // logarithms
  for (size_t i = 0; i < x.size(); ++i) {
    if (!(x[i] > 0) || !(y[i] > 0)) continue;
    u.push_back(std::log(x[i]));
    v.push_back(std::log(y[i]));
  }
  const size_t n = u.size();
  if (n < 2) return std::nullopt;
  const double mean_u = std::accumulate(u.begin(), u.end(), 0.0) / static_cast<double>(n);
  const double mean_v = std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(n);
  double uu = 0, uv = 0;
  for (size_t i = 0; i < n; ++i) {
    uu += (u[i] - mean_u) * (u[i] - mean_u);
    uv += (u[i] - mean_u) * (v[i] - mean_v);
  }
  return Growth{uv / uu, (v[n - 1] - v[n - 2]) / (u[n - 1] - u[n - 2])};
}

std::optional<Growth> cost_growth(const ScalingAxis& axis) {
  return growth_along(axis, [](const ScalingPoint& point) { return point.cost(); });
}

std::optional<Growth> flops_growth(const ScalingAxis& axis) {
  return growth_along(axis, [](const ScalingPoint& point) { return point.flops_of_item(); });
}

double memory_above_start(const ScalingAxis& axis, const ScalingPoint& point) {
  return point.peak - axis.points.front().start;
}

std::optional<Growth> memory_growth(const ScalingAxis& axis) {
  return growth_along(axis, [&](const ScalingPoint& point) { return memory_above_start(axis, point); });
}

std::string findings_of(const ScalingAxis& axis) {
  const std::string name = short_name(axis.key);
  const std::vector<ScalingJump> jumps = jumps_of(axis);
  std::string text;
  for (const ScalingJump& jump : jumps) {
    text +=
        fmt::format("A jump at {} {}: a {} costs {:.2f} times what it did at {}, its FLOPs are {:.2f} times as many.\n",
                    name, axis.points[jump.to].value, axis.item, jump.cost, axis.points[jump.to - 1].value, jump.flops);
  }
  if (jumps.empty()) {
    text +=
        fmt::format("No jump: from each value to the next a {}'s cost grows at most {:.0f} % more than its FLOPs.\n",
                    axis.item, 100 * kScalingTolerance);
  }
  const auto cost = cost_growth(axis), flops = flops_growth(axis), memory = memory_growth(axis);
  if (cost) text += fmt::format("Cost of a {}: {}{}", axis.item, name, describe(*cost));
  if (cost && flops) text += fmt::format(", its FLOPs: {}{}", name, describe(*flops));
  if (cost) text += ".\n";
  if (memory) text += fmt::format("Peak memory above the start's: {}{}.\n", name, describe(*memory));
  return text;
}

std::vector<std::vector<std::string>> rows_of(const ScalingAxis& axis) {
  std::vector<std::vector<std::string>> rows = {{short_name(axis.key), "ms/step", "ms/" + axis.item, "GFLOP/step",
                                                 "of products", "peak MB", "above start MB", "cost grows", "FLOPs grow",
                                                 "others"}};
  const std::vector<ScalingJump> jumps = jumps_of(axis);
  for (size_t i = 0; i < axis.points.size(); ++i) {
    const ScalingPoint& point = axis.points[i];
    const auto growth = [&](auto of) {
      return i == 0 ? std::string("-") : fmt::format("x{:.2f}", of(point) / of(axis.points[i - 1]));
    };
    const bool jumped = std::ranges::find(jumps, i, &ScalingJump::to) != jumps.end();
    rows.push_back(
        {point.value, fmt::format("{:.4g}", 1e3 * point.seconds), fmt::format("{:.4g}", 1e3 * point.cost()),
         fmt::format("{:.4g}", 1e-9 * point.flops), point.share() ? fmt::format("{:.0f} %", 100 * *point.share()) : "-",
         fmt::format("{:.0f}", point.peak / kMegabyte),
         fmt::format("{:.1f}", memory_above_start(axis, point) / kMegabyte),
         growth([](const ScalingPoint& p) { return p.cost(); }) + (jumped ? " (jump)" : ""),
         growth([](const ScalingPoint& p) { return p.flops_of_item(); }), fmt::format("{:.0f} %", 100 * point.others)});
  }
  return rows;
}

std::string ScalingAxis::circumstances() const {
  const int64_t threads = points.front().threads;
  const bool vary = !std::ranges::all_of(points, [&](const ScalingPoint& p) { return p.threads == threads; });
  return vary ? dtype : fmt::format("{}, {} thread{}", dtype, threads, threads == 1 ? "" : "s");
}

Json ScalingAxis::to_json() const {
  Json json{{"workload", workload}, {"axis", key}, {"dtype", dtype}, {"data", data}, {"item", item}};
  json["points"] = Json::array();
  for (const ScalingPoint& point : points) {
    json["points"].push_back({{"value", point.value},
                              {"at", point.at},
                              {"threads", point.threads},
                              {"ms_per_step", 1e3 * point.seconds},
                              {"items_per_step", point.items},
                              {"ms_per_item", 1e3 * point.cost()},
                              {"gflop_per_step", 1e-9 * point.flops},
                              {"limit_gflops", point.limit ? Json(1e-9 * *point.limit) : Json()},
                              {"share_of_products", finite_or_null(point.share())},
                              {"step_rss_mb", point.peak / kMegabyte},
                              {"start_rss_mb", point.start / kMegabyte},
                              {"other_cpu", point.others}});
  }
  json["cost_growth"] = exponents(cost_growth(*this));
  json["flops_growth"] = exponents(flops_growth(*this));
  json["memory_growth"] = exponents(memory_growth(*this));
  json["tolerance"] = kScalingTolerance;
  json["jumps"] = Json::array();
  for (const ScalingJump& jump : jumps_of(*this)) {
    json["jumps"].push_back({{"value", points[jump.to].value}, {"cost", jump.cost}, {"flops", jump.flops}});
  }
  return json;
}

ScalingAxis ScalingAxis::from_json(const Json& json, const std::string& where) {
  try {
    ScalingAxis axis;
    bool sound = true;
    json.at("workload").get_to(axis.workload);
    json.at("axis").get_to(axis.key);
    json.at("dtype").get_to(axis.dtype);
    json.at("data").get_to(axis.data);
    json.at("item").get_to(axis.item);
    for (const Json& p : json.at("points")) {
      ScalingPoint point{p.at("value"), p.at("at"), p.at("threads")};
      point.seconds = 1e-3 * p.at("ms_per_step").get<double>();
      point.items = p.at("items_per_step");
      point.flops = 1e9 * p.at("gflop_per_step").get<double>();
      if (!p.at("limit_gflops").is_null()) point.limit = 1e9 * p.at("limit_gflops").get<double>();
      point.peak = kMegabyte * p.at("step_rss_mb").get<double>();
      point.start = kMegabyte * p.at("start_rss_mb").get<double>();
      point.others = p.at("other_cpu");
      const bool follows = axis.points.empty() || point.at > axis.points.back().at;
      sound = sound && follows && point.at > 0 && point.seconds > 0 && point.items > 0 && point.flops > 0;
      axis.points.push_back(std::move(point));
    }
    if (sound && axis.points.size() >= 2) return axis;
  } catch (const Json::exception&) {  // as if there were no points
  }
  throw RunError(fmt::format("{}: no axis that `genzoo bench scaling --json` measured", where));
}

}  // namespace genzoo
