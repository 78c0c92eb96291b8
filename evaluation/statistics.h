#pragma once
// Is a difference more than chance? Tests over a few training seeds.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace genzoo {

/// The regularized incomplete beta function I_x(a, b), for a, b > 0 and x in [0, 1]: the continued fraction of DLMF
/// 8.17.22, summed by Lentz's method. Throws std::invalid_argument outside of that.
double incomplete_beta(double a, double b, double x);

/// P(|T| >= |t|) of Student's t with so many degrees of freedom (not necessarily a whole number).
double two_sided_p(double t, double degrees_of_freedom);

/// What a t-test says of two sets of numbers.
struct TTest {
  double t = 0.0;  ///< positive when the first mean is larger
  double degrees_of_freedom = 0.0;
  double p = 1.0;  ///< two-sided
};

/// Welch's (1947) t-test of equal means, the variances unknown and not assumed equal, with Satterthwaite's (1946)
/// degrees of freedom. Nothing where there is no test: fewer than two numbers in a set, a number that is not finite, or
/// no spread in either set (beyond rounding): then nothing is known of chance, and a p of 0 or 1 would be made up.
std::optional<TTest> welch_test(std::span<const double> a, std::span<const double> b);

/// Hedges' (1981) g: the difference of the means in standard deviations (pooled), with the exact factor that takes the
/// bias off small samples. Nothing where welch_test gives nothing.
std::optional<double> hedges_g(std::span<const double> a, std::span<const double> b);

/// Holm's (1979) step-down correction of the p of tests made together: below `level` for any of those where nothing is
/// different with probability at most `level`. In the order given.
std::vector<double> holm_correction(std::span<const double> p);

}  // namespace genzoo
