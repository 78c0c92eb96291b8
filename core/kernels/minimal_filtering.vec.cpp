// Convolutions of stride 2 by minimal filtering. Winograd (1980), Arithmetic complexity of computations, chapter 5;
// Lavin & Gray (2016). Compiled once for each instruction set; see kernels.h.
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
#include "core/kernels/table.h"
#include "core/kernels/vectors.h"

namespace genzoo::GENZOO_KERNELS {

namespace {

constexpr int64_t kLanes = Vec::size();
using Rows = LoweredConvolution::Rows;

/// Tiles along a side that take part in point i of that side.
inline int64_t tiles(int i, int64_t outputs) { return i == 2 ? outputs / 2 : (outputs + 1) / 2; }

int64_t rows_of(int point, int64_t rows, int64_t columns) { return tiles(point / 3, rows) * tiles(point % 3, columns); }

int64_t depth_of(int64_t fine_channels) { return 4 * fine_channels; }

/// One vector of each tile of each point: of the columns that begin with `column`.
class Points final {
 public:
  Points(const Rows& rows, int64_t column, const HalvedImage& image) : rows_{image.rows}, columns_{image.columns} {
    for (int p = 0; p < LoweredConvolution::kPoints; ++p) {
      values_[p] = rows.values[p] + column / kBlock * rows.block[p] + column % kBlock;
      width_[p % 3] = tiles(p % 3, image.columns);
    }
  }
  bool has(int i, int64_t ty) const { return ty >= 0 && ty < tiles(i, rows_); }
  bool has(int i, int j, int64_t ty, int64_t tx) const { return has(i, ty) && tx < width_[j]; }
  float* at(int i, int j, int64_t ty, int64_t tx) const { return values_[3 * i + j] + (ty * width_[j] + tx) * kBlock; }
  Vec load(int i, int j, int64_t ty, int64_t tx) const { return Vec::loadu(at(i, j, ty, tx)); }

