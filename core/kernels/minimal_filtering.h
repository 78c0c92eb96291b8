#pragma once
// Convolutions of stride 2 by minimal filtering. Winograd (1980), Arithmetic complexity of computations, chapter 5;
// Lavin & Gray (2016). For files that are compiled once for each instruction set; see kernels.h. The file that includes
// it defines GENZOO_KERNELS.
//
// Of the fine image's rows, counted from the padding on, the even ones and the odd ones (parities 0, 1) each make an
// image of half the rows, and so with the columns: on these four images z the 4x4 kernel of stride 2 is a 2x2 kernel g
// of stride 1. Two outputs in a row, y0 = z0 g0 + z1 g1 and y1 = z1 g0 + z2 g1, take three products instead of four:
//
//   m0 = (z0 - z1) g0,  m1 = z1 (g0 + g1),  m2 = (z1 - z2) g1;   y0 = m0 + m1,  y1 = m1 - m2.
//
// In both directions that makes 9 points (i, j) instead of 16 for a tile of 2x2 outputs; there is a matrix for each,
// whose rows are tiles and whose columns are (row parity, column parity, channel). Where the number of outputs is odd,
// the last tile has one, and no m2.
#include <type_traits>

#include "core/kernels/table.h"
#include "core/kernels/transpose.h"
#include "core/kernels/vectors.h"

namespace genzoo::GENZOO_KERNELS {

namespace {

constexpr int64_t kLanes = Vec::size();
constexpr int kPoints = 9;

/// A whole vector, rounded if need be.
inline void put(const Vec& values, float* to) { values.store(to); }
inline void put(const Vec& values, BFloat16* to) {
#if defined(__AVX512BF16__)
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(values)));
#else
  store(values, to, kLanes);
#endif
}
/// low[0], high[0], low[1], high[1], ...
inline void put_pairs(const Vec& low, const Vec& high, BFloat16* to) {
#if defined(__AVX512BF16__)
  const __m512i even = _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(low)));
  const __m512i odd = _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(high)));
  _mm512_storeu_si512(to, _mm512_or_si512(even, _mm512_slli_epi32(odd, 16)));
#else
  store_pairs(low, high, to, kLanes);
#endif
}
inline Vec get(const float* from) { return Vec::loadu(from); }
inline Vec get(const BFloat16* from) { return load(from, kLanes); }

/// Tiles along a side that take part in point i of that side.
inline int64_t tiles(int i, int64_t outputs) { return i == 2 ? outputs / 2 : (outputs + 1) / 2; }

int64_t rows_of(int point, int64_t rows, int64_t columns) { return tiles(point / 3, rows) * tiles(point % 3, columns); }

int64_t depth_of(int64_t fine_channels) { return 4 * fine_channels; }

/// One vector of each tile of each point: of the columns that begin with `column`.
template <class T>
class Points final {
 public:
  Points(const PointRows<std::remove_const_t<T>>& rows, int64_t column, const HalvedImage& image)
      : rows_{image.rows}, columns_{image.columns} {
    for (int p = 0; p < kPoints; ++p) {
      values_[p] = rows.values[p] + column / kBlock * rows.block[p] + column % kBlock;
      width_[p % 3] = tiles(p % 3, image.columns);
    }
  }
  bool has(int i, int64_t ty) const { return ty >= 0 && ty < tiles(i, rows_); }
  bool has(int i, int j, int64_t ty, int64_t tx) const { return has(i, ty) && tx < width_[j]; }
  T* at(int i, int j, int64_t ty, int64_t tx) const { return values_[3 * i + j] + (ty * width_[j] + tx) * kBlock; }
  Vec load(int i, int j, int64_t ty, int64_t tx) const { return get(at(i, j, ty, tx)); }

 private:
  T* values_[kPoints];
  int64_t width_[3], rows_, columns_;
};

/// f(column, parity of rows, parity of columns, channel) for every vector of a patch's columns.
template <class F>
inline void by_parities(int64_t channels, const F& f) {
  for (int parity = 0; parity < 4; ++parity) {
    for (int64_t c = 0; c < channels; c += kLanes) f(parity * channels + c, parity / 2, parity % 2, c);
  }
}

inline Vec leaky(const Vec& z, const Vec& slope) { return Vec::blendv(z * slope, z, z > Vec(0.0F)); }

