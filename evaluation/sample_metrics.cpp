#include "evaluation/sample_metrics.h"

#include <fmt/format.h>
#include <torch/utils.h>

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "data/images.h"
#include "evaluation/frechet.h"
#include "evaluation/kernel_distance.h"
#include "evaluation/likelihood.h"
#include "evaluation/manifold.h"
#include "evaluation/modes.h"

namespace genzoo {
namespace {

constexpr int64_t kMemorizationSamples = 1000;  // a median of so many is known to a few percent of the spread
constexpr NeighborCounts kNeighbors;

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

/// Raw values as numbers that distances are taken of.
Tensor raw(const Tensor& x) { return x.flatten(1); }

/// What a distance is, after the name by which it is known if it has one.
std::string called(const std::string& name, const std::string& what) {
  return name.empty() ? what : name + ": " + what;
}

}  // namespace

SampleMetrics::SampleMetrics(const Dataset& dataset, Split reference, int64_t count, std::vector<Features> features)
    : dataset_(dataset),
      split_(reference),
      train_(dataset.binarize == Binarize::dynamic ? binarize_once(dataset.train.x, Split::train) : dataset.train.x) {
  const Tensor& x = dataset[reference].x;
  reference_ = x.narrow(0, 0, std::min(count, x.size(0)));
  for (Features& f : features) {
    Tensor real = f.map(reference_);
    spaces_.push_back({std::move(f), std::move(real)});
  }
}

std::string SampleMetrics::against(int64_t n, const std::string& whose) const {
  return fmt::format("{} {} against {} of the {} split", n, whose, count(), kSplitNames[static_cast<int>(split_)]);
}

std::vector<std::string> SampleMetrics::feature_spaces() const {
  std::vector<std::string> told;
  for (const Space& space : spaces_) told.push_back(fmt::format("{}: {}", space.features.name, space.features.detail));
  return told;
}

std::vector<Metric> SampleMetrics::of(const Tensor& samples, const SampleMetricNames& wanted) const {
  return measure(samples, wanted, "samples");
}

std::vector<Metric> SampleMetrics::measure(const Tensor& samples, const SampleMetricNames& wanted,
                                           const std::string& whose) const {
  require_stored(samples, dataset_.spec, dataset_.spec.dataset);
  std::vector<Metric> metrics;
  for (const Space& space : spaces_) add_space_metrics(space, samples, wanted, whose, metrics);
  if (wanted.contains("modes") && dataset_.modes) add_mode_metrics(samples, metrics);
  if (wanted.contains("memorization")) add_memorization(samples, metrics);
  return metrics;
}

std::vector<Metric> SampleMetrics::floor(int64_t samples, const SampleMetricNames& wanted) const {
  // Validation examples had no part in training the classifier; where they are too few, training examples did.
  if (split_ != Split::validation && dataset_.count(Split::validation) >= samples) {
    return measure(dataset_.validation.x.narrow(0, 0, samples), wanted, "validation examples");
  }
  return measure(train_.narrow(0, 0, std::min(samples, train_.size(0))), wanted, "training examples");
}

void SampleMetrics::add_space_metrics(const Space& space, const Tensor& samples, const SampleMetricNames& wanted,
                                      const std::string& whose, std::vector<Metric>& metrics) const {
  const Tensor features = space.features.map(samples);
  const int64_t n = samples.size(0);
  const auto add = [&](const char* name, double value, Better better, const std::string& how,
                       std::optional<double> error = {}) {
    metrics.push_back({.name = name,
                       .value = value,
                       .unit = "",
                       .kind = "",
                       .standard_error = error,
                       .n = n,
                       .detail = fmt::format("{}; {}", how, against(n, whose)),
                       .of = space.features.of,
                       .better = better});
  };
  // A metric that cannot be had is a marked one, not a missing one.
  const auto marked = [&](const std::vector<std::pair<const char*, Better>>& names, const auto& compute) {
    try {
      compute();
    } catch (const UsageError& error) {
      for (const auto& [name, better] : names) add(name, kUnknown, better, error.what());
    }
  };
  if (wanted.contains("frechet")) {
    marked({{"frechet", Better::lower}}, [&] {
      require_samples_for_covariance(std::min(n, count()), features.size(1));
      const double distance = frechet_distance(GaussianMoments::of(space.real), GaussianMoments::of(features));
      add("frechet", distance, Better::lower,
          called(space.features.frechet_name, "squared Frechet distance of Gaussians"));
    });
  }
  if (wanted.contains("kernel")) {
    marked({{"kernel", Better::lower}}, [&] {
      const KernelDistance distance = kernel_distance(features, space.real);
      add("kernel", distance.squared, Better::lower,
          called(space.features.kernel_name, "unbiased squared MMD, cubic polynomial kernel"), distance.standard_error);
    });
  }
  const bool precision = wanted.contains("precision_recall"), density = wanted.contains("density_coverage");
  if (!precision && !density) return;
  std::vector<std::pair<const char*, Better>> names;
  if (precision) names.insert(names.end(), {{"precision", Better::higher}, {"recall", Better::higher}});
  if (density) names.insert(names.end(), {{"density", Better::higher}, {"coverage", Better::higher}});
  marked(names, [&] {
    const ManifoldMetrics m = manifold_metrics(space.real, features, kNeighbors);
    const std::string few = fmt::format("{} nearest neighbors", kNeighbors.precision_recall);
    const std::string more = fmt::format("{} nearest neighbors", kNeighbors.density_coverage);
    if (precision) {
      add("precision", m.precision, Better::higher, "share of samples among real data, " + few);
      add("recall", m.recall, Better::higher, "share of real data among samples, " + few);
    }
    if (density) {
      add("density", m.density, Better::higher, "real neighborhoods a sample is in, " + more);
      add("coverage", m.coverage, Better::higher, "share of real data with a sample near, " + more);
    }
  });
}

void SampleMetrics::add_mode_metrics(const Tensor& samples, std::vector<Metric>& metrics) const {
  const ModeMetrics found = mode_metrics(samples, *dataset_.modes);
  const int64_t n = samples.size(0);
  const auto add = [&](const char* name, double value, const char* unit, Better better, const std::string& of,
                       const std::string& detail) {
    metrics.push_back({.name = name,
                       .value = value,
                       .unit = unit,
                       .kind = "",
                       .standard_error = {},
                       .n = n,
                       .detail = detail,
                       .of = of,
                       .better = better});
  };
  const std::string modes = fmt::format("{} modes", found.modes);
  add("modes", static_cast<double>(found.covered), "", Better::higher, std::to_string(found.modes),
      "modes with a sample of high quality");
  add("high_quality", found.high_quality, "", Better::higher, modes,
      fmt::format("share of samples within {} standard deviations of the nearest mode", kHighQualityDeviations));
  add("reverse_kl", found.reverse_kl.value_or(kUnknown), "nats", Better::lower, modes,
      found.reverse_kl ? "KL(histogram of the samples' modes || weights of the modes)"
                       : "no sample is of high quality, so there is no histogram");
}

void SampleMetrics::add_memorization(const Tensor& samples, std::vector<Metric>& metrics) const {
  const auto nearest = [&](const Tensor& x) {
    const Tensor few = raw(x.narrow(0, 0, std::min(kMemorizationSamples, x.size(0))));
    return nearest_neighbors(few, raw(train_)).distance;
  };
  const Tensor distances = nearest(samples);
  const double real = nearest(reference_).median().item<double>();
  const auto add = [&](const char* name, double value, const std::string& detail) {
    metrics.push_back({.name = name,
                       .value = value,
                       .unit = "",
                       .kind = "",
                       .standard_error = {},
                       .n = distances.size(0),
                       .detail = detail,
                       .of = treatment_of(dataset_.spec),
                       .better = Better::neither});
  };
  const std::string split = kSplitNames[static_cast<int>(split_)];
  add("nearest_training", real > 0 ? distances.median().item<double>() / real : kUnknown,
      real > 0 ? fmt::format("median distance of samples to the nearest training example over that of {} examples; far "
                             "below 1: memorized",
                             split)
               : fmt::format("half of the {} examples are copies of training examples", split));
  add("copies", (distances == 0).to(torch::kDouble).mean().item<double>(),
      "share of samples that are training examples exactly");
}

Tensor SampleMetrics::nearest_training(const Tensor& samples) const {
  const Nearest nearest = nearest_neighbors(raw(samples), raw(train_));
  return train_.index_select(0, nearest.index);
}

}  // namespace genzoo
