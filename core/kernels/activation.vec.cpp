// Activations with the bias before them, and their derivatives, on float32 and on bfloat16. Compiled once for each
// instruction set; see kernels.h.
#include "core/kernels/table.h"
#include "core/kernels/vectors.h"

namespace genzoo::GENZOO_KERNELS {

namespace {

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

template <class Y>
void bias_rows(Y* y, int64_t y_stride, const float* z, int64_t z_stride, const float* bias, int64_t rows,
               int64_t columns) {
  for (int64_t r = 0; r < rows; ++r) {
    by_vectors(columns, [&](int64_t i, int count) {
      Vec x = load(z + r * z_stride + i, count);
      if (bias) x = x + load(bias + i, count);
      store(x, y + r * y_stride + i, count);
    });
  }
}

template <class Y>
void relu_rows(Y* y, int64_t y_stride, const float* z, int64_t z_stride, const float* bias, int64_t rows,
               int64_t columns) {
  const Vec zero(0.0F);
  for (int64_t r = 0; r < rows; ++r) {
    by_vectors(columns, [&](int64_t i, int count) {
      Vec x = load(z + r * z_stride + i, count);
      if (bias) x = x + load(bias + i, count);
      store(at::vec::maximum(x, zero), y + r * y_stride + i, count);
    });
  }
}

template <class Y>
void gelu_rows(Y* y, Y* slope, int64_t y_stride, const float* z, int64_t z_stride, const float* bias, int64_t rows,
               int64_t columns) {
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t at = r * y_stride;
    by_vectors(columns, [&](int64_t i, int count) {
      Vec x = load(z + r * z_stride + i, count);
      if (bias) x = x + load(bias + i, count);
      const Gelu g = gelu(x);
      store(g.value, y + at + i, count);
      if (slope) store(g.slope, slope + at + i, count);
    });
  }
}

/// dz = f(dy, kept), and bias_gradient += the sums of its columns.
template <class T, class F>
void backward_rows(T* dz, const T* dy, const T* kept, float* bias_gradient, int64_t stride, int64_t rows,
                   int64_t columns, const F& f) {
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t at = r * stride;
    by_vectors(columns, [&](int64_t i, int count) {
      const Vec d = f(load(dy + at + i, count), load(kept + at + i, count));
      store(d, dz + at + i, count);
      if (bias_gradient) store(load(bias_gradient + i, count) + d, bias_gradient + i, count);
    });
  }
}

/// One channel goes by vectors of rows.
template <class T>
void leaky_backward_rows(T* dz, const T* dy, const T* y, float negative_slope, float* sums, int64_t rows,
                         int64_t channels) {
  const Vec slope(negative_slope), zero(0.0F);
  const auto before = [&](int64_t at, int count) {
    const Vec d = load(dy + at, count);
    const Vec result = Vec::blendv(d * slope, d, load(y + at, count) > zero);
    store(result, dz + at, count);
    return result;
  };
  if (channels == 1) {
    Vec sum(0.0F);
    by_vectors(rows, [&](int64_t r, int count) { sum = sum + first_lanes(before(r, count), count); });
    if (sums) sums[0] += total(sum);
    return;
  }
  for (int64_t r = 0; r < rows; ++r) {
    by_vectors(channels, [&](int64_t c, int count) {
      const Vec d = before(r * channels + c, count);
      if (sums) store(load(sums + c, count) + d, sums + c, count);
    });
  }
}

// Objects, where functions would be called by their address, with vectors in memory.
constexpr auto where_positive = [](const Vec& d, const Vec& y) { return d & (y > Vec(0.0F)); };  // all bits or none
constexpr auto times = [](const Vec& d, const Vec& slope) { return d * slope; };

template <class T>
void column_sums(float* sums, const T* x, BFloat16* rounded, int64_t stride, int64_t rows, int64_t columns) {
  if (columns == 1 && stride == 1 && sums && !rounded) {  // one column goes by vectors of rows
    Vec sum(0.0F);
    by_vectors(rows, [&](int64_t r, int count) { sum = sum + first_lanes(load(x + r, count), count); });
    sums[0] += total(sum);
    return;
  }
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t at = r * stride;
    by_vectors(columns, [&](int64_t i, int count) {
      const Vec v = load(x + at + i, count);
      if (rounded) store(v, rounded + at + i, count);
      if (sums) store(load(sums + i, count) + v, sums + i, count);
    });
  }
}

}  // namespace

