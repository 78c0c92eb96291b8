#include "evaluation/sample_metrics.h"

#include <fmt/format.h>
#include <torch/utils.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>

#include "core/error.h"
#include "data/images.h"
#include "evaluation/frechet.h"
#include "evaluation/gaussian.h"
#include "evaluation/kernel_distance.h"
#include "evaluation/likelihood.h"
#include "evaluation/manifold.h"
#include "evaluation/modes.h"

namespace genzoo {
namespace {

constexpr int64_t kMemorizationSamples = 1000;  // a median of so many is known to a few percent of the spread
constexpr NeighborCounts kNeighbors;

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

constexpr const char* kNotFinite = "samples have numbers that are not finite: the model may have diverged";

/// Raw values as numbers that distances are taken of.
Tensor raw(const Tensor& x) { return x.flatten(1); }

bool is_finite(const Tensor& samples) {
  return !samples.is_floating_point() || at::isfinite(samples).all().item<bool>();
}

/// The samples, or zeros in their place where some are not finite: metrics of those are unknown.
Tensor finite_or_zero(const Tensor& samples) { return is_finite(samples) ? samples : torch::zeros_like(samples); }

void require_finite(const Tensor& samples) {
  if (!is_finite(samples)) throw RunError(kNotFinite);
}

/// Of the first samples, as many as memorization is asked of, the distance to the nearest training example: (N).
Tensor nearest_of(const Tensor& samples, const Tensor& train) {
  return nearest_neighbors(raw(samples.narrow(0, 0, std::min(kMemorizationSamples, samples.size(0)))), raw(train))
      .distance;
}

double median_distance(const Tensor& distances) { return distances.median().item<double>(); }

/// What a distance is, after the name by which it is known if it has one.
std::string called(const std::string& name, const std::string& what) {
  return name.empty() ? what : name + ": " + what;
}

}  // namespace

/// One feature space with the real examples in it. What metrics need of these is computed when first asked for, once.
struct SampleMetrics::Space {
  Space(Features space, const Tensor& examples) : features(std::move(space)), real(features.map(examples)) {}

  Features features;
  Tensor real;  ///< (N, F) float32

  const GaussianMoments& moments() const {
    if (!moments_) moments_ = GaussianMoments::of(real);
    return *moments_;
  }
  const KernelReference& kernel() const {
    if (!kernel_) kernel_.emplace(real);
    return *kernel_;
  }
  const RealManifold& manifold() const {
    if (!manifold_) manifold_.emplace(real, kNeighbors);
    return *manifold_;
  }