template <class T>
void from_fine(const T* x, const HalvedImage& image, const PointRows<T>& rows) {
  const int64_t channels = image.fine_channels, width = image.fine_columns;
  by_parities(channels, [&](int64_t column, int a, int b, int64_t c) {
    const Points<T> points(rows, column, image);
    for (int64_t ty = 0; ty < tiles(0, image.rows); ++ty) {
      const T* row[3];  // nullptr: padding
      for (int s = 0; s < 3; ++s) {
        const int64_t r = 4 * ty + 2 * s - 1 + a;
        row[s] = r >= 0 && r < image.fine_rows ? x + r * width * channels + c : nullptr;
      }
      const auto z = [&](int s, int64_t v) {
        const int64_t q = 2 * v - 1 + b;
        return row[s] && q >= 0 && q < width ? get(row[s] + q * channels) : Vec(0.0F);
      };
      Vec first[3] = {z(0, 0), z(1, 0), z(2, 0)};
      for (int64_t tx = 0; tx < tiles(0, image.columns); ++tx) {
        Vec e[3][3];
#pragma GCC unroll 3
        for (int s = 0; s < 3; ++s) {
          const Vec second = z(s, 2 * tx + 1), third = z(s, 2 * tx + 2);
          e[s][0] = first[s] - second;
          e[s][1] = second;
          e[s][2] = second - third;
          first[s] = third;
        }
#pragma GCC unroll 3
        for (int j = 0; j < 3; ++j) {
          if (!points.has(0, j, ty, tx)) continue;
          put(e[0][j] - e[1][j], points.at(0, j, ty, tx));
          put(e[1][j], points.at(1, j, ty, tx));
          if (points.has(2, ty)) put(e[1][j] - e[2][j], points.at(2, j, ty, tx));
        }
      }
    }
  });
}

/// The adjoint of from_fine: z0 is reached by m0 of its tile and -m2 of the one before, z1 by m1 - m0 + m2.
template <class T>
void to_fine(const PointRows<float>& sums, const float* bias, float negative_slope, T* y, const HalvedImage& image) {
  const int64_t channels = image.fine_channels, width = image.fine_columns;
  const Vec slope(negative_slope), zero(0.0F);
  by_parities(channels, [&](int64_t column, int a, int b, int64_t c) {
    const Points<const float> points(sums, column, image);
    const Vec shift = bias ? Vec::loadu(bias + c) : zero;
    for (int64_t u = 0; u <= image.rows; ++u) {
      const int64_t r = 2 * u - 1 + a, ty = u / 2;
      if (r < 0 || r >= image.fine_rows) continue;
      const auto along_rows = [&](int j, int64_t tx) {
        if (tx >= tiles(j, image.columns)) return zero;
        if (u % 2 == 0) {
          const Vec own = points.has(0, ty) ? points.load(0, j, ty, tx) : zero;
          return points.has(2, ty - 1) ? own - points.load(2, j, ty - 1, tx) : own;
        }
        const Vec own = points.load(1, j, ty, tx) - points.load(0, j, ty, tx);
        return points.has(2, ty) ? own + points.load(2, j, ty, tx) : own;
      };
      const auto write = [&](int64_t v, const Vec& value) {
        const int64_t q = 2 * v - 1 + b;
        if (q >= 0 && q < width) put(leaky(value + shift, slope), y + (r * width + q) * channels + c);
      };
      Vec before = zero;  // m2 of the tile before
      for (int64_t tx = 0; 2 * tx <= image.columns; ++tx) {
        const Vec m0 = along_rows(0, tx), m2 = along_rows(2, tx);
        write(2 * tx, m0 - before);
        if (2 * tx + 1 <= image.columns) write(2 * tx + 1, along_rows(1, tx) - m0 + m2);
        before = m2;
      }
    }
  });
}

