#pragma once
// What samples are measured against: the real examples of a data set in each of its feature spaces. Samples and real
// examples are as stored, so images are always uint8: no model gains by values between the levels.

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "evaluation/features.h"
#include "evaluation/metric.h"

namespace genzoo {

/// Which sample metrics. frechet, kernel, precision_recall, density_coverage: in each feature space. modes: of data
/// whose modes are known. memorization: distance to the nearest training example.
using SampleMetricNames = std::set<std::string>;
inline constexpr const char* kSampleMetricNames[] = {"frechet",          "kernel", "precision_recall",
                                                     "density_coverage", "modes",  "memorization"};
SampleMetricNames all_sample_metrics();

/// Real examples of one split, and their features.
class SampleMetrics final {
 public:
  /// Samples will be compared with the first `count` examples of `reference`, or all when it has fewer. The data set
  /// must outlive this. Throws UsageError when it has no such split.
  SampleMetrics(const Dataset& dataset, Split reference, int64_t count, std::vector<Features> features);
  ~SampleMetrics();

  int64_t count() const { return reference_.size(0); }  ///< of real examples compared with

  /// How each feature space came to be: "pixels: raw pixels, 0 to 1".
  std::vector<std::string> feature_spaces() const;

  /// Each metric with feature space, sample count and reference in its words. One that cannot be computed (too few
  /// samples for a covariance in so many dimensions, samples that are not finite) has the value NaN and says why in its
  /// detail. Samples (N, ...) as stored. Throws UsageError when they are not of the data's shape, type and levels.
  std::vector<Metric> of(const Tensor& samples, const SampleMetricNames& wanted) const;

  /// The same of real examples in the place of samples, as many or all there are: of validation, or, where there are
  /// too few, of training (which a classifier of features has seen); never those compared with. Memorization is asked
  /// of validation examples alone. Numbers near a floor cannot be told from real data by that metric.
  std::vector<Metric> floor(int64_t samples, const SampleMetricNames& wanted) const;

  /// To each of the samples the training example nearest in raw values: (N, ...) as stored.
  Tensor nearest_training(const Tensor& samples) const;

 private:
  struct Space;
  void add_space_metrics(const Space& space, const Tensor& samples, const SampleMetricNames& wanted,
                         const std::string& whose, std::vector<Metric>& metrics) const;
  void add_mode_metrics(const Tensor& samples, std::vector<Metric>& metrics) const;
  void add_memorization(const Tensor& samples, const std::string& whose, std::vector<Metric>& metrics) const;
  double nearest_to_reference() const;
  std::vector<Metric> measure(const Tensor& samples, const SampleMetricNames& wanted, const std::string& whose) const;
  /// "10000 samples against 10000 of the test split"
  std::string against(int64_t n, const std::string& whose) const;

  const Dataset& dataset_;
  Split split_;
  Tensor reference_;
  mutable std::optional<double> nearest_to_reference_;
  Tensor train_;  ///< the training examples, as samples are stored: of dynamic binarization one draw of bits
  std::vector<std::unique_ptr<Space>> spaces_;
};

}  // namespace genzoo
