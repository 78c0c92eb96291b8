// Convolutions of stride 2 of images with few channels, by gathering patches (rows are outputs, columns the 4x4 pixels
// of a patch and their channels), as one product. Chellapilla et al. (2006). Compiled once for each instruction set;
// see kernels.h.
#include <cstring>
#include <type_traits>

#include "core/kernels/table.h"
#include "core/kernels/vectors.h"

namespace genzoo::GENZOO_KERNELS {

namespace {

constexpr int64_t kMostChannels = kBlock;

int64_t rows_of(int /*point*/, int64_t rows, int64_t columns) { return rows * columns; }

int64_t depth_of(int64_t fine_channels) { return 16 * fine_channels; }

inline Vec leaky(const Vec& z, const Vec& slope) { return Vec::blendv(z * slope, z, z > Vec(0.0F)); }

inline void put(float value, float* to) { *to = value; }
inline void put(float value, BFloat16* to) { store(Vec(value), to, 1); }

/// For the channel numbers that images have the loops below are compiled with a constant: f(channels).
template <class F>
inline void with_channels(int64_t channels, const F& f) {
  if (channels == 1) {
    f(std::integral_constant<int64_t, 1>());
  } else if (channels == 3) {
    f(std::integral_constant<int64_t, 3>());
  } else {
    f(channels);
  }
}

template <class T>
void from_fine(const T* x, const HalvedImage& image, const PointRows<T>& rows) {
  with_channels(image.fine_channels, [&](auto channels) {
    alignas(64) T patch[16 * kMostChannels];
    for (int64_t u = 0; u < image.rows; ++u) {
      for (int64_t v = 0; v < image.columns; ++v) {
        const bool inside = v > 0 && 2 * v + 2 < image.fine_columns;
        for (int64_t i = 0; i < 4; ++i) {
          const int64_t r = 2 * u - 1 + i;
          T* to = patch + i * 4 * channels;
          const T* from = x + (r * image.fine_columns + 2 * v - 1) * channels;
          const bool has_row = r >= 0 && r < image.fine_rows;
          if (has_row && inside) {
            for (int64_t k = 0; k < 4 * channels; ++k) to[k] = from[k];
          } else {
            for (int64_t k = 0; k < 4 * channels; ++k) {
              const int64_t q = 2 * v - 1 + k / channels;
              to[k] = has_row && q >= 0 && q < image.fine_columns ? from[k] : T();
            }
          }
        }
        T* out = rows.values[0] + (u * image.columns + v) * kBlock;
        for (int64_t block = 0; block < channels; ++block) {
          for (int64_t k = 0; k < kBlock; ++k) out[block * rows.block[0] + k] = patch[block * kBlock + k];
        }
      }
    }
  });
}

/// The adjoint of from_fine: each pixel is part of up to four patches.
template <class T>
void to_fine(const PointRows<float>& sums, const float* bias, float negative_slope, T* y, const HalvedImage& image) {
  with_channels(image.fine_channels, [&](auto channels) {
    const auto value = [&](int64_t u, int64_t v, int64_t i, int64_t j, int64_t c) {
      if (u < 0 || u >= image.rows || v < 0 || v >= image.columns) return 0.0F;
      const int64_t column = (4 * i + j) * channels + c;
      return sums.values[0][column / kBlock * sums.block[0] + (u * image.columns + v) * kBlock + column % kBlock];
    };
    for (int64_t r = 0; r < image.fine_rows; ++r) {
      const int64_t u = (r + 1) / 2, a = (r + 1) % 2;
      for (int64_t q = 0; q < image.fine_columns; ++q) {
        const int64_t v = (q + 1) / 2, b = (q + 1) % 2;
        for (int64_t c = 0; c < channels; ++c) {
          const float upper = value(u, v, a, b, c) + value(u, v - 1, a, 2 + b, c);
          const float lower = value(u - 1, v, 2 + a, b, c) + value(u - 1, v - 1, 2 + a, 2 + b, c);
          const float z = upper + lower + (bias ? bias[c] : 0);
          put(z > 0 ? z : z * negative_slope, y + (r * image.fine_columns + q) * channels + c);
        }
      }
    }
  });
}

template <class T>
void to_coarse(const PointRows<float>& sums, const float* bias, float negative_slope, T* y, const HalvedImage& image) {
  const Vec slope(negative_slope);
  for (int64_t place = 0; place < image.rows * image.columns; ++place) {
    for (int64_t c = 0; c < image.channels; c += Vec::size()) {
      Vec z = Vec::loadu(sums.values[0] + c / kBlock * sums.block[0] + place * kBlock + c % kBlock);
      if (bias) z = z + Vec::loadu(bias + c);
      store(leaky(z, slope), y + place * image.channels + c, Vec::size());
    }
  }
}

template <class T>
void from_coarse(const T* x, const HalvedImage& image, const PointRows<T>& rows) {
  for (int64_t place = 0; place < image.rows * image.columns; ++place) {
    for (int64_t c = 0; c < image.channels; c += kBlock) {
      std::memcpy(rows.values[0] + c / kBlock * rows.block[0] + place * kBlock, x + place * image.channels + c,
                  kBlock * sizeof(T));
    }
  }
}

/// Where element (k, o) of a block of factors stands.
template <class T>
constexpr int64_t element(int64_t k, int64_t o) {
  return std::is_same_v<T, float> ? k * kBlock + o : k / 2 * 2 * kBlock + 2 * o + k % 2;
}

template <class T>
void weights_to_coarse(const float* w, int64_t fine_channels, int64_t /*channels*/, T* factors, int64_t first,
                       int64_t last) {
  const int64_t depth = 16 * fine_channels;
  for (int64_t block = first; block < last; ++block) {
    for (int64_t k = 0; k < depth; ++k) {
      for (int64_t o = 0; o < kBlock; ++o) {
        put(w[(block * kBlock + o) * depth + k], factors + block * depth * kBlock + element<T>(k, o));
      }
    }
  }
}

template <class T>
void weights_to_fine(const float* w, int64_t fine_channels, int64_t channels, T* factors, int64_t first, int64_t last) {
  for (int64_t block = first; block < last; ++block) {
    for (int64_t o = 0; o < channels; ++o) {
      const float* from = w + o * 16 * fine_channels + block * kBlock;
      for (int64_t k = 0; k < kBlock; ++k) {
        put(from[k], factors + block * channels * kBlock + element<T>(o, k));
      }
    }
  }
}

void weight_gradient(const float* factors, int64_t parts, int64_t stride, int64_t fine_channels, int64_t channels,
                     float beta, float* w, int64_t first, int64_t last) {
  for (int64_t block = first; block < last; ++block) {
    for (int64_t o = 0; o < channels; ++o) {
      float* to = w + o * 16 * fine_channels + block * kBlock;
      for (int64_t k = 0; k < kBlock; ++k) {
        float sum = 0;
        for (int64_t part = 0; part < parts; ++part) {
          sum += factors[part * stride + (block * channels + o) * kBlock + k];
        }
        to[k] = beta == 0 ? sum : beta * to[k] + sum;
      }
    }
  }
}

template <class T>
constexpr LoweredConvolution<T> kByPatches = {
    .points = 1,
    .rows = rows_of,
    .depth = depth_of,
    .from_fine = from_fine<T>,
    .from_coarse = from_coarse<T>,
    .to_fine = to_fine<T>,
    .to_coarse = to_coarse<T>,
    .weights_to_coarse = weights_to_coarse<T>,
    .weights_to_fine = weights_to_fine<T>,
    .weight_gradient = weight_gradient,
};

}  // namespace

extern const LoweredConvolution<float> kPatches = kByPatches<float>;
extern const LoweredConvolution<BFloat16> kPatches16 = kByPatches<BFloat16>;

}  // namespace genzoo::GENZOO_KERNELS
