#include "evaluation/kernel_distance.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "core/error.h"

namespace genzoo {
namespace {

constexpr int64_t kRows = 1024;  // a side of a block: 8 MB

// What the estimates need of the matrix K of k(x_i, y_j).
struct Sums {
  Tensor rows;     // (M)
  Tensor columns;  // (N)
  double total = 0.0, squares = 0.0;
};

// k(x_i, y_j) - shift for a block of rows of each, (A, F) and (B, F).
Tensor kernel_block(const Tensor& x, const Tensor& y, double shift) {
  const Tensor base = at::addmm(torch::ones({1}, x.options()), x, y.t(), 1, 1 / static_cast<double>(x.size(1)));
  return base.square().mul_(base).sub_(shift);
}

Sums sums_between(const Tensor& x, const Tensor& y, double shift) {
  Sums sums{torch::zeros({x.size(0)}, x.options()), torch::zeros({y.size(0)}, x.options())};
  for (int64_t i = 0; i < x.size(0); i += kRows) {
    const Tensor rows = x.slice(/*dim=*/0, i, i + kRows);
    for (int64_t j = 0; j < y.size(0); j += kRows) {
      const Tensor block = kernel_block(rows, y.slice(/*dim=*/0, j, j + kRows), shift);
      sums.rows.narrow(0, i, block.size(0)) += block.sum(/*dim=*/1);
      sums.columns.narrow(0, j, block.size(1)) += block.sum(/*dim=*/0);
      sums.squares += block.flatten().dot(block.flatten()).item<double>();
    }
  }
  sums.total = sums.rows.sum().item<double>();
  return sums;
}

// Of different points of one set: the diagonal counts as zero. The matrix is symmetric, so half of it is computed.
Sums sums_within(const Tensor& x, double shift) {
  Sums sums{torch::zeros({x.size(0)}, x.options()), {}};
  for (int64_t i = 0; i < x.size(0); i += kRows) {
    const Tensor rows = x.slice(/*dim=*/0, i, i + kRows);
    for (int64_t j = i; j < x.size(0); j += kRows) {
      Tensor block = kernel_block(rows, x.slice(/*dim=*/0, j, j + kRows), shift);
      if (i == j) block.fill_diagonal_(0);
      sums.rows.narrow(0, i, block.size(0)) += block.sum(/*dim=*/1);
      if (i != j) sums.rows.narrow(0, j, block.size(1)) += block.sum(/*dim=*/0);
      sums.squares += (i == j ? 1 : 2) * block.flatten().dot(block.flatten()).item<double>();
    }
  }
  sums.columns = sums.rows;
  sums.total = sums.rows.sum().item<double>();
  return sums;
}

// n (n-1) ... (n-k+1): ordered choices of k different ones of n.
double choices(double n, int k) { return k == 0 ? 1 : n * choices(n - 1, k - 1); }

double squared_norm(const Tensor& x) { return x.dot(x).item<double>(); }

// Averages over all choices of different points of one set: unbiased.
struct WithinMoments {
  double mean;          // of k(x, x')
  double mean_square;   // of k(x, x')^2
  double chain;         // of k(x, x') k(x, x''), that is E_x (E_x' k)^2
  double squared_mean;  // of k(x, x') k(x'', x'''), that is (E k)^2

  WithinMoments(const Sums& k, double m)
      : mean(k.total / choices(m, 2)),
        mean_square(k.squares / choices(m, 2)),
        chain((squared_norm(k.rows) - k.squares) / choices(m, 3)),
        squared_mean((k.total * k.total - 4 * squared_norm(k.rows) + 2 * k.squares) / choices(m, 4)) {}

  double degenerate() const { return mean_square - 2 * chain + squared_mean; }  // E k~(x, x')^2
};

// The same between two sets.
struct BetweenMoments {
  double mean, mean_square;
  double chain_x;  // of k(x, y) k(x, y')
  double chain_y;  // of k(x, y) k(x', y)
  double squared_mean;

