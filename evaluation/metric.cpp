#include "evaluation/metric.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "core/error.h"

namespace genzoo {
namespace {

constexpr const char* kBetterNames[] = {"neither", "lower", "higher"};

double number_or_nan(const Json& json) {
  return json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.get<double>();
}

}  // namespace

const char* better_name(Better better) { return kBetterNames[static_cast<int>(better)]; }

Json Metric::to_json() const {
  return {{"name", name},
          {"value", finite_or_null(value)},
          {"unit", unit},
          {"kind", kind.empty() ? Json() : Json(kind)},
          {"stderr", finite_or_null(standard_error)},
          {"n", n},
          {"detail", detail},
          {"of", of},
          {"better", better_name(better)}};
}

Metric Metric::from_json(const Json& json) try {
  Metric metric;
  metric.name = json.at("name");
  metric.value = number_or_nan(json.at("value"));
  metric.unit = json.at("unit");
  if (!json.at("kind").is_null()) metric.kind = json.at("kind");
  if (!json.at("stderr").is_null()) metric.standard_error = json.at("stderr").get<double>();
  metric.n = json.at("n");
  metric.detail = json.at("detail");
  metric.of = json.at("of");
  const auto better = std::ranges::find(kBetterNames, json.at("better").get<std::string>());
  if (better == std::end(kBetterNames))
    throw RunError("a metric is damaged: 'better' is none of neither, lower, higher");
  metric.better = static_cast<Better>(better - std::begin(kBetterNames));
  return metric;
} catch (const Json::exception& error) {
  throw RunError(std::string("a metric is damaged: ") + error.what());
}

Evaluation Evaluation::from_json(const Json& json) try {
  Evaluation evaluation;
  evaluation.run = json.at("run");
  evaluation.model = json.at("model");
  evaluation.dataset = json.at("dataset");
  evaluation.split = json.at("split");
  evaluation.step = json.at("step");
  evaluation.weights = json.at("weights");
  for (const Json& metric : json.at("metrics")) evaluation.metrics.push_back(Metric::from_json(metric));
  evaluation.notes = json.at("notes").get<std::vector<std::string>>();
  for (const auto& [name, why] : json.at("missing").items()) evaluation.missing[name] = why;
  if (json.contains("profiles")) {  // not written by versions that measured none
    for (const Json& profile : json["profiles"]) evaluation.profiles.push_back(Profile::from_json(profile));
  }
  return evaluation;
} catch (const Json::exception& error) {
  throw RunError(std::string("an evaluation is damaged: ") + error.what());
}

Json Evaluation::to_json() const {
  Json list = Json::array(), curves = Json::array();
  for (const Metric& metric : metrics) list.push_back(metric.to_json());
  for (const Profile& profile : profiles) curves.push_back(profile.to_json());
  return {{"run", run},         {"model", model},  {"dataset", dataset}, {"split", split},     {"step", step},
          {"weights", weights}, {"metrics", list}, {"notes", notes},     {"missing", missing}, {"profiles", curves}};
}

void RunningMean::add(double x) {
  ++count_;
  if (!std::isfinite(x) || !std::isfinite(mean_)) {  // a mean with an infinity in it, of which there is no spread
    mean_ += x;
    return;
  }
  const double delta = x - mean_;
  mean_ += delta / static_cast<double>(count_);
  squares_ += delta * (x - mean_);
}

std::optional<double> RunningMean::standard_error() const {
  if (count_ < 2 || !std::isfinite(mean_)) return {};
  const auto n = static_cast<double>(count_);
  return std::sqrt(squares_ / (n - 1) / n);
}

}  // namespace genzoo
