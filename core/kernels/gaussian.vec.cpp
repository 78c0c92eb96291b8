// Draws from Gaussians that a network describes, and their divergence from the standard normal. Compiled once for each
// instruction set; see kernels.h.
#include "core/kernels/table.h"
#include "core/kernels/vectors.h"

namespace genzoo::GENZOO_KERNELS {

void draw_gaussian(const float* moments, const float* noise, float* z, float* divergence, int64_t rows, int64_t dims) {
  const Vec half(0.5F), one(1.0F);
  for (int64_t r = 0; r < rows; ++r) {
    const float* means = moments + r * 2 * dims;
    const float* log_variances = means + dims;
    const int64_t at = r * dims;
    by_vectors(dims, [&](int64_t i, int count) {
      const Vec mean = load(means + i, count), log_variance = load(log_variances + i, count);
      const Vec std = (half * log_variance).exp();
      store(at::vec::fmadd(std, load(noise + at + i, count), mean), z + at + i, count);
      store(half * (mean * mean + std * std - one - log_variance), divergence + at + i, count);
    });
  }
}

void draw_gaussian_backward(const float* dz, const float* ddivergence, const float* moments, const float* noise,
                            float* dmoments, int64_t rows, int64_t dims) {
  const Vec half(0.5F), one(1.0F), zero(0.0F);
  for (int64_t r = 0; r < rows; ++r) {
    const float* means = moments + r * 2 * dims;
    const float* log_variances = means + dims;
    float* dmeans = dmoments + r * 2 * dims;
    float* dlog_variances = dmeans + dims;
    const int64_t at = r * dims;
    by_vectors(dims, [&](int64_t i, int count) {
      const Vec up = dz ? load(dz + at + i, count) : zero;
      const Vec cost = ddivergence ? load(ddivergence + at + i, count) : zero;
      const Vec std = (half * load(log_variances + i, count)).exp();
      store(at::vec::fmadd(cost, load(means + i, count), up), dmeans + i, count);
      store(half * at::vec::fmadd(cost, std * std - one, up * std * load(noise + at + i, count)), dlog_variances + i,
            count);
    });
  }
}

}  // namespace genzoo::GENZOO_KERNELS
