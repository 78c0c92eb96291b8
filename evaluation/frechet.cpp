#include "evaluation/frechet.h"

#include <torch/types.h>

#include <stdexcept>

namespace genzoo {
namespace {

// tr (A^1/2 B A^1/2)^1/2 of positive semidefinite A, B. With A = U diag(l) U', the matrix of the root has the
// eigenvalues of diag(l)^1/2 U' B U diag(l)^1/2.
double trace_of_root(const Tensor& a, const Tensor& b) {
  const auto [values, vectors] = at::linalg_eigh(a);
  const Tensor root = vectors * values.clamp_min(0).sqrt();  // (F, F), root root' = A
  const Tensor product = root.t().matmul(b).matmul(root);
  return at::linalg_eigvalsh((product + product.t()) / 2).clamp_min(0).sqrt().sum().item<double>();
}

}  // namespace

double frechet_distance(const GaussianMoments& a, const GaussianMoments& b) {
  if (a.mean.sizes() != b.mean.sizes()) throw std::logic_error("frechet_distance: different numbers of features");
  const double shift = (a.mean - b.mean).square().sum().item<double>();
  const double spread = (a.covariance.trace() + b.covariance.trace()).item<double>();
  return shift + spread - 2 * trace_of_root(a.covariance, b.covariance);
}

}  // namespace genzoo