template <class T>
void to_coarse(const PointRows<float>& sums, const float* bias, float negative_slope, T* y, const HalvedImage& image) {
  const Vec slope(negative_slope), zero(0.0F);
  const int64_t channels = image.channels, width = image.columns;
  for (int64_t c = 0; c < channels; c += kLanes) {
    const Points<const float> points(sums, c, image);
    const Vec shift = bias ? Vec::loadu(bias + c) : zero;
    for (int64_t ty = 0; ty < tiles(0, image.rows); ++ty) {
      for (int64_t tx = 0; tx < tiles(0, image.columns); ++tx) {
        Vec upper[3] = {zero, zero, zero}, lower[3] = {zero, zero, zero};
#pragma GCC unroll 3
        for (int j = 0; j < 3; ++j) {
          if (!points.has(0, j, ty, tx)) continue;
          const Vec m1 = points.load(1, j, ty, tx);
          upper[j] = points.load(0, j, ty, tx) + m1;
          if (points.has(2, ty)) lower[j] = m1 - points.load(2, j, ty, tx);
        }
        T* out = y + (2 * ty * width + 2 * tx) * channels + c;
        const bool two_rows = 2 * ty + 1 < image.rows, two_columns = 2 * tx + 1 < width;
        put(leaky(upper[0] + upper[1] + shift, slope), out);
        if (two_columns) put(leaky(upper[1] - upper[2] + shift, slope), out + channels);
        if (two_rows) put(leaky(lower[0] + lower[1] + shift, slope), out + width * channels);
        if (two_rows && two_columns) put(leaky(lower[1] - lower[2] + shift, slope), out + (width + 1) * channels);
      }
    }
  }
}

/// The adjoint of to_coarse.
template <class T>
void from_coarse(const T* x, const HalvedImage& image, const PointRows<T>& rows) {
  const Vec zero(0.0F);
  const int64_t channels = image.channels, width = image.columns;
  for (int64_t c = 0; c < channels; c += kLanes) {
    const Points<T> points(rows, c, image);
    for (int64_t ty = 0; ty < tiles(0, image.rows); ++ty) {
      for (int64_t tx = 0; tx < tiles(0, image.columns); ++tx) {
        const T* in = x + (2 * ty * width + 2 * tx) * channels + c;
        const bool two_rows = 2 * ty + 1 < image.rows, two_columns = 2 * tx + 1 < width;
        const Vec y00 = get(in), y01 = two_columns ? get(in + channels) : zero;
        const Vec y10 = two_rows ? get(in + width * channels) : zero;
        const Vec y11 = two_rows && two_columns ? get(in + (width + 1) * channels) : zero;
        const Vec upper[3] = {y00, y00 + y01, y01.neg()}, lower[3] = {y10, y10 + y11, y11.neg()};
#pragma GCC unroll 3
        for (int j = 0; j < 3; ++j) {
          if (!points.has(0, j, ty, tx)) continue;
          put(upper[j], points.at(0, j, ty, tx));
          put(upper[j] + lower[j], points.at(1, j, ty, tx));
          if (points.has(2, ty)) put(lower[j].neg(), points.at(2, j, ty, tx));
        }
      }
    }
  }
}

/// The points of a 2x2 kernel: sums g0, g0 + g1, g1 along either side.
inline void points_of(const Vec g[2][2], Vec points[kPoints]) {
  const Vec columns[2][3] = {{g[0][0], g[0][0] + g[0][1], g[0][1]}, {g[1][0], g[1][0] + g[1][1], g[1][1]}};
#pragma GCC unroll 3
  for (int j = 0; j < 3; ++j) {
    points[j] = columns[0][j];
    points[3 + j] = columns[0][j] + columns[1][j];
    points[6 + j] = columns[1][j];
  }
}

/// Stores the points, `stride` apart, of kernels kernel(0), kernel(1) in two rows of the factors' blocks: from column c
/// of the block on whose first of these rows `row` points at.
template <class F>
inline void store_points(const F& kernel, float* row, int64_t c, int64_t stride) {
#pragma GCC unroll 2
  for (int r = 0; r < 2; ++r) {
    Vec g[2][2], points[kPoints];
    kernel(r, g);
    points_of(g, points);
#pragma GCC unroll 9
    for (int p = 0; p < kPoints; ++p) points[p].store(row + p * stride + r * kBlock + c);
  }
}
template <class F>
inline void store_points(const F& kernel, BFloat16* row, int64_t c, int64_t stride) {
  Vec g[2][2][2], points[2][kPoints];
#pragma GCC unroll 2
  for (int r = 0; r < 2; ++r) {
    kernel(r, g[r]);
    points_of(g[r], points[r]);
  }
#pragma GCC unroll 9
  for (int p = 0; p < kPoints; ++p) put_pairs(points[0][p], points[1][p], row + p * stride + 2 * c);
}

/// Where weight (s, t) of the 2x2 kernel of parities a, b stands.
inline int64_t tap(int s, int t, int a, int b, int64_t fine_channels) {
  return ((2 * s + a) * 4 + 2 * t + b) * fine_channels;
}

