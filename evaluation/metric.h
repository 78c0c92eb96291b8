#pragma once
// A number with everything that is needed to trust it.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "evaluation/profile.h"

namespace genzoo {

/// Which way a number gets better.
enum class Better { neither, lower, higher };
const char* better_name(Better better);  ///< "neither", "lower", "higher"

/// One measured number.
struct Metric {
  std::string name;  ///< "likelihood", "loss", "divergence", "frechet", ...
  double value = 0.0;
  std::string unit;  ///< "nats", "bits/dim", "nats/char", "bits/char", ...
  /// Of a likelihood: "exact", "lower_bound" (of log p, so an upper bound when given as bits), "estimate".
  std::string kind;
  std::optional<double> standard_error;  ///< of the mean over examples
  int64_t n = 0;                         ///< examples (of text: tokens; of sample metrics: samples) it rests on
  std::string detail;                    ///< how it was computed
  /// What it speaks of: of a likelihood how the data were treated ("pixels of 256 levels"), of a sample metric the
  /// feature extractor ("pixels"). Numbers of one name that differ in it, or in unit, are not comparable.
  std::string of = {};
  Better better = Better::neither;
  Json to_json() const;
  static Metric from_json(const Json& json);  ///< what to_json() wrote; throws RunError for anything else
};

/// What is known of one model after one evaluation.
struct Evaluation {
  std::string run;
  std::string model;
  std::string dataset;
  std::string split;
  int64_t step = 0;
  std::string weights;  ///< "ema" or "raw"
  std::vector<Metric> metrics;
  std::vector<std::string> notes;  ///< what a reader must know: no likelihood and why, no test split, ...
  std::map<std::string, std::string> missing = {};  ///< metrics asked for that are not there, by name: why
  std::vector<Profile> profiles = {};               ///< of different names
  Json to_json() const;
  static Evaluation from_json(const Json& json);  ///< what to_json() wrote; throws RunError for anything else
};

/// Mean and standard error of numbers that come one at a time.
class RunningMean final {
 public:
  void add(double x);
  double mean() const { return mean_; }
  std::optional<double> standard_error() const;  ///< nothing for fewer than two
  int64_t count() const { return count_; }

 private:
  int64_t count_ = 0;
  double mean_ = 0.0, squares_ = 0.0;  // Welford (1962)
};

}  // namespace genzoo
