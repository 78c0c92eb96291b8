#pragma once
// Rules for integrals of smooth functions: sums of weight times value.

#include <torch/types.h>

#include <cstdint>

namespace genzoo {

using torch::Tensor;

/// Nodes and weights (n) float64 of a rule: the integral of f is the sum of weights * f(nodes).
struct Quadrature {
  Tensor nodes, weights;
};

/// Gauss-Legendre on [a, b]: exact for polynomials of degree 2n - 1.
Quadrature gauss_legendre(int64_t n, double a, double b);

/// Equal steps of at most `step` over [a, b] (trapezoidal rule). For a smooth function that vanishes at both ends its
/// error falls exponentially with 1 / step: for a Gaussian of standard deviation s as exp(-2 (pi s / step)^2)
/// (Trefethen & Weideman, 2014, sec. 5).
Quadrature trapezoid(double a, double b, double step);

/// Simpson's rule with an even number of steps of at most `step` over [a, b]: error of order step^4.
Quadrature simpson(double a, double b, double step);

}  // namespace genzoo
