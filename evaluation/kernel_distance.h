#pragma once
// The kernel distance between two sets of features: the maximum mean discrepancy with a polynomial kernel (Binkowski et
// al., 2018). Only that of Inception features is called KID.

#include <torch/types.h>

namespace genzoo {

using torch::Tensor;

/// An estimate and the standard deviation it has over draws of both sets.
struct KernelDistance {
  double squared = 0.0;  ///< MMD^2, unbiased: its mean is zero between equal distributions, so it may be negative
  double standard_error = 0.0;  ///< of `squared`
};

/// MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y) with k(x, y) = (x.y / F + 1)^3 (Binkowski et al., 2018, sec. 4), as
/// the U-statistic of all pairs (Gretton et al., 2012, eq. 3), x (M, F) and y (N, F) of any floating type. The usual
/// KID averages subsets of 1,000 instead: the same mean, more noise.
///
/// Standard error: of Hoeffding's decomposition of the variance, with f(z) = E k(x, z) - E k(y, z) and k~ the kernel
/// less its projections,
///
///     4/M Var f(x) + 4/N Var f(y) + 2/(M(M-1)) E k~(x,x')^2 + 2/(N(N-1)) E k~(y,y')^2 + 4/(MN) E k~(x,y)^2,
///
/// each term estimated without bias from sums of the kernel matrices (Sutherland & Deka, 2019, who correct Sutherland
/// et al., 2017) and taken as zero when that comes out negative, as the first two may when the distributions are equal;
/// so there it errs on the large side.
///
/// In double (float32 takes 0.55 to 0.65 of the time, for errors of 1e-7 of the distance and more where features are
/// far from zero), by blocks of 1024 examples a side. Throws UsageError for fewer than 4 examples, RunError for
/// features that are not finite, std::logic_error when the numbers of features differ.
KernelDistance kernel_distance(const Tensor& x, const Tensor& y);

/// The same of one y and many x: what the estimates need of y alone is computed once.
class KernelReference final {
 public:
  explicit KernelReference(const Tensor& y);
  KernelDistance distance_of(const Tensor& x) const;

 private:
  Tensor y_;            ///< (N, F) float64
  double shift_ = 0.0;  ///< taken off the kernel
  Tensor rows_;         ///< (N) sums of k(y_i, y_j) over j other than i
  double squares_ = 0.0;
};

}  // namespace genzoo
