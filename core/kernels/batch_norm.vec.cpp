// Batch normalization with the (leaky) ReLU behind it, of rows whose columns are channels. Compiled once for each
// instruction set; see kernels.h.
#include "core/kernels/table.h"
#include "core/kernels/vectors.h"

namespace genzoo::GENZOO_KERNELS {

namespace {

template <class T>
void moments(const T* x, float* mean, float* squares, int64_t rows, int64_t channels) {
  const Vec share(1.0F / static_cast<float>(rows));
  by_vectors(channels, [&](int64_t c, int count) {
    Vec sum(0.0F), deviations(0.0F);
    for (int64_t r = 0; r < rows; ++r) sum = sum + load(x + r * channels + c, count);
    const Vec center = sum * share;
    for (int64_t r = 0; r < rows; ++r) {
      const Vec d = load(x + r * channels + c, count) - center;
      deviations = at::vec::fmadd(d, d, deviations);
    }
    store(center, mean + c, count);
    store(deviations, squares + c, count);
  });
}

inline Vec leaky(const Vec& z, const Vec& slope) { return Vec::blendv(z * slope, z, z > Vec(0.0F)); }

template <class T>
void apply_rows(const T* x, T* y, const ChannelMap& map, int64_t rows, int64_t channels) {
  const Vec slope(map.negative_slope);
  for (int64_t r = 0; r < rows; ++r) {
    by_vectors(channels, [&](int64_t c, int count) {
      const Vec z =
          at::vec::fmadd(load(x + r * channels + c, count), load(map.scale + c, count), load(map.shift + c, count));
      store(leaky(z, slope), y + r * channels + c, count);
    });
  }
}

/// The gradient of z = x scale + shift from that of y = leaky(z).
template <class T>
inline Vec before_leaky(const T* x, const T* dy, const ChannelMap& map, int64_t c, const Vec& slope, int count) {
  const Vec z = at::vec::fmadd(load(x, count), load(map.scale + c, count), load(map.shift + c, count));
  const Vec d = load(dy, count);
  return Vec::blendv(d * slope, d, z > Vec(0.0F));
}

template <class T>
void sums_rows(const T* x, const T* dy, const ChannelMap& map, const float* mean, float* sum, float* product,
               int64_t rows, int64_t channels) {
  const Vec slope(map.negative_slope);
  by_vectors(channels, [&](int64_t c, int count) {
    const Vec center = load(mean + c, count);
    Vec of_d(0.0F), of_product(0.0F);
    for (int64_t r = 0; r < rows; ++r) {
      const T* at = x + r * channels + c;
      const Vec d = before_leaky(at, dy + r * channels + c, map, c, slope, count);
      of_d = of_d + d;
      of_product = at::vec::fmadd(d, load(at, count) - center, of_product);
    }
    store(of_d, sum + c, count);
    store(of_product, product + c, count);
  });
}

template <class T>
void backward_rows(const T* x, const T* dy, T* dx, const ChannelMap& map, const float* factor, const float* offset,
                   int64_t rows, int64_t channels) {
  const Vec slope(map.negative_slope);
  for (int64_t r = 0; r < rows; ++r) {
    by_vectors(channels, [&](int64_t c, int count) {
      const T* at = x + r * channels + c;
      const Vec d = before_leaky(at, dy + r * channels + c, map, c, slope, count);
      const Vec rest = at::vec::fmadd(load(at, count), load(factor + c, count), load(offset + c, count));
      store(at::vec::fmadd(d, load(map.scale + c, count), rest), dx + r * channels + c, count);
    });
  }
}

}  // namespace

void channel_moments(const float* x, float* mean, float* squares, int64_t rows, int64_t channels) {
  moments(x, mean, squares, rows, channels);
}
void channel_moments_16(const BFloat16* x, float* mean, float* squares, int64_t rows, int64_t channels) {
  moments(x, mean, squares, rows, channels);
}
void map_channels(const float* x, float* y, const ChannelMap& map, int64_t rows, int64_t channels) {
  apply_rows(x, y, map, rows, channels);
}
void map_channels_16(const BFloat16* x, BFloat16* y, const ChannelMap& map, int64_t rows, int64_t channels) {
  apply_rows(x, y, map, rows, channels);
}
void channel_gradients(const float* x, const float* dy, const ChannelMap& map, const float* mean, float* sum,
                       float* product, int64_t rows, int64_t channels) {
  sums_rows(x, dy, map, mean, sum, product, rows, channels);
}
void channel_gradients_16(const BFloat16* x, const BFloat16* dy, const ChannelMap& map, const float* mean, float* sum,
                          float* product, int64_t rows, int64_t channels) {
  sums_rows(x, dy, map, mean, sum, product, rows, channels);
}
void map_channels_backward(const float* x, const float* dy, float* dx, const ChannelMap& map, const float* factor,
                           const float* offset, int64_t rows, int64_t channels) {
  backward_rows(x, dy, dx, map, factor, offset, rows, channels);
}
void map_channels_backward_16(const BFloat16* x, const BFloat16* dy, BFloat16* dx, const ChannelMap& map,
                              const float* factor, const float* offset, int64_t rows, int64_t channels) {
  backward_rows(x, dy, dx, map, factor, offset, rows, channels);
}

}  // namespace genzoo::GENZOO_KERNELS
