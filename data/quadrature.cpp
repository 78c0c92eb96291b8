#include "data/quadrature.h"

#include <torch/types.h>

#include <cmath>
#include <numbers>

namespace genzoo {
namespace {

// Value and derivative of the Legendre polynomial P_n at x, by the three-term recurrence.
struct Legendre {
  double value, derivative;
};
Legendre legendre(int64_t n, double x) {
  double before = 1, value = x;
  for (int64_t k = 2; k <= n; ++k) {
    const double next = ((2.0 * k - 1) * x * value - (k - 1.0) * before) / k;
    before = value;
    value = next;
  }
  return {value, n * (x * value - before) / (x * x - 1)};
}

}  // namespace

Quadrature gauss_legendre(int64_t n, double a, double b) {
  Tensor nodes = torch::empty({n}, torch::kDouble), weights = torch::empty({n}, torch::kDouble);
  double* x = nodes.data_ptr<double>();
  double* w = weights.data_ptr<double>();
  for (int64_t i = 0; i < n; ++i) {
    // The roots of P_n by Newton's method from Chebyshev-like starting points (Press et al., 2007, sec. 4.6).
    double z = -std::cos(std::numbers::pi * (i + 0.75) / (n + 0.5));
    for (int step = 0; step < 20; ++step) {
      const Legendre p = legendre(n, z);
      const double change = p.value / p.derivative;
      z -= change;
      if (std::abs(change) < 1e-15) break;
    }
    const double derivative = legendre(n, z).derivative;
    x[i] = (a + b) / 2 + (b - a) / 2 * z;
    w[i] = (b - a) / ((1 - z * z) * derivative * derivative);
  }
  return {nodes, weights};
}

Quadrature trapezoid(double a, double b, double step) {
  const auto steps = static_cast<int64_t>(std::ceil((b - a) / step));
  Tensor weights = torch::full({steps + 1}, (b - a) / steps, torch::kDouble);
  weights[0] *= 0.5;
  weights[-1] *= 0.5;
  return {torch::linspace(a, b, steps + 1, torch::kDouble), weights};
}

Quadrature simpson(double a, double b, double step) {
  const auto pairs = static_cast<int64_t>(std::ceil((b - a) / (2 * step)));
  Tensor weights = torch::full({2 * pairs + 1}, 2.0, torch::kDouble);  // 1 4 2 4 ... 2 4 1
  weights.slice(/*dim=*/0, 1, 2 * pairs, 2).fill_(4.0);
  weights[0] = 1.0;
  weights[-1] = 1.0;
  return {torch::linspace(a, b, 2 * pairs + 1, torch::kDouble), weights * ((b - a) / (6 * pairs))};
}

}  // namespace genzoo