 private:
  float* values_[LoweredConvolution::kPoints];
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

void from_fine(const float* x, const HalvedImage& image, const Rows& rows) {
  const int64_t channels = image.fine_channels, width = image.fine_columns;
  by_parities(channels, [&](int64_t column, int a, int b, int64_t c) {
    const Points points(rows, column, image);
    for (int64_t ty = 0; ty < tiles(0, image.rows); ++ty) {
      const float* row[3];  // nullptr: padding
      for (int s = 0; s < 3; ++s) {
        const int64_t r = 4 * ty + 2 * s - 1 + a;
        row[s] = r >= 0 && r < image.fine_rows ? x + r * width * channels + c : nullptr;
      }
      const auto z = [&](int s, int64_t v) {
        const int64_t q = 2 * v - 1 + b;
        return row[s] && q >= 0 && q < width ? Vec::loadu(row[s] + q * channels) : Vec(0.0F);
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
          (e[0][j] - e[1][j]).store(points.at(0, j, ty, tx));
          e[1][j].store(points.at(1, j, ty, tx));
          if (points.has(2, ty)) (e[1][j] - e[2][j]).store(points.at(2, j, ty, tx));
        }
      }
    }
  });
}

/// The adjoint of from_fine: z0 is reached by m0 of its tile and -m2 of the one before, z1 by m1 - m0 + m2.
void to_fine(const Rows& rows, const float* bias, float negative_slope, float* y, const HalvedImage& image) {
  const int64_t channels = image.fine_channels, width = image.fine_columns;
  const Vec slope(negative_slope), zero(0.0F);
  by_parities(channels, [&](int64_t column, int a, int b, int64_t c) {
    const Points points(rows, column, image);
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
        if (q >= 0 && q < width) leaky(value + shift, slope).store(y + (r * width + q) * channels + c);
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

void to_coarse(const Rows& rows, const float* bias, float negative_slope, float* y, const HalvedImage& image) {
  const Vec slope(negative_slope), zero(0.0F);
  const int64_t channels = image.channels, width = image.columns;
  for (int64_t c = 0; c < channels; c += kLanes) {
    const Points points(rows, c, image);
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
        float* out = y + (2 * ty * width + 2 * tx) * channels + c;
        const bool two_rows = 2 * ty + 1 < image.rows, two_columns = 2 * tx + 1 < width;
        leaky(upper[0] + upper[1] + shift, slope).store(out);
        if (two_columns) leaky(upper[1] - upper[2] + shift, slope).store(out + channels);
        if (two_rows) leaky(lower[0] + lower[1] + shift, slope).store(out + width * channels);
        if (two_rows && two_columns) leaky(lower[1] - lower[2] + shift, slope).store(out + (width + 1) * channels);
      }
    }
  }
}

/// The adjoint of to_coarse.
void from_coarse(const float* x, const HalvedImage& image, const Rows& rows) {
  const Vec zero(0.0F);
  const int64_t channels = image.channels, width = image.columns;
  for (int64_t c = 0; c < channels; c += kLanes) {
    const Points points(rows, c, image);
    for (int64_t ty = 0; ty < tiles(0, image.rows); ++ty) {
      for (int64_t tx = 0; tx < tiles(0, image.columns); ++tx) {
        const float* in = x + (2 * ty * width + 2 * tx) * channels + c;
        const bool two_rows = 2 * ty + 1 < image.rows, two_columns = 2 * tx + 1 < width;
        const Vec y00 = Vec::loadu(in), y01 = two_columns ? Vec::loadu(in + channels) : zero;
        const Vec y10 = two_rows ? Vec::loadu(in + width * channels) : zero;
        const Vec y11 = two_rows && two_columns ? Vec::loadu(in + (width + 1) * channels) : zero;
        const Vec upper[3] = {y00, y00 + y01, y01.neg()}, lower[3] = {y10, y10 + y11, y11.neg()};
#pragma GCC unroll 3
        for (int j = 0; j < 3; ++j) {
          if (!points.has(0, j, ty, tx)) continue;
          upper[j].store(points.at(0, j, ty, tx));
          (upper[j] + lower[j]).store(points.at(1, j, ty, tx));
          if (points.has(2, ty)) lower[j].neg().store(points.at(2, j, ty, tx));
        }
      }
    }
  }
}

/// Stores the points of a 2x2 kernel, `stride` apart: sums g0, g0 + g1, g1 along either side.
inline void store_points(const Vec g[2][2], float* out, int64_t stride) {
  const Vec columns[2][3] = {{g[0][0], g[0][0] + g[0][1], g[0][1]}, {g[1][0], g[1][0] + g[1][1], g[1][1]}};
#pragma GCC unroll 3
  for (int j = 0; j < 3; ++j) {
    columns[0][j].store(out + j * stride);
    (columns[0][j] + columns[1][j]).store(out + (3 + j) * stride);
    columns[1][j].store(out + (6 + j) * stride);
  }
}

/// Where weight (s, t) of the 2x2 kernel of parities a, b stands.
inline int64_t tap(int s, int t, int a, int b, int64_t fine_channels) {
  return ((2 * s + a) * 4 + 2 * t + b) * fine_channels;
}

void weights_to_fine(const float* w, int64_t fine_channels, int64_t channels, float* factors, int64_t first,
                     int64_t last) {
  const int64_t point = channels * 4 * fine_channels;
  for (int64_t column = first * kBlock; column < last * kBlock; column += kLanes) {
    const int64_t parity = column / fine_channels, c = column % fine_channels;
    const int a = static_cast<int>(parity / 2), b = static_cast<int>(parity % 2);
    float* out = factors + column / kBlock * channels * kBlock + column % kBlock;
    for (int64_t o = 0; o < channels; ++o) {
      const float* of = w + o * 16 * fine_channels + c;
      Vec g[2][2];
#pragma GCC unroll 2
      for (int s = 0; s < 2; ++s) {
#pragma GCC unroll 2
        for (int t = 0; t < 2; ++t) g[s][t] = Vec::loadu(of + tap(s, t, a, b, fine_channels));
      }
      store_points(g, out + o * kBlock, point);
    }
  }
}

void weights_to_coarse(const float* w, int64_t fine_channels, int64_t channels, float* factors, int64_t first,
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
          const float* from = of + tap(s, t, a, b, fine_channels) + c;
          for (int64_t o = 0; o < kBlock; ++o) {
            for (int64_t k = 0; k < kBlock; ++k) turned[s][t][k][o] = from[o * 16 * fine_channels + k];
          }
        }
      }
      float* out = factors + (block * depth + column) * kBlock;
      for (int64_t k = 0; k < kBlock; ++k) {
        for (int64_t o = 0; o < kBlock; o += kLanes) {
          const Vec g[2][2] = {{Vec::loadu(&turned[0][0][k][o]), Vec::loadu(&turned[0][1][k][o])},
                               {Vec::loadu(&turned[1][0][k][o]), Vec::loadu(&turned[1][1][k][o])}};
          store_points(g, out + k * kBlock + o, point);
        }
      }
    }
  }
}

void weight_gradient(const float* factors, int64_t parts, int64_t stride, int64_t fine_channels, int64_t channels,
                     float beta, float* w, int64_t first, int64_t last) {
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

}  // namespace

extern const LoweredConvolution kMinimalFiltering = {
    .points = 9,
    .rows = rows_of,
    .depth = depth_of,
    .from_fine = from_fine,
    .from_coarse = from_coarse,
    .to_fine = to_fine,
    .to_coarse = to_coarse,
    .weights_to_coarse = weights_to_coarse,
    .weights_to_fine = weights_to_fine,
    .weight_gradient = weight_gradient,
};

}  // namespace genzoo::GENZOO_KERNELS