void combine(float* y, int64_t y_stride, const float* z, int64_t z_stride, float alpha, float beta, int64_t rows,
             int64_t columns) {
  const Vec of_z(alpha), of_y(beta);
  for (int64_t r = 0; r < rows; ++r) {
    by_vectors(columns, [&](int64_t i, int count) {
      float* at = y + r * y_stride + i;
      const Vec scaled = of_z * load(z + r * z_stride + i, count);
      store(beta == 0 ? scaled : at::vec::fmadd(of_y, load(at, count), scaled), at, count);
    });
  }
}

void bias(float* y, int64_t y_stride, const float* z, int64_t z_stride, const float* bias, int64_t rows,
          int64_t columns) {
  bias_rows(y, y_stride, z, z_stride, bias, rows, columns);
}
void bias_relu(float* y, int64_t y_stride, const float* z, int64_t z_stride, const float* bias, int64_t rows,
               int64_t columns) {
  relu_rows(y, y_stride, z, z_stride, bias, rows, columns);
}
void bias_gelu(float* y, float* slope, int64_t y_stride, const float* z, int64_t z_stride, const float* bias,
               int64_t rows, int64_t columns) {
  gelu_rows(y, slope, y_stride, z, z_stride, bias, rows, columns);
}
void relu_backward(float* dz, const float* dy, const float* y, float* bias_gradient, int64_t stride, int64_t rows,
                   int64_t columns) {
  backward_rows(dz, dy, y, bias_gradient, stride, rows, columns, where_positive);
}
void slope_backward(float* dz, const float* dy, const float* slope, float* bias_gradient, int64_t stride, int64_t rows,
                    int64_t columns) {
  backward_rows(dz, dy, slope, bias_gradient, stride, rows, columns, times);
}
void leaky_backward(float* dz, const float* dy, const float* y, float negative_slope, float* sums, int64_t rows,
                    int64_t channels) {
  leaky_backward_rows(dz, dy, y, negative_slope, sums, rows, channels);
}
void leaky_backward_16(BFloat16* dz, const BFloat16* dy, const BFloat16* y, float negative_slope, float* sums,
                       int64_t rows, int64_t channels) {
  leaky_backward_rows(dz, dy, y, negative_slope, sums, rows, channels);
}

void add_columns(float* sums, const float* x, int64_t stride, int64_t rows, int64_t columns) {
  column_sums(sums, x, /*rounded=*/nullptr, stride, rows, columns);
}

void to_bfloat16(BFloat16* y, const float* x, int64_t n) {
  by_vectors(n, [&](int64_t i, int count) { store(load(x + i, count), y + i, count); });
}
void bias_16(BFloat16* y, int64_t y_stride, const float* z, int64_t z_stride, const float* bias, int64_t rows,
             int64_t columns) {
  bias_rows(y, y_stride, z, z_stride, bias, rows, columns);
}
void bias_relu_16(BFloat16* y, int64_t y_stride, const float* z, int64_t z_stride, const float* bias, int64_t rows,
                  int64_t columns) {
  relu_rows(y, y_stride, z, z_stride, bias, rows, columns);
}
void bias_gelu_16(BFloat16* y, BFloat16* slope, int64_t y_stride, const float* z, int64_t z_stride, const float* bias,
                  int64_t rows, int64_t columns) {
  gelu_rows(y, slope, y_stride, z, z_stride, bias, rows, columns);
}
void relu_backward_16(BFloat16* dz, const BFloat16* dy, const BFloat16* y, float* bias_gradient, int64_t stride,
                      int64_t rows, int64_t columns) {
  backward_rows(dz, dy, y, bias_gradient, stride, rows, columns, where_positive);
}
void slope_backward_16(BFloat16* dz, const BFloat16* dy, const BFloat16* slope, float* bias_gradient, int64_t stride,
                       int64_t rows, int64_t columns) {
  backward_rows(dz, dy, slope, bias_gradient, stride, rows, columns, times);
}
void add_columns_16(float* sums, const BFloat16* x, int64_t stride, int64_t rows, int64_t columns) {
  column_sums(sums, x, /*rounded=*/nullptr, stride, rows, columns);
}
void round_columns_16(BFloat16* y, const float* x, float* sums, int64_t stride, int64_t rows, int64_t columns) {
  column_sums(sums, x, y, stride, rows, columns);
}

}  // namespace genzoo::GENZOO_KERNELS
