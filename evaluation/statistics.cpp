#include "evaluation/statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>

namespace genzoo {
namespace {

/// Mean and sum of squared deviations from it.
struct Spread {
  double n = 0.0, mean = 0.0, squares = 0.0;
  double variance() const { return squares / (n - 1); }
};

Spread spread_of(std::span<const double> values) {
  Spread spread{.n = static_cast<double>(values.size())};
  for (const double value : values) spread.mean += value / spread.n;
  for (const double value : values) spread.squares += (value - spread.mean) * (value - spread.mean);
  return spread;
}

/// Whether the numbers differ by more than rounding.
bool has_spread(const Spread& spread, double scale) {
  return std::sqrt(spread.variance()) > 100 * std::numeric_limits<double>::epsilon() * scale;
}

/// Whether there is enough in a and b for a test of their means.
bool testable(std::span<const double> a, std::span<const double> b) {
  if (a.size() < 2 || b.size() < 2) return false;
  const auto finite = [](double x) { return std::isfinite(x); };
  if (!std::ranges::all_of(a, finite) || !std::ranges::all_of(b, finite)) return false;
  const Spread of_a = spread_of(a), of_b = spread_of(b);
  const double scale = std::max(std::abs(of_a.mean), std::abs(of_b.mean));
  return has_spread(of_a, scale) || has_spread(of_b, scale);
}

/// The continued fraction of DLMF 8.17.22 by Lentz's method: quick for x < (a + 1) / (a + b + 2).
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  constexpr int kMost = 10'000;  // terms; of the order of sqrt(max(a, b)) are needed
  const auto away_from_zero = [](double value) { return std::abs(value) < kTiny ? kTiny : value; };
  double c = 1.0, d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1));
  double fraction = d;
  for (int m = 1; m < kMost; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    double change = 1.0;
    for (const double term : {even, odd}) {
      d = 1.0 / away_from_zero(1.0 + term * d);
      c = away_from_zero(1.0 + term / c);
      change = c * d;
      fraction *= change;
    }
    if (std::abs(change - 1.0) < 1e-16) break;
  }
  return fraction;
}

}  // namespace

double incomplete_beta(double a, double b, double x) {
  if (!(a > 0) || !(b > 0) || !(x >= 0) || !(x <= 1)) {
    throw std::invalid_argument(fmt::format("evaluation/statistics: incomplete_beta({}, {}, {})", a, b, x));
  }
  if (x == 0 || x == 1) return x;
  const double front =
      std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x));
  // DLMF 8.17.4: I_x(a, b) = 1 - I_{1-x}(b, a).
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
  return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double two_sided_p(double t, double degrees_of_freedom) {
  return incomplete_beta(degrees_of_freedom / 2, 0.5, degrees_of_freedom / (degrees_of_freedom + t * t));
}

std::optional<TTest> welch_test(std::span<const double> a, std::span<const double> b) {
  if (!testable(a, b)) return {};
  const Spread of_a = spread_of(a), of_b = spread_of(b);
  const double error_a = of_a.variance() / of_a.n, error_b = of_b.variance() / of_b.n;  // squared standard errors
  const double error = error_a + error_b;
  TTest test;
  test.t = (of_a.mean - of_b.mean) / std::sqrt(error);
  test.degrees_of_freedom = error * error / (error_a * error_a / (of_a.n - 1) + error_b * error_b / (of_b.n - 1));
  test.p = two_sided_p(test.t, test.degrees_of_freedom);
  return test;
}

std::optional<double> hedges_g(std::span<const double> a, std::span<const double> b) {
  if (!testable(a, b)) return {};
  const Spread of_a = spread_of(a), of_b = spread_of(b);
  const double df = of_a.n + of_b.n - 2;
  const double unbiased = std::exp(std::lgamma(df / 2) - std::lgamma((df - 1) / 2)) / std::sqrt(df / 2);
  return unbiased * (of_a.mean - of_b.mean) / std::sqrt((of_a.squares + of_b.squares) / df);
}

std::vector<double> holm_correction(std::span<const double> p) {
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](size_t i, size_t j) { return p[i] < p[j]; });
  std::vector<double> corrected(p.size());
  double largest = 0.0;
  for (size_t rank = 0; rank < order.size(); ++rank) {
    largest = std::max(largest, std::min(1.0, static_cast<double>(p.size() - rank) * p[order[rank]]));
    corrected[order[rank]] = largest;
  }
  return corrected;
}

}  // namespace genzoo
