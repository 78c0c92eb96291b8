#include "evaluation/sample_metrics.h"

#include <algorithm>

#include "core/error.h"
#include "data/toys.h"
#include "tests/evaluation/tiny_models.h"
#include "tests/support.h"

namespace genzoo {
namespace {

const SampleMetricNames kAll(std::begin(kSampleMetricNames), std::end(kSampleMetricNames));

const Metric& named(const std::vector<Metric>& metrics, const std::string& name) {
  const auto found = std::ranges::find(metrics, name, &Metric::name);
  if (found == metrics.end()) throw std::out_of_range(name);
  return *found;
}

bool has(const std::vector<Metric>& metrics, const std::string& name) {
  return std::ranges::count(metrics, name, &Metric::name) > 0;
}

SampleMetrics metrics_of(const Dataset& dataset, int64_t count = 1000) {
  return {dataset, Split::test, count, {raw_features(dataset.spec)}};
}

TEST_CASE("the real examples in the samples' place are as good as can be", "[evaluation][law]") {
  const Dataset dataset = tiny::images(256, 300);
  const SampleMetrics real = metrics_of(dataset);
  const auto metrics = real.of(dataset.test.x, kAll);
  CHECK(std::abs(named(metrics, "frechet").value) < 1e-6);
  CHECK(named(metrics, "precision").value == 1.0);
  CHECK(named(metrics, "recall").value == 1.0);
  CHECK(named(metrics, "coverage").value == 1.0);
  CHECK(named(metrics, "nearest_training").value == 1.0);
  CHECK(named(metrics, "copies").value == 0.0);
}

TEST_CASE("each metric says its feature space, its count, its reference and its direction", "[evaluation]") {
  const Dataset dataset = tiny::images(256, 300);
  const auto metrics = metrics_of(dataset, 200).of(tiny::pixels(150, 256, 7), kAll);
  const Metric& frechet = named(metrics, "frechet");
  CHECK(frechet.n == 150);
  CHECK(frechet.of == "pixels of 256 levels");
  CHECK(frechet.better == Better::lower);
  CHECK(frechet.detail.find("150 samples against 200 of the test split") != std::string::npos);
  CHECK(named(metrics, "kernel").standard_error.has_value());
  CHECK(named(metrics, "precision").better == Better::higher);
  CHECK(named(metrics, "copies").better == Better::neither);
  for (const char* name : {"recall", "density", "coverage", "nearest_training"}) CHECK(has(metrics, name));
  CHECK_FALSE(has(metrics, "modes"));  // nobody knows the modes of these data
}

TEST_CASE("distances of features with a published name tell it", "[evaluation]") {
  const Dataset dataset = tiny::images(256, 40);
  Features known = raw_features(dataset.spec);
  known.frechet_name = "FID";
  known.kernel_name = "KID";
  const SampleMetricNames wanted = {"frechet", "kernel"};
  const SampleMetrics of_known(dataset, Split::test, 40, {known}),
      of_raw(dataset, Split::test, 40, {raw_features(dataset.spec)});
  const auto metrics = of_known.of(dataset.train.x, wanted), others = of_raw.of(dataset.train.x, wanted);
  REQUIRE(metrics.size() == 2);
  CHECK(metrics[0].name == "frechet");
  CHECK(metrics[0].detail == "FID: " + others[0].detail);
  CHECK(metrics[1].name == "kernel");
  CHECK(metrics[1].detail == "KID: " + others[1].detail);
}

TEST_CASE("only what is asked for is measured", "[evaluation]") {
  const Dataset dataset = tiny::images(256, 300);
  const auto metrics = metrics_of(dataset).of(tiny::pixels(100, 256, 7), {"density_coverage"});
  REQUIRE(metrics.size() == 2);
  CHECK(metrics[0].name == "density");
  CHECK(metrics[1].name == "coverage");
}

TEST_CASE("a covariance from too few samples is a marked number, never a silent one", "[evaluation]") {
  const Dataset dataset = tiny::images(256, 300);  // 16 features
  const SampleMetrics real = metrics_of(dataset);
  const auto few = real.of(tiny::pixels(16, 256, 7), {"frechet"});
  REQUIRE(few.size() == 1);
  CHECK(std::isnan(few[0].value));
  CHECK(few[0].detail.find("17") != std::string::npos);
  CHECK(few[0].to_json().at("value").is_null());
  CHECK(std::isfinite(real.of(tiny::pixels(17, 256, 7), {"frechet"})[0].value));
}

TEST_CASE("the floor is validation data, or training data where there is too little", "[evaluation]") {
  Dataset dataset = tiny::images(256, 300);
  dataset.validation.x = tiny::pixels(120, 256, 8);
  const SampleMetrics real = metrics_of(dataset);
  const auto held_out = real.floor(100, kAll), seen = real.floor(200, kAll);
  CHECK(named(held_out, "frechet").detail.find("100 validation examples against") != std::string::npos);
  CHECK(named(held_out, "copies").value == 0.0);
  CHECK(named(held_out, "frechet").value ==
        named(real.of(dataset.validation.x.narrow(0, 0, 100), kAll), "frechet").value);
  CHECK(named(seen, "frechet").detail.find("200 training examples against") != std::string::npos);
  // Training examples are their own copies, so these are never asked.
  CHECK(named(seen, "copies").value == 0.0);
  CHECK(named(seen, "copies").n == 120);
  CHECK_THAT(named(seen, "copies").detail, Catch::Matchers::Contains("120 validation examples"));
  dataset.validation.x = Tensor();
  CHECK_FALSE(has(metrics_of(dataset).floor(100, kAll), "copies"));
  // Nor are examples compared with themselves.
  const SampleMetrics of_train(dataset, Split::train, 200, {raw_features(dataset.spec)});
  CHECK(named(of_train.floor(200, {"frechet"}), "frechet").n == 100);
  CHECK(named(of_train.floor(200, {"frechet"}), "frechet").value > 1e-6);
  CHECK(SampleMetrics(dataset, Split::train, 300, {raw_features(dataset.spec)}).floor(200, kAll).empty());
}

TEST_CASE("samples that are not finite, or too large for any number, are marked", "[evaluation]") {
  const Dataset dataset = open(EightGaussiansConfig{}, DataPlaces{});
  const SampleMetrics real(dataset, Split::test, 500, {raw_features(dataset.spec)});
  Tensor samples = dataset.test.x.narrow(0, 0, 100).clone();
  samples[3][1] = NAN;
  const auto spoiled = real.of(samples, kAll);
  CHECK(spoiled.size() == real.of(dataset.test.x.narrow(0, 0, 100), kAll).size());
  for (const Metric& metric : spoiled) {
    INFO(metric.name);
    CHECK(std::isnan(metric.value));
    CHECK_THAT(metric.detail, Catch::Matchers::Contains("not finite"));
  }
  const auto huge = real.of(torch::full({100, 2}, 3e38f), kAll);
  CHECK(std::isnan(named(huge, "kernel").value));
  CHECK_FALSE(named(huge, "kernel").detail.empty());
  CHECK(named(huge, "modes").value == 0);
}

TEST_CASE("a split that is not there is refused", "[evaluation]") {
  Dataset dataset = tiny::images(256, 30);
  dataset.test.x = Tensor();
  CHECK_THROWS_AS(SampleMetrics(dataset, Split::test, 10, {raw_features(dataset.spec)}), UsageError);
}

TEST_CASE("copies of training examples are found, and shown beside them", "[evaluation]") {
  const Dataset dataset = tiny::images(256, 300);
  const SampleMetrics real = metrics_of(dataset);
  const Tensor samples = at::cat({dataset.train.x.narrow(0, 40, 1), tiny::pixels(3, 256, 9)});
  CHECK(named(real.of(samples, {"memorization"}), "copies").value == 0.25);
  CHECK(torch::equal(real.nearest_training(samples)[0], dataset.train.x[40]));
}

TEST_CASE("dynamic binarization is compared as bits", "[evaluation]") {
  Dataset dataset = tiny::images(256, 300);
  dataset.spec.levels = 2;
  dataset.binarize = Binarize::dynamic;
  dataset.test.x = dataset.validation.x = tiny::pixels(300, 2, 4);
  const SampleMetrics real = metrics_of(dataset);
  const auto metrics = real.floor(100, {"precision_recall", "memorization"});
  CHECK(named(metrics, "precision").of == "binarized pixels");
  CHECK(real.nearest_training(tiny::pixels(2, 2)).max().item<int64_t>() == 1);
}

TEST_CASE("samples of another kind than the data are refused", "[evaluation]") {
  const Dataset dataset = tiny::images(256, 300);
  const SampleMetrics real = metrics_of(dataset);
  CHECK_THROWS_AS(real.of(tiny::pixels(5, 256).to(torch::kFloat), kAll), UsageError);
  CHECK_THROWS_AS(real.of(tiny::pixels(5, 256).flatten(1), kAll), UsageError);
}

TEST_CASE("samples of a mixture tell which of its modes they found", "[evaluation]") {
  const Dataset dataset = open(EightGaussiansConfig{}, DataPlaces{});
  const SampleMetrics real(dataset, Split::test, 500, {raw_features(dataset.spec)});
  const auto metrics = real.of(dataset.test.x.narrow(0, 0, 1000), kAll);
  CHECK(named(metrics, "modes").value == 8);
  CHECK(named(metrics, "modes").of == "8");
  CHECK(std::abs(named(metrics, "high_quality").value - 0.9889) < 0.02);
  CHECK(named(metrics, "reverse_kl").value < 0.02);
  CHECK(named(metrics, "frechet").of == "vectors of 2 dimensions");
  const auto one = real.of(torch::full({100, 2}, 50.0f), {"modes"});
  CHECK(named(one, "modes").value == 0);
  CHECK(std::isnan(named(one, "reverse_kl").value));
}

}  // namespace
}  // namespace genzoo
