#include "data/toys.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include "data/quadrature.h"
#include "data/synthetic.h"

namespace genzoo {
namespace {

constexpr double kPi = std::numbers::pi;

using Sampler = std::function<Examples(Rng& rng, int64_t count)>;
using LogDensity = std::function<Tensor(const Tensor& x)>;

Dataset make_toy(const char* name, const ToySizes& sizes, int64_t classes, const Sampler& sample,
                 LogDensity log_density, double entropy) {
  Dataset dataset;
  dataset.spec.dataset = name;
  dataset.spec.kind = DataKind::vectors;
  dataset.spec.shape = {2};
  dataset.spec.classes = classes;
  const auto draw = [&](Split split, int64_t count) {
    Rng rng = synthetic_stream(sizes.data_seed, split);
    return sample(rng, count);
  };
  dataset.train = draw(Split::train, sizes.examples);
  dataset.validation = draw(Split::validation, sizes.validation);
  dataset.test = draw(Split::test, sizes.test);
  dataset.log_density = std::move(log_density);
  dataset.entropy = entropy;
  return dataset;
}

// --- Mixtures of circular Gaussians of one width ---------------------------------------------------------------------

struct Mixture {
  Tensor centers;      // (K, 2) float64
  Tensor log_weights;  // (K) float64
  double std;
};

// log sum_k w_k N(x; mu_k, std^2 I), for x (B, 2): (B) float64.
Tensor log_density(const Mixture& mixture, const Tensor& x) {
  constexpr int64_t kRows = 4096;  // at a time: bounds the memory
  const Tensor to_center = mixture.log_weights - std::log(2 * kPi * mixture.std * mixture.std);
  const Tensor cx = mixture.centers.select(/*dim=*/1, 0), cy = mixture.centers.select(/*dim=*/1, 1);
  std::vector<Tensor> parts;
  for (const Tensor& rows : x.to(torch::kCPU, torch::kDouble).split(kRows)) {
    const Tensor dx = rows.slice(/*dim=*/1, 0, 1) - cx, dy = rows.slice(/*dim=*/1, 1, 2) - cy;  // (B, K)
    parts.push_back(((dx.square() + dy.square()) * (-0.5 / (mixture.std * mixture.std)) + to_center).logsumexp(1));
  }
  return torch::cat(parts).to(x.device());
}

Mixture equal_mixture(const Tensor& centers, double std) {
  const int64_t count = centers.size(0);
  return {centers, torch::full({count}, -std::log(static_cast<double>(count)), torch::kDouble), std};
}

Examples sample_mixture(const Mixture& mixture, Rng& rng, int64_t count) {
  const Tensor component = rng.integers(mixture.centers.size(0), {count});
  const Tensor noise = rng.normal({count, 2}) * mixture.std;
  return {mixture.centers.index_select(0, component).add(noise).to(torch::kFloat), component};
}

// H = -sum_k w_k E[log p(mu_k + std z)], z standard normal: a sum on a grid in z, of spacing 1/4, up to 8.5 standard
// deviations. So the work does not depend on std.
double entropy(const Mixture& mixture) {
  const Quadrature rule = trapezoid(-8.5, 8.5, 0.25);
  const Tensor weight = rule.weights * (rule.nodes.square() * -0.5).exp() / std::sqrt(2 * kPi);
  const Tensor grid = torch::cartesian_prod({rule.nodes, rule.nodes});  // (G, 2)
  const Tensor weights = torch::cartesian_prod({weight, weight}).prod(/*dim=*/1);
  double sum = 0;
  for (int64_t k = 0; k < mixture.centers.size(0); ++k) {
    const Tensor log_p = log_density(mixture, mixture.centers[k] + mixture.std * grid);
    sum -= mixture.log_weights[k].exp().item<double>() * weights.dot(log_p).item<double>();
  }
  return sum;
}

Dataset open_mixture(const char* name, const ToySizes& sizes, const Mixture& mixture) {
  Dataset dataset = make_toy(
      name, sizes, mixture.centers.size(0),
      [&](Rng& rng, int64_t count) { return sample_mixture(mixture, rng, count); },
      [mixture](const Tensor& x) { return log_density(mixture, x); }, entropy(mixture));
  dataset.modes = {.centers = mixture.centers, .weights = mixture.log_weights.exp(), .std = mixture.std};
  return dataset;
}

Mixture eight_gaussians(const EightGaussiansConfig& config) {
  const Tensor angle = torch::arange(8, torch::kDouble) * (kPi / 4);
  return equal_mixture(2 * torch::stack({angle.cos(), angle.sin()}, /*dim=*/1), config.std);
}

Mixture grid_gaussians(const GridGaussiansConfig& config) {
  const Tensor line = torch::arange(-4, 5, 2, torch::kDouble);
  return equal_mixture(torch::cartesian_prod({line, line}), config.std);
}

// --- Two moons -------------------------------------------------------------------------------------------------------

// (cos t, sin t) and its image under the half turn about (1/2, 1/4).
Tensor moon_points(const Tensor& t, bool second) {
  const Tensor first = torch::stack({t.cos(), t.sin()}, /*dim=*/1);
  return second ? torch::tensor({1.0, 0.5}, t.options()) - first : first;
}

// An arc with Gaussian noise is a continuous mixture of Gaussians, (1/pi) int_0^pi N(x; c(t), noise^2 I) dt. The
// integrand is analytic in t, of width about `noise`, so Gauss-Legendre nodes a third of that apart give the integral
// to machine precision where there is any probability.
Mixture two_moons(const TwoMoonsConfig& config) {
  const auto nodes = std::max<int64_t>(64, std::lround(13 / config.noise));
  const Quadrature rule = gauss_legendre(nodes, 0, kPi);
  const Tensor log_weights = (rule.weights / (2 * kPi)).log();
  return {torch::cat({moon_points(rule.nodes, false), moon_points(rule.nodes, true)}),
          torch::cat({log_weights, log_weights}), config.noise};
}

Examples sample_two_moons(const TwoMoonsConfig& config, Rng& rng, int64_t count) {
  const Tensor moon = rng.integers(2, {count});
  const Tensor t = rng.uniform({count}) * kPi;
  const Tensor clean = torch::where(moon.unsqueeze(1).eq(1), moon_points(t, true), moon_points(t, false));
  return {clean + config.noise * rng.normal({count, 2}), moon};
}

// --- Rings -----------------------------------------------------------------------------------------------------------

// Log-density at distance rho from the origin. One ring of radius r: the angle integral of the Gaussian is a modified
// Bessel function (Rice, 1945), N(x) = exp(-(rho^2 + r^2) / 2 s^2) I0(rho r / s^2) / (2 pi s^2).
Tensor rings_log_density(const RingsConfig& config, const Tensor& rho) {
  const double variance = config.noise * config.noise;
  std::vector<Tensor> rings;
  for (int64_t i = 1; i <= config.rings; ++i) {
    const double r = config.spacing * static_cast<double>(i);
    // i0e(z) = exp(-z) I0(z) turns the exponent into -(rho - r)^2 / 2 s^2.
    rings.push_back((rho - r).square() * (-0.5 / variance) + at::special_i0e(rho * (r / variance)).log());
  }
  return torch::stack(rings).logsumexp(/*dim=*/0) - std::log(2 * kPi * variance * static_cast<double>(config.rings));
}

Examples sample_rings(const RingsConfig& config, Rng& rng, int64_t count) {
  const Tensor ring = rng.integers(config.rings, {count});
  const Tensor radius = (ring + 1).to(torch::kFloat) * config.spacing;
  const Tensor angle = rng.uniform({count}) * (2 * kPi);
  const Tensor clean = torch::stack({radius * angle.cos(), radius * angle.sin()}, /*dim=*/1);
  return {clean + config.noise * rng.normal({count, 2}), ring};
}

// --- Checkerboard ----------------------------------------------------------------------------------------------------

constexpr double kSquare = 2;  // side; 4x4 squares cover [-4, 4]^2

Examples sample_checkerboard(Rng& rng, int64_t count) {
  const Tensor column = rng.integers(4, {count});
  const Tensor row = rng.integers(2, {count}) * 2 + column.remainder(2);
  const Tensor corner = torch::stack({column, row}, /*dim=*/1).to(torch::kFloat) * kSquare - 4;
  // The sum may round up to the next square's edge, where the density is zero.
  const Tensor inside = torch::nextafter(corner + kSquare, corner);
  return {torch::minimum(corner + kSquare * rng.uniform({count, 2}), inside), {}};
}

Tensor checkerboard_log_density(const Tensor& x) {
  const Tensor square = ((x.to(torch::kDouble) + 4) / kSquare).floor();  // (B, 2): column and row
  const Tensor on_board = square.ge(0).logical_and(square.lt(4)).all(/*dim=*/1);
  const Tensor dark = square.sum(/*dim=*/1).remainder(2).eq(0);
  const Tensor log_p = torch::full({x.size(0)}, -INFINITY, x.options().dtype(torch::kDouble));
  return log_p.masked_fill(on_board.logical_and(dark), -std::log(8 * kSquare * kSquare));
}

}  // namespace

// --- Configs ---------------------------------------------------------------------------------------------------------

void ToySizes::fields(Fields& f) {
  f("examples", examples, "training points", kSplitSize);
  f("validation", validation, "validation points", kSplitSize);
  f("test", test, "test points", kSplitSize);
  f("data_seed", data_seed, kDataSeedDoc, non_negative);
}

void EightGaussiansConfig::fields(Fields& f) {
  f("std", std, "standard deviation of each Gaussian", positive);
  ToySizes::fields(f);
}

void GridGaussiansConfig::fields(Fields& f) {
  f("std", std, "standard deviation of each Gaussian", positive);
  ToySizes::fields(f);
}

void TwoMoonsConfig::fields(Fields& f) {
  // Below 0.05 the quadrature would need more nodes than it is worth.
  f("noise", noise, "standard deviation of the noise", Range{0.05, 1, false, false, "in [0.05, 1]"});
  ToySizes::fields(f);
}

void RingsConfig::fields(Fields& f) {
  f("rings", rings, "number of circles", Range{1, 20, false, false, "in [1, 20]"});
  f("spacing", spacing, "radius of the first circle and distance of each from the next", positive);
  f("noise", noise, "standard deviation of the noise", Range{0.01, 1, false, false, "in [0.01, 1]"});
  ToySizes::fields(f);
}

// --- Entropies and data sets -----------------------------------------------------------------------------------------

double entropy_of(const EightGaussiansConfig& config) { return entropy(eight_gaussians(config)); }
double entropy_of(const GridGaussiansConfig& config) { return entropy(grid_gaussians(config)); }
double entropy_of(const CheckerboardConfig&) { return std::log(8 * kSquare * kSquare); }

// -int p log p over the box that holds all but about 1e-15 of the probability.
double entropy_of(const TwoMoonsConfig& config) {
  const double margin = 8.5 * config.noise, step = config.noise / 3;
  const Quadrature x = trapezoid(-1 - margin, 2 + margin, step), y = trapezoid(-0.5 - margin, 1 + margin, step);
  const Tensor weights = torch::cartesian_prod({x.weights, y.weights}).prod(/*dim=*/1);
  const Tensor log_p = log_density(two_moons(config), torch::cartesian_prod({x.nodes, y.nodes}));
  return -weights.dot(log_p.exp() * log_p).item<double>();
}

// -int_0^inf p log p 2 pi rho drho: the density depends on the distance from the origin only.
double entropy_of(const RingsConfig& config) {
  const double outermost = config.spacing * static_cast<double>(config.rings);
  const Quadrature rule = simpson(0, outermost + 10 * config.noise, config.noise / 32);
  const Tensor log_p = rings_log_density(config, rule.nodes);
  return -(rule.weights * rule.nodes).dot(log_p.exp() * log_p).item<double>() * 2 * kPi;
}

Dataset open(const EightGaussiansConfig& config, const DataPlaces&) {
  return open_mixture("eight_gaussians", config, eight_gaussians(config));
}

Dataset open(const GridGaussiansConfig& config, const DataPlaces&) {
  return open_mixture("grid_gaussians", config, grid_gaussians(config));
}

Dataset open(const TwoMoonsConfig& config, const DataPlaces&) {
  const Mixture mixture = two_moons(config);
  return make_toy(
      "two_moons", config, 2, [&](Rng& rng, int64_t count) { return sample_two_moons(config, rng, count); },
      [mixture](const Tensor& x) { return log_density(mixture, x); }, entropy_of(config));
}

Dataset open(const RingsConfig& config, const DataPlaces&) {
  return make_toy(
      "rings", config, config.rings, [&](Rng& rng, int64_t count) { return sample_rings(config, rng, count); },
      [config](const Tensor& x) {
        return rings_log_density(config, x.to(torch::kDouble).square().sum(/*dim=*/1).sqrt());
      },
      entropy_of(config));
}

Dataset open(const CheckerboardConfig& config, const DataPlaces&) {
  return make_toy(
      "checkerboard", config, 0, [](Rng& rng, int64_t count) { return sample_checkerboard(rng, count); },
      checkerboard_log_density, entropy_of(config));
}

}  // namespace genzoo