 private:
  mutable std::optional<GaussianMoments> moments_;
  mutable std::optional<KernelReference> kernel_;
  mutable std::optional<RealManifold> manifold_;
};

SampleMetrics::SampleMetrics(const Dataset& dataset, Split reference, int64_t count, std::vector<Features> features)
    : dataset_(dataset),
      split_(reference),
      train_(dataset.binarize == Binarize::dynamic ? binarize_once(dataset.train.x, Split::train) : dataset.train.x) {
  dataset.require(reference);
  const Tensor& x = dataset[reference].x;
  reference_ = x.narrow(0, 0, std::min(count, x.size(0)));
  for (Features& f : features) spaces_.push_back(std::make_unique<Space>(std::move(f), reference_));
}

SampleMetrics::~SampleMetrics() = default;

SampleMetricNames all_sample_metrics() { return {std::begin(kSampleMetricNames), std::end(kSampleMetricNames)}; }

std::string SampleMetrics::against(int64_t n, const std::string& whose) const {
  return fmt::format("{} {} against {} of the {} split", n, whose, count(), kSplitNames[static_cast<int>(split_)]);
}

std::vector<std::string> SampleMetrics::feature_spaces() const {
  std::vector<std::string> told;
  for (const auto& space : spaces_) told.push_back(fmt::format("{}: {}", space->features.name, space->features.detail));
  return told;
}

std::vector<Metric> SampleMetrics::of(const Tensor& samples, const SampleMetricNames& wanted) const {
  return measure(samples, wanted, "samples");
}

std::vector<Metric> SampleMetrics::measure(const Tensor& samples, const SampleMetricNames& wanted,
                                           const std::string& whose) const {
  require_stored(finite_or_zero(samples), dataset_.spec, dataset_.spec.dataset);
  std::vector<Metric> metrics;
  for (const auto& space : spaces_) add_space_metrics(*space, samples, wanted, whose, metrics);
  if (wanted.contains("modes") && dataset_.modes) add_mode_metrics(samples, metrics);
  if (wanted.contains("memorization")) add_memorization(samples, whose, metrics);
  return metrics;
}

std::vector<Metric> SampleMetrics::floor(int64_t samples, const SampleMetricNames& wanted) const {
  SampleMetricNames others = wanted;
  others.erase("memorization");
  std::vector<Metric> metrics;
  const bool held_out = split_ != Split::validation && dataset_.has(Split::validation);
  // Validation examples had no part in training the classifier; where they are too few, training examples did.
  if (held_out && dataset_.count(Split::validation) >= samples) {
    metrics = measure(dataset_.validation.x.narrow(0, 0, samples), others, "validation examples");
  } else {
    const int64_t first = split_ == Split::train ? count() : 0;
    const int64_t rows = std::min(samples, train_.size(0) - first);
    if (rows > 0) metrics = measure(train_.narrow(0, first, rows), others, "training examples");
  }
  // Training examples are their own copies.
  if (held_out && wanted.contains("memorization")) {
    add_memorization(dataset_.validation.x, "validation examples", metrics);
  }
  return metrics;
}

void SampleMetrics::add_space_metrics(const Space& space, const Tensor& samples, const SampleMetricNames& wanted,
                                      const std::string& whose, std::vector<Metric>& metrics) const {
  const Tensor features = space.features.map(finite_or_zero(samples));
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
      require_finite(samples);
      compute();
    } catch (const Error& error) {
      for (const auto& [name, better] : names) add(name, kUnknown, better, error.what());
    }
  };
  if (wanted.contains("frechet")) {
    marked({{"frechet", Better::lower}}, [&] {
      require_samples_for_covariance(std::min(n, count()), features.size(1));
      const double distance = frechet_distance(space.moments(), GaussianMoments::of(features));
      add("frechet", distance, Better::lower,
          called(space.features.frechet_name, "squared Frechet distance of Gaussians"));
    });
  }
  if (wanted.contains("kernel")) {
    marked({{"kernel", Better::lower}}, [&] {
      const KernelDistance distance = space.kernel().distance_of(features);
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
    const ManifoldMetrics m = space.manifold().metrics_of(features);
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
  ModeMetrics found;
  std::string spoiled;
  try {
    found = mode_metrics(samples, *dataset_.modes);
  } catch (const RunError& error) {
    found.modes = dataset_.modes->centers.size(0);
    spoiled = error.what();
  }
  const int64_t n = samples.size(0);
  const auto add = [&](const char* name, double value, const char* unit, Better better, const std::string& of,
                       const std::string& detail) {
    metrics.push_back({.name = name,
                       .value = spoiled.empty() ? value : kUnknown,
                       .unit = unit,
                       .kind = "",
                       .standard_error = {},
                       .n = n,
                       .detail = spoiled.empty() ? detail : spoiled,
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

/// The median distance of the reference's examples to the nearest training example: a constant, and slow.
double SampleMetrics::nearest_to_reference() const {
  if (!nearest_to_reference_) nearest_to_reference_ = median_distance(nearest_of(reference_, train_));
  return *nearest_to_reference_;
}

void SampleMetrics::add_memorization(const Tensor& samples, const std::string& whose,
                                     std::vector<Metric>& metrics) const {
  const bool finite = is_finite(samples);
  const Tensor distances = finite ? nearest_of(samples, train_) : torch::zeros({samples.size(0)}, torch::kDouble);
  const double real = nearest_to_reference();
  const auto add = [&](const char* name, double value, const std::string& detail) {
    metrics.push_back({.name = name,
                       .value = finite ? value : kUnknown,
                       .unit = "",
                       .kind = "",
                       .standard_error = {},
                       .n = distances.size(0),
                       .detail = finite ? detail : kNotFinite,
                       .of = treatment_of(dataset_.spec),
                       .better = Better::neither});
  };
  const std::string split = kSplitNames[static_cast<int>(split_)];
  add("nearest_training", real > 0 ? median_distance(distances) / real : kUnknown,
      real > 0 ? fmt::format("median distance of {} {} to the nearest training example over that of {} examples; far "
                             "below 1: memorized",
                             distances.size(0), whose, split)
               : fmt::format("half of the {} examples are copies of training examples", split));
  add("copies", (distances == 0).to(torch::kDouble).mean().item<double>(),
      fmt::format("share of {} {} that are training examples exactly", distances.size(0), whose));
}

Tensor SampleMetrics::nearest_training(const Tensor& samples) const {
  const Nearest nearest = nearest_neighbors(raw(samples), raw(train_));
  return train_.index_select(0, nearest.index);
}

}  // namespace genzoo