template <class T>
void weights_to_fine(const float* w, int64_t fine_channels, int64_t channels, T* factors, int64_t first, int64_t last) {
  const int64_t point = channels * 4 * fine_channels;
  for (int64_t column = first * kBlock; column < last * kBlock; column += kLanes) {
    const int64_t parity = column / fine_channels, c = column % fine_channels;
    const int a = static_cast<int>(parity / 2), b = static_cast<int>(parity % 2);
    T* out = factors + column / kBlock * channels * kBlock;
    for (int64_t o = 0; o < channels; o += 2) {
      const auto kernel = [&](int64_t row, Vec g[2][2]) {
        const float* of = w + (o + row) * 16 * fine_channels + c;
#pragma GCC unroll 2
        for (int s = 0; s < 2; ++s) {
#pragma GCC unroll 2
          for (int t = 0; t < 2; ++t) g[s][t] = Vec::loadu(of + tap(s, t, a, b, fine_channels));
        }
      };
      store_points(kernel, out + o * kBlock, column % kBlock, point);
    }
  }
}

template <class T>
void weights_to_coarse(const float* w, int64_t fine_channels, int64_t channels, T* factors, int64_t first,
                       int64_t last) {
  const int64_t depth = 4 * fine_channels, point = channels * depth;
  alignas(64) float turned[2][2][kBlock][kBlock];  // (s, t, fine channel, channel)
  for (int64_t block = first; block < last; ++block) {
    const float* of = w + block * kBlock * 16 * fine_channels;
    for (int64_t column = 0; column < depth; column += kBlock) {
      const int64_t parity = column / fine_channels, c = column % fine_channels;
      const int a = static_cast<int>(parity / 2), b = static_cast<int>(parity % 2);
      for (int s = 0; s < 2; ++s) {
        for (int t = 0; t < 2; ++t) {
          transpose_block(of + tap(s, t, a, b, fine_channels) + c, 16 * fine_channels, &turned[s][t][0][0], kBlock,
                          kBlock, kBlock);
        }
      }
      T* out = factors + (block * depth + column) * kBlock;
      for (int64_t k = 0; k < kBlock; k += 2) {
        for (int64_t o = 0; o < kBlock; o += kLanes) {
          const auto kernel = [&](int64_t row, Vec g[2][2]) {
#pragma GCC unroll 2
            for (int s = 0; s < 2; ++s) {
#pragma GCC unroll 2
              for (int t = 0; t < 2; ++t) g[s][t] = Vec::loadu(&turned[s][t][k + row][o]);
            }
          };
          store_points(kernel, out + k * kBlock, o, point);
        }
      }
    }
  }
}

inline void weight_gradient(const float* factors, int64_t parts, int64_t stride, int64_t fine_channels,
                            int64_t channels, float beta, float* w, int64_t first, int64_t last) {
  const int64_t point = channels * 4 * fine_channels;
  const Vec share(beta);
  for (int64_t column = first * kBlock; column < last * kBlock; column += kLanes) {
    const int64_t parity = column / fine_channels, c = column % fine_channels;
    const int a = static_cast<int>(parity / 2), b = static_cast<int>(parity % 2);
    const float* in = factors + column / kBlock * channels * kBlock + column % kBlock;
    for (int64_t o = 0; o < channels; ++o) {
      Vec m[3][3];
#pragma GCC unroll 9
      for (int p = 0; p < 9; ++p) {
        const float* from = in + p * point + o * kBlock;
        m[p / 3][p % 3] = Vec::loadu(from);
        for (int64_t part = 1; part < parts; ++part) {
          m[p / 3][p % 3] = m[p / 3][p % 3] + Vec::loadu(from + part * stride);
        }
      }
      float* to = w + o * 16 * fine_channels + c;
#pragma GCC unroll 2
      for (int s = 0; s < 2; ++s) {
        const Vec row[3] = {m[s][0] + m[s + 1][0], m[s][1] + m[s + 1][1], m[s][2] + m[s + 1][2]};
#pragma GCC unroll 2
        for (int t = 0; t < 2; ++t) {
          float* at = to + tap(s, t, a, b, fine_channels);
          const Vec gradient = row[t] + row[t + 1];
          (beta == 0 ? gradient : at::vec::fmadd(share, Vec::loadu(at), gradient)).store(at);
        }
      }
    }
  }
}

template <class T>
constexpr LoweredConvolution<T> kByMinimalFiltering = {
    .points = kPoints,
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

}  // namespace genzoo::GENZOO_KERNELS
