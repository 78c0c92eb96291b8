// Activations with the bias before them, and their derivatives. Compiled once for each instruction set; see kernels.h.
#include <ATen/cpu/vec/vec.h>

#include "core/kernels/table.h"

namespace genzoo::GENZOO_KERNELS {

using Vec = at::vec::Vectorized<float>;

namespace {

/// f(i, count) over 0 ... n - 1 in vectors, the last of which may be short.
template <class F>
inline void by_vectors(int64_t n, const F& f) {
  int64_t i = 0;
  for (; i + Vec::size() <= n; i += Vec::size()) f(i, static_cast<int>(Vec::size()));
  if (i < n) f(i, static_cast<int>(n - i));
}

/// The tanh form of GELU and its derivative: z s(2 u) with u = sqrt(2 / pi) (z + 0.044715 z^3) and s the logistic
/// function, which is z / 2 (1 + tanh u). Hendrycks & Gimpel (2016).
struct Gelu {
  Vec value, slope;
};
inline Gelu gelu(Vec z) {
  const Vec c(2 * 0.7978845608028654F), cubic(0.044715F), one(1.0F), three(3.0F);
  const Vec square = z * z;
  const Vec inner = at::vec::fmadd(cubic, square, one);  // 1 + 0.044715 z^2
  const Vec s = one / (one + (z * inner * c).neg().exp_u20());
  const Vec inner_slope = c * at::vec::fmadd(three * cubic, square, one);
  const Vec value = z * s;
  return {value, at::vec::fmadd(value * (one - s), inner_slope, s)};
}

}  // namespace

void bias_relu(float* y, int64_t stride, const float* bias, int64_t rows, int64_t columns) {
  const Vec zero(0.0F);
  for (int64_t r = 0; r < rows; ++r) {
    float* row = y + r * stride;
    by_vectors(columns, [&](int64_t i, int count) {
      at::vec::maximum(Vec::loadu(row + i, count) + Vec::loadu(bias + i, count), zero).store(row + i, count);
    });
  }
}

void bias_gelu(float* z, float* slope, int64_t stride, const float* bias, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r) {
    float* row = z + r * stride;
    by_vectors(columns, [&](int64_t i, int count) {
      Vec x = Vec::loadu(row + i, count);
      if (bias) x = x + Vec::loadu(bias + i, count);
      const Gelu g = gelu(x);
      g.value.store(row + i, count);
      if (slope) g.slope.store(slope + r * stride + i, count);
    });
  }
}

void relu_backward(float* dz, const float* dy, const float* y, float* bias_gradient, int64_t stride, int64_t rows,
                   int64_t columns) {
  const Vec zero(0.0F);
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t at = r * stride;
    by_vectors(columns, [&](int64_t i, int count) {
      const Vec on = Vec::loadu(y + at + i, count) > zero;  // all bits or none
      const Vec d = Vec::loadu(dy + at + i, count) & on;
      d.store(dz + at + i, count);
      if (bias_gradient) (Vec::loadu(bias_gradient + i, count) + d).store(bias_gradient + i, count);
    });
  }
}

void slope_backward(float* dz, const float* dy, const float* slope, float* bias_gradient, int64_t stride, int64_t rows,
                    int64_t columns) {
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t at = r * stride;
    by_vectors(columns, [&](int64_t i, int count) {
      const Vec d = Vec::loadu(dy + at + i, count) * Vec::loadu(slope + at + i, count);
      d.store(dz + at + i, count);
      if (bias_gradient) (Vec::loadu(bias_gradient + i, count) + d).store(bias_gradient + i, count);
    });
  }
}

void add_columns(float* sums, const float* x, int64_t stride, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r) {
    by_vectors(columns, [&](int64_t i, int count) {
      (Vec::loadu(sums + i, count) + Vec::loadu(x + r * stride + i, count)).store(sums + i, count);
    });
  }
}

}  // namespace genzoo::GENZOO_KERNELS
