#include "evaluation/kernel_distance.h"

#include <cmath>

#include "core/error.h"
#include "core/random.h"
#include "evaluation/metric.h"
#include "tests/support.h"

namespace genzoo {
namespace {

// Draws of two sets, x ~ N(0, I) (60, 4) and y ~ N(shift, spread^2 I) (40, 4): the distances' mean and spread, and the
// mean of the squared errors they claim.
struct Simulation {
  RunningMean squared;
  double deviation = 0.0;  // of the distances
  double claimed = 0.0;    // root of the mean of the squared standard errors
};

Simulation simulate(double shift, double spread) {
  constexpr int64_t kDraws = 1500;
  Simulation result;
  RunningMean variance;
  for (int64_t draw = 0; draw < kDraws; ++draw) {
    Rng rng = Rng::for_batch(0, Purpose::synthetic_data, static_cast<uint64_t>(draw));
    const Tensor x = rng.normal({60, 4}), y = rng.normal({40, 4}) * spread + shift;
    const KernelDistance distance = kernel_distance(x, y);
    result.squared.add(distance.squared);
    variance.add(distance.standard_error * distance.standard_error);
  }
  result.deviation = *result.squared.standard_error() * std::sqrt(static_cast<double>(kDraws));
  result.claimed = std::sqrt(variance.mean());
  return result;
}

// E k(x, x') for x ~ N(a, s^2 I), x' ~ N(b, t^2 I) in F dimensions: with w = x.x' / F the mean of (w + 1)^3 =
// 1 + 3 E w + 3 E w^2 + E w^3, from the moments of w given x, Gaussian of mean x.b / F and variance t^2 |x|^2 / F^2.
double mean_kernel(double a, double s, double b, double t) {
  constexpr double f = 4;
  // x.b = b sum x is Gaussian of mean m and variance v; |x|^2 has mean q and covariance c with x.b.
  const double m = f * a * b, v = f * b * b * s * s, q = f * (s * s + a * a), c = 2 * f * a * b * s * s;
  const double w1 = m / f;
  const double w2 = (v + m * m + t * t * q) / (f * f);
  const double w3 = (m * m * m + 3 * m * v + 3 * t * t * (c + m * q)) / (f * f * f);
  return 1 + 3 * w1 + 3 * w2 + w3;
}

}  // namespace

TEST_CASE("the kernel distance is the average over all pairs", "[evaluation]") {
  // k = (x.y / 2 + 1)^3. Within x: pairs (0,1) 1, (0,2) 1, (0,3) 1, (1,2) 1, (1,3) 8, (2,3) 8: mean 20 / 6.
  const Tensor x = torch::tensor({{0.0F, 0.0F}, {2.0F, 0.0F}, {0.0F, 2.0F}, {1.0F, 1.0F}});
  // Within y: x.y = 4, 0, 2, 0, 2, 0 over the pairs, so 27 + 1 + 8 + 1 + 8 + 1: mean 46 / 6.
  const Tensor y = torch::tensor({{2.0F, 0.0F}, {2.0F, 0.0F}, {0.0F, 0.0F}, {1.0F, 5.0F}});
  // Between: rows of x: 1 1 1 1; x.y 4 4 0 2: 27 27 1 8; 0 0 0 10: 1 1 1 216; 2 2 0 6: 8 8 1 64.
  const double between = (4 + 63 + 219 + 81) / 16.0;
  CHECK(kernel_distance(x, y).squared == Approx(20 / 6.0 + 46 / 6.0 - 2 * between).epsilon(1e-12));
  CHECK_THROWS_AS(kernel_distance(x, y.slice(0, 0, 3)), UsageError);
  CHECK_THROWS_AS(kernel_distance(x, y / 0), RunError);
  CHECK_THROWS_AS(kernel_distance(x, y.slice(1, 0, 1)), std::logic_error);
}

TEST_CASE("the kernel distance does not depend on how it is cut into blocks", "[evaluation]") {
  Rng rng = Rng::for_batch(0, Purpose::synthetic_data, 7);
  const Tensor x = rng.normal({2100, 3}).to(torch::kDouble) + 0.3, y = rng.uniform({1500, 3}).to(torch::kDouble);
  const auto kernel = [](const Tensor& a, const Tensor& b) { return (a.matmul(b.t()) / 3 + 1).pow(3); };
  const auto within = [&](const Tensor& a) {
    const Tensor k = kernel(a, a);
    return ((k.sum() - k.trace()) / static_cast<double>(a.size(0) * (a.size(0) - 1))).item<double>();
  };
  const double expected = within(x) + within(y) - 2 * kernel(x, y).mean().item<double>();
  const KernelDistance distance = kernel_distance(x, y);
  CHECK(distance.squared == Approx(expected).epsilon(1e-10));
  // Sets in another order are cut otherwise.
  const KernelDistance turned = kernel_distance(y, x.flip(0));
  CHECK(turned.squared == Approx(expected).epsilon(1e-10));
  CHECK(turned.standard_error == Approx(distance.standard_error).epsilon(1e-9));
}

TEST_CASE("between equal distributions the kernel distance is zero on average, its error a little large",
          "[evaluation]") {
  const Simulation equal = simulate(0, 1);
  INFO("mean " << equal.squared.mean() << " +- " << *equal.squared.standard_error() << ", deviation " << equal.deviation
               << ", claimed " << equal.claimed);
  CHECK(std::abs(equal.squared.mean()) < 4 * *equal.squared.standard_error());
  CHECK(equal.claimed > 0.95 * equal.deviation);
  CHECK(equal.claimed < 1.3 * equal.deviation);
}

TEST_CASE("between different distributions the kernel distance and its error are right on average", "[evaluation]") {
  const Simulation different = simulate(0.3, 1.5);
  const double truth = mean_kernel(0, 1, 0, 1) + mean_kernel(0.3, 1.5, 0.3, 1.5) - 2 * mean_kernel(0, 1, 0.3, 1.5);
  INFO("mean " << different.squared.mean() << " +- " << *different.squared.standard_error() << ", true " << truth
               << ", deviation " << different.deviation << ", claimed " << different.claimed);
  CHECK(std::abs(different.squared.mean() - truth) < 4 * *different.squared.standard_error());
  CHECK(different.claimed == Approx(different.deviation).epsilon(0.1));
}

}  // namespace genzoo
