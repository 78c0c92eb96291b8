#include "evaluation/manifold.h"

#include <cmath>

#include "core/error.h"
#include "core/random.h"
#include "evaluation/metric.h"
#include "tests/support.h"

namespace genzoo {
namespace {

Tensor normal(int64_t rows, int64_t dims, uint64_t stream) {
  return Rng::for_batch(0, Purpose::synthetic_data, stream).normal({rows, dims});
}

// Points on a line: (N, 1).
Tensor line(const std::vector<float>& places) { return torch::tensor(places).unsqueeze(1); }

// Three clusters of so many points, far apart, in the plane.
Tensor clusters(const std::vector<int64_t>& sizes, uint64_t stream) {
  std::vector<Tensor> parts;
  for (size_t i = 0; i < sizes.size(); ++i) {
    parts.push_back(normal(sizes[i], 2, stream + i) + 100.0 * static_cast<double>(i));
  }
  return torch::cat(parts);
}

}  // namespace

TEST_CASE("precision, recall, density and coverage of points on a line, by hand", "[evaluation]") {
  // Spheres of the real points with one neighbor: 0: 1, 1: 1, 3: 2, 10: 7. Of the generated 2: 1, 3: 1, 5: 2, 30: 25.
  const Tensor real = line({0, 1, 3, 10}), generated = line({2, 3, 5, 30});
  const ManifoldMetrics metrics = manifold_metrics(real, generated, {.precision_recall = 1, .density_coverage = 1});
  CHECK(metrics.precision == 0.75);  // 2 in those of 1 and 3; 3 in that of 3 and, just, of 10; 5 in 3's and 10's
  CHECK(metrics.recall == 0.75);     // 1 in 2's; 3 in 2's, 3's and 5's; 10 in 30's; 0 in none
  CHECK(metrics.density == 6 / 4.0);
  CHECK(metrics.coverage == 0.75);  // all but 0
  // With two neighbors: 0: 3, 1: 2, 3: 3, 10: 9.
  const ManifoldMetrics two = manifold_metrics(real, generated, {.precision_recall = 1, .density_coverage = 2});
  CHECK(two.precision == 0.75);
  CHECK(two.coverage == 1);
  CHECK(two.density == 10 / 8.0);  // 2 and 3 in all four, 5 in those of 3 and 10, 30 in none

  CHECK_THROWS_AS(manifold_metrics(line({0, 1, 2, 3, 4}), generated), UsageError);
  CHECK_THROWS_AS(manifold_metrics(line({0, 1, 2, 3, 4, NAN}), line({0, 1, 2, 3, 4, 5})), RunError);
  CHECK_THROWS_AS(manifold_metrics(real, normal(9, 2, 0)), std::logic_error);
}

TEST_CASE("a dropped mode costs recall and coverage, an invented one precision and density", "[evaluation]") {
  const Tensor all = clusters({300, 300, 300}, 0), two = clusters({450, 450}, 10);
  const ManifoldMetrics dropped = manifold_metrics(all, two), invented = manifold_metrics(two, all);
  INFO("dropped: " << dropped.precision << " " << dropped.recall << " " << dropped.density << " " << dropped.coverage);
  CHECK(dropped.precision > 0.95);
  CHECK(dropped.recall == Approx(2 / 3.0).margin(0.04));
  CHECK(dropped.coverage == Approx(2 / 3.0).margin(0.02));
  CHECK(dropped.density == Approx(1).margin(0.1));
  INFO("invented: " << invented.precision << " " << invented.recall << " " << invented.density << " "
                    << invented.coverage);
  CHECK(invented.precision == Approx(2 / 3.0).margin(0.04));
  CHECK(invented.recall > 0.95);
  CHECK(invented.density == Approx(2 / 3.0).margin(0.1));
  CHECK(invented.coverage == Approx(expected_coverage(900, 600, 5)).margin(0.03));
}

TEST_CASE("copies and ties are inside spheres however distances are rounded", "[evaluation]") {
  const Tensor real = normal(700, 50, 1) * 3 + 1000;
  SECTION("samples that are the training set") {
    const ManifoldMetrics copied = manifold_metrics(real, real.flip(0));
    CHECK(copied.precision == 1);
    CHECK(copied.recall == 1);
    CHECK(copied.coverage == 1);
    CHECK(copied.density == 6 / 5.0);  // the point itself and its five neighbors, the fifth on the sphere
  }
  SECTION("spheres of radius zero: every point six times") {
    const Tensor often = real.slice(0, 0, 100).repeat({6, 1});
    const ManifoldMetrics copied = manifold_metrics(often, often.flip(0));
    CHECK(copied.precision == 1);
    CHECK(copied.recall == 1);
    CHECK(copied.coverage == 1);
    CHECK(copied.density == 6 / 5.0);
    const ManifoldMetrics other = manifold_metrics(often, often + 1e-2);
    CHECK(other.precision == 0);
    CHECK(other.coverage == 0);
  }
  SECTION("points exactly on spheres and in no other") {
    // Pairs 1 apart, and points 1 before each pair; their mean is no binary fraction, so squares are rounded.
    const Tensor before = torch::arange(99).square().unsqueeze(1) * 10.0F, pairs = torch::cat({before + 1, before + 2});
    const NeighborCounts one{.precision_recall = 1, .density_coverage = 1};
    CHECK(manifold_metrics(before, pairs, one).recall == 1);
    const ManifoldMetrics metrics = manifold_metrics(pairs, before, one);
    CHECK(metrics.precision == 1);
    CHECK(metrics.density == 1);
    CHECK(metrics.coverage == 0.5);
  }
}

// Naeem et al. (2020), sec. 3: whatever the distribution, equal ones have density 1 and the coverage expected on
// average. Single draws scatter in 1000 dimensions, where the few points nearest to the middle are in everyone's
// sphere: density by 0.14 with 500 points, and still by 0.09 with 10,000.
TEST_CASE("density and coverage of equal Gaussians in 1000 dimensions are as expected", "[evaluation]") {
  CHECK(expected_coverage(10000, 10000, 5) == Approx(0.9688).margin(5e-5));
  CHECK(expected_coverage(2, 1, 1) == 0.5);  // of one other real and one generated, which is nearer?
  RunningMean density, coverage;
  for (uint64_t draw = 0; draw < 16; ++draw) {
    const ManifoldMetrics metrics = manifold_metrics(normal(500, 1000, 2 * draw), normal(400, 1000, 2 * draw + 1));
    density.add(metrics.density);
    coverage.add(metrics.coverage);
  }
  const double expected = expected_coverage(500, 400, 5);
  INFO("density " << density.mean() << " +- " << *density.standard_error() << ", coverage " << coverage.mean() << " +- "
                  << *coverage.standard_error() << ", expected " << expected);
  CHECK(*density.standard_error() < 0.06);
  CHECK(std::abs(density.mean() - 1) < 4 * *density.standard_error());
  CHECK(*coverage.standard_error() < 0.006);
  CHECK(std::abs(coverage.mean() - expected) < 4 * *coverage.standard_error());
  // In few dimensions one draw tells.
  const ManifoldMetrics plane = manifold_metrics(normal(4000, 2, 3), normal(1000, 2, 4));
  CHECK(plane.coverage == Approx(expected_coverage(4000, 1000, 5)).margin(0.02));
  CHECK(plane.density == Approx(1).margin(0.05));
}

TEST_CASE("nearest neighbors are those of brute force, copies at distance zero", "[evaluation]") {
  const auto brute_force = [](const Tensor& queries, const Tensor& points) {
    const Tensor q = queries.flatten(1).to(torch::kDouble), p = points.flatten(1).to(torch::kDouble);
    return (q.unsqueeze(1) - p).square().sum(/*dim=*/2).sqrt().min(/*dim=*/1);  // first of equals
  };
  SECTION("pixels: exact, the first of equals") {
    Rng rng = Rng::for_batch(0, Purpose::synthetic_data, 5);
    Tensor points = rng.integers(4, {9000, 1, 3, 3}).to(torch::kByte);  // ties in plenty, several blocks
    points.slice(0, 8000, 8010).copy_(points.slice(0, 4000, 4010));
    const Tensor queries = torch::cat({points.slice(0, 8000, 8020), rng.integers(4, {30, 1, 3, 3}).to(torch::kByte)});
    const Nearest nearest = nearest_neighbors(queries, points);
    const auto [distance, index] = brute_force(queries, points);
    CHECK(torch::equal(nearest.index, index));
    CHECK(torch::equal(nearest.distance, distance));
    CHECK((nearest.distance.slice(0, 0, 20) == 0).all().item<bool>());
  }
  SECTION("numbers far from zero") {
    const Tensor points = normal(9000, 12, 6) + 1000;
    const Tensor queries = torch::cat({points.slice(0, 100, 110), normal(30, 12, 7) + 1000});
    const Nearest nearest = nearest_neighbors(queries, points);
    const auto [distance, index] = brute_force(queries, points);
    CHECK(torch::equal(nearest.index, index));
    CHECK_THAT(nearest.distance, IsClose(distance, 1e-12));
    CHECK((nearest.distance.slice(0, 0, 10) == 0).all().item<bool>());
  }
  CHECK_THROWS_AS(nearest_neighbors(normal(2, 3, 0), normal(2, 4, 0)), std::logic_error);
  CHECK_THROWS_AS(nearest_neighbors(normal(2, 3, 0), normal(0, 3, 0)), std::logic_error);
}

}  // namespace genzoo
