#include "evaluation/metric.h"

#include <cmath>

namespace genzoo {
namespace {

constexpr const char* kBetterNames[] = {"neither", "lower", "higher"};

}  // namespace

Json Metric::to_json() const {
  return {{"name", name},
          {"value", finite_or_null(value)},
          {"unit", unit},
          {"kind", kind.empty() ? Json() : Json(kind)},
          {"stderr", standard_error ? finite_or_null(*standard_error) : Json()},
          {"n", n},
          {"detail", detail},
          {"of", of},
          {"better", kBetterNames[static_cast<int>(better)]}};
}

bool comparable(const Metric& a, const Metric& b) { return a.name == b.name && a.unit == b.unit && a.of == b.of; }

Json Evaluation::to_json() const {
  Json list = Json::array();
  for (const Metric& metric : metrics) list.push_back(metric.to_json());
  return {{"run", run},         {"model", model},  {"dataset", dataset}, {"split", split},    {"step", step},
          {"weights", weights}, {"metrics", list}, {"notes", notes},     {"missing", missing}};
}

void RunningMean::add(double x) {
  ++count_;
  const double delta = x - mean_;
  mean_ += delta / static_cast<double>(count_);
  squares_ += delta * (x - mean_);
}

std::optional<double> RunningMean::standard_error() const {
  if (count_ < 2) return {};
  const auto n = static_cast<double>(count_);
  return std::sqrt(squares_ / (n - 1) / n);
}

}  // namespace genzoo