  BetweenMoments(const Sums& k, double m, double n)
      : mean(k.total / (m * n)),
        mean_square(k.squares / (m * n)),
        chain_x((squared_norm(k.rows) - k.squares) / (m * choices(n, 2))),
        chain_y((squared_norm(k.columns) - k.squares) / (choices(m, 2) * n)),
        squared_mean((k.total * k.total - squared_norm(k.rows) - squared_norm(k.columns) + k.squares) /
                     (choices(m, 2) * choices(n, 2))) {}

  double degenerate() const { return mean_square - chain_x - chain_y + squared_mean; }  // E k~(x, y)^2
};

// Var f over the m points of one set, the other having n: E f^2 - (E f)^2. `within` is of the first set, `rows` are the
// sums of k of its points with the other set's, chain = E k(x, y) k(x, y').
double witness_variance(const Sums& within, const Tensor& rows, const BetweenMoments& between, double chain, double m,
                        double n) {
  const WithinMoments own(within, m);
  const double rows_product = within.rows.dot(rows).item<double>();
  const double total_product = within.total * rows.sum().item<double>();
  const double own_other = rows_product / (choices(m, 2) * n);                            // E k(x, x') k(x, y)
  const double means_product = (total_product - 2 * rows_product) / (choices(m, 3) * n);  // E k(x, x') k(x'', y)
  return own.chain - 2 * own_other + chain - (own.squared_mean - 2 * means_product + between.squared_mean);
}

void require_features(const Tensor& x) {
  if (x.dim() != 2) throw std::logic_error("kernel distance: features are (N, F)");
  if (x.size(0) >= 4) return;
  throw UsageError(
      fmt::format("a kernel distance and its error need at least 4 examples, got {}: ask for more", x.size(0)));
}

}  // namespace

KernelReference::KernelReference(const Tensor& y) {
  require_features(y);
  y_ = y.to(torch::kCPU, torch::kDouble);
  // A constant added to the kernel changes nothing but the rounding: the sums cancel least when the kernel is near
  // zero.
  const Tensor middle = y_.mean(/*dim=*/0);
  shift_ = std::pow(squared_norm(middle) / static_cast<double>(y_.size(1)) + 1, 3);
  const Sums sums = sums_within(y_, shift_);
  rows_ = sums.rows;
  squares_ = sums.squares;
}

KernelDistance KernelReference::distance_of(const Tensor& x_features) const {
  require_features(x_features);
  if (x_features.size(1) != y_.size(1)) throw std::logic_error("kernel distance: different numbers of features");
  const Tensor x = x_features.to(torch::kCPU, torch::kDouble);
  const auto m = static_cast<double>(x.size(0)), n = static_cast<double>(y_.size(0));
  const Sums xx = sums_within(x, shift_), xy = sums_between(x, y_, shift_);
  const Sums yy{rows_, rows_, rows_.sum().item<double>(), squares_};
  const WithinMoments within_x(xx, m), within_y(yy, n);
  const BetweenMoments between(xy, m, n);

  KernelDistance distance;
  distance.squared = within_x.mean + within_y.mean - 2 * between.mean;
  const double variance = 4 / m * std::max(0.0, witness_variance(xx, xy.rows, between, between.chain_x, m, n)) +
                          4 / n * std::max(0.0, witness_variance(yy, xy.columns, between, between.chain_y, n, m)) +
                          2 / choices(m, 2) * std::max(0.0, within_x.degenerate()) +
                          2 / choices(n, 2) * std::max(0.0, within_y.degenerate()) +
                          4 / (m * n) * std::max(0.0, between.degenerate());
  distance.standard_error = std::sqrt(variance);
  // Squares overflow first, and the maxima above would take what comes of them for zero.
  if (!std::isfinite(distance.squared) || !std::isfinite(xx.squares + xy.squares + yy.squares)) {
    throw RunError(
        fmt::format("the kernel distance of {} and {} examples with {} features is not finite: look at the "
                    "samples, the model may have diverged",
                    x.size(0), y_.size(0), x.size(1)));
  }
  return distance;
}

KernelDistance kernel_distance(const Tensor& x, const Tensor& y) { return KernelReference(y).distance_of(x); }

}  // namespace genzoo
