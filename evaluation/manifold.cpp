#include "evaluation/manifold.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <tuple>
#include <vector>

#include "core/error.h"

namespace genzoo {
namespace {

constexpr int64_t kBlock = int64_t{4} << 20;  // distances at a time: 32 MB

// Squared distances computed from products are off by a few units in the last place of the squared norms. This share of
// them is added to squared radii, so that a distance equal to the radius is inside whichever way the two were rounded.
constexpr double kSlack = 1e-12;

// Points and what their products are compared with.
struct Cloud {
  Tensor points;         // (N, F) float64
  Tensor squared_norms;  // (N)
  int64_t size() const { return points.size(0); }
};

Cloud cloud_of(const Tensor& points) { return {points, points.square().sum(/*dim=*/1)}; }

Cloud finite_cloud_of(const Tensor& points) {
  Cloud cloud = cloud_of(points);
  if (at::isfinite(cloud.squared_norms).all().item<bool>()) return cloud;
  throw RunError("features have numbers that are not finite: look at the samples, the model may have diverged");
}

void require_features(const Tensor& points) {
  if (points.dim() != 2) throw std::logic_error("manifold metrics: features are (N, F)");
}

void require_same_space(const Tensor& a, const Tensor& b) {
  if (a.size(1) != b.size(1)) throw std::logic_error("manifold metrics: different numbers of features");
}

// (A, B): of A consecutive rows of x to all of y. Not below zero.
Tensor squared_distances(const Cloud& x, int64_t first, int64_t rows, const Cloud& y) {
  Tensor squares = at::addmm(y.squared_norms.unsqueeze(0), x.points.narrow(0, first, rows), y.points.t(), 1, -2);
  return squares.add_(x.squared_norms.narrow(0, first, rows).unsqueeze(1)).clamp_min_(0);
}

// visit(first, block) for the squared distances (A, y.size()) of rows first ... first + A - 1 of x.
template <class Visit>
void for_blocks(const Cloud& x, const Cloud& y, const Visit& visit) {
  const int64_t rows = std::clamp<int64_t>(kBlock / y.size(), 1, 1024);
  for (int64_t first = 0; first < x.size(); first += rows) {
    visit(first, squared_distances(x, first, std::min(rows, x.size() - first), y));
  }
}

// Squared radii (N) of the spheres that reach the k-th nearest other point, for each k of a list; with the slack.
std::vector<Tensor> squared_radii(const Cloud& cloud, const std::vector<int64_t>& counts) {
  const int64_t most = std::ranges::max(counts);
  std::vector<Tensor> nearest;
  for_blocks(cloud, cloud, [&](int64_t first, Tensor squares) {
    squares.diagonal(first).fill_(INFINITY);  // the point itself
    nearest.push_back(std::get<0>(squares.topk(most, /*dim=*/1, /*largest=*/false)));
  });
  const Tensor squares = torch::cat(nearest);  // (N, most), ascending
  std::vector<Tensor> radii;
  for (const int64_t k : counts) {
    const Tensor radius = squares.select(/*dim=*/1, k - 1);
    radii.push_back(radius + kSlack * (cloud.squared_norms.sqrt() + radius.sqrt()).square());
  }
  return radii;
}

double share(const Tensor& flags) { return flags.to(torch::kDouble).mean().item<double>(); }

void require_neighbors(int64_t points, const NeighborCounts& k) {
  const int64_t most = std::max(k.precision_recall, k.density_coverage);
  if (points > most) return;
  throw UsageError(fmt::format("spheres of {} neighbors need more than {} points, got {}: ask for more samples", most,
                               most, points));
}

}  // namespace

RealManifold::RealManifold(const Tensor& real, const NeighborCounts& k) : k_(k) {
  require_features(real);
  require_neighbors(real.size(0), k);
  const Tensor points = real.to(torch::kCPU, torch::kDouble);
  middle_ = points.mean(/*dim=*/0);
  points_ = points - middle_;
  const auto radii = squared_radii(finite_cloud_of(points_), {k.precision_recall, k.density_coverage});
  squared_radii_ = radii[0];
  wider_squared_radii_ = radii[1];
}

ManifoldMetrics RealManifold::metrics_of(const Tensor& generated) const {
  require_features(generated);
  require_same_space(points_, generated);
  require_neighbors(generated.size(0), k_);
  const Cloud reals = cloud_of(points_);
  const Cloud fakes = finite_cloud_of(generated.to(torch::kCPU, torch::kDouble) - middle_);
  const Tensor fake_radii = squared_radii(fakes, {k_.precision_recall})[0];
  Tensor precise = torch::zeros({fakes.size()}, torch::kBool);
  std::vector<Tensor> recalled, covered;
  int64_t memberships = 0;
  for_blocks(reals, fakes, [&](int64_t first, const Tensor& squares) {
    const auto within = [&](const Tensor& radii) {
      return squares.le(radii.narrow(0, first, squares.size(0)).unsqueeze(1));  // (A, M)
    };
    precise.logical_or_(within(squared_radii_).any(/*dim=*/0));
    recalled.push_back(squares.le(fake_radii).any(/*dim=*/1));
    const Tensor members = within(wider_squared_radii_).sum(/*dim=*/1);
    memberships += members.sum().item<int64_t>();
    covered.push_back(members.gt(0));
  });
  return {.precision = share(precise),
          .recall = share(torch::cat(recalled)),
          .density = static_cast<double>(memberships) / static_cast<double>(k_.density_coverage * fakes.size()),
          .coverage = share(torch::cat(covered))};
}

ManifoldMetrics manifold_metrics(const Tensor& real, const Tensor& generated, const NeighborCounts& k) {
  require_features(real);
  require_features(generated);
  require_same_space(real, generated);
  return RealManifold(real, k).metrics_of(generated);
}

double expected_coverage(int64_t real, int64_t generated, int64_t k) {
  double all_real = 1.0;
  for (int64_t i = 1; i <= k; ++i)
    all_real *= static_cast<double>(real - i) / static_cast<double>(generated + real - i);
  return 1 - all_real;
}

Nearest nearest_neighbors(const Tensor& queries, const Tensor& points) {
  if (points.size(0) == 0 || queries.sizes().slice(1) != points.sizes().slice(1)) {
    throw std::logic_error("nearest_neighbors: queries (B, ...) and points (N, ...) of one size, N > 0");
  }
  const int64_t rows = std::clamp<int64_t>(kBlock / std::max<int64_t>(queries.size(0), 1), 64, 4096);
  const auto flat = [](const Tensor& x) { return x.flatten(1).to(torch::kCPU, torch::kDouble); };
  // Products of integers are exact as they are; others round less about the middle of some points.
  Tensor middle = torch::zeros({}, torch::kDouble);
  if (points.is_floating_point()) middle = flat(points.slice(/*dim=*/0, 0, rows)).mean(/*dim=*/0);
  const Cloud from = cloud_of(flat(queries) - middle);
  Tensor index = torch::zeros({from.size()}, torch::kLong);
  Tensor best = torch::full({from.size()}, INFINITY, torch::kDouble);
  for (int64_t first = 0; first < points.size(0); first += rows) {
    const Cloud block = cloud_of(flat(points.slice(/*dim=*/0, first, first + rows)) - middle);
    const Tensor candidate = squared_distances(from, 0, from.size(), block).argmin(/*dim=*/1);
    const Tensor exact = (from.points - block.points.index_select(0, candidate)).square().sum(/*dim=*/1);
    index = torch::where(exact < best, candidate + first, index);
    best = torch::minimum(exact, best);
  }
  return {index, best.sqrt()};
}

}  // namespace genzoo
