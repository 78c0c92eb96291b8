#include "evaluation/gaussian.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <cmath>
#include <numbers>
#include <stdexcept>
#include <vector>

#include "core/error.h"

namespace genzoo {
namespace {

constexpr int64_t kRows = 1024;  // at a time: bounds the memory

}  // namespace

GaussianMoments GaussianMoments::of(const Tensor& features) {
  if (features.dim() != 2) throw std::logic_error("GaussianMoments: features are (N, F)");
  const int64_t count = features.size(0), dims = features.size(1);
  if (count < 2) {
    throw UsageError(fmt::format("a covariance needs at least 2 examples, got {}: ask for more samples", count));
  }
  // Two passes: differences from the mean do not cancel as E[x x'] - E[x] E[x'] does.
  Tensor mean = torch::zeros({dims}, torch::kDouble);
  for (const Tensor& rows : features.split(kRows)) mean += rows.to(torch::kCPU, torch::kDouble).sum(/*dim=*/0);
  mean /= static_cast<double>(count);
  Tensor covariance = torch::zeros({dims, dims}, torch::kDouble);
  for (const Tensor& rows : features.split(kRows)) {
    const Tensor centered = rows.to(torch::kCPU, torch::kDouble) - mean;
    covariance.addmm_(centered.t(), centered);
  }
  covariance /= static_cast<double>(count - 1);
  if (!at::isfinite(covariance).all().item<bool>()) {
    throw RunError(
        fmt::format("the {} features of {} examples have numbers that are not finite, so no covariance: "
                    "look at the samples, the model may have diverged",
                    dims, count));
  }
  return {mean, covariance, count};
}

Tensor GaussianMoments::log_density(const Tensor& x) const {
  const auto [factor, failed] = at::linalg_cholesky_ex(covariance);
  if (failed.item<int>() != 0) {
    throw RunError(
        fmt::format("the covariance of {} features from {} examples is not positive definite, so there is "
                    "no density: a feature is constant or a sum of others, or the examples are too few",
                    mean.size(0), count));
  }
  const double log_norm = factor.diagonal().log().sum().item<double>() +
                          0.5 * std::log(2 * std::numbers::pi) * static_cast<double>(mean.size(0));
  std::vector<Tensor> parts;
  for (const Tensor& rows : x.split(kRows)) {
    const Tensor centered = rows.to(torch::kCPU, torch::kDouble) - mean;
    const Tensor white = at::linalg_solve_triangular(factor, centered.t(), /*upper=*/false);  // (F, B)
    parts.push_back(white.square().sum(/*dim=*/0) * -0.5 - log_norm);
  }
  return torch::cat(parts);
}

void require_samples_for_covariance(int64_t count, int64_t features) {
  if (count > features) return;
  throw UsageError(fmt::format(
      "a covariance of {} features needs more than {} samples, got {}: ask for at least {}, or take features "
      "of fewer dimensions",
      features, features, count, features + 1));
}

}  // namespace genzoo
