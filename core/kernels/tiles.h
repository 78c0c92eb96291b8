#pragma once
// Products of small matrices that are in cache, tile by tile: the sums of a tile stay in registers. For files that are
// compiled once for each instruction set; see kernels.h. The file that includes it defines GENZOO_KERNELS.

#include <utility>

#include "core/kernels/vectors.h"

namespace genzoo::GENZOO_KERNELS {

// With the factors of one step they fill the registers: 24 sums of 32, or 12 of 16.
constexpr int kTileRows = 6;
#if defined(CPU_CAPABILITY_AVX512)
constexpr int kTileVectors = 4;
#else
constexpr int kTileVectors = 2;
#endif

/// Where the elements of a left factor are: (i, k) at i * stride + k, of a transposed one at k * stride + i.
enum class Left { plain, transposed };

/// c (rows, vectors), rows `c_stride` apart, = or += a (rows, depth) times b (depth, vectors).
template <int rows, int vectors, Left left>
void tile(const float* a, int64_t a_stride, const float* b, int64_t b_stride, int64_t depth, float* c, int64_t c_stride,
          bool add) {
  Vec sums[rows][vectors];
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < vectors; ++j) {
      sums[i][j] = add ? Vec::loadu(c + i * c_stride + j * Vec::size()) : Vec(0.0F);
    }
  }
  for (int64_t k = 0; k < depth; ++k) {
    Vec row[vectors];
#pragma GCC unroll 8
    for (int j = 0; j < vectors; ++j) row[j] = Vec::loadu(b + k * b_stride + j * Vec::size());
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
      const Vec factor(left == Left::plain ? a[i * a_stride + k] : a[k * a_stride + i]);
#pragma GCC unroll 8
      for (int j = 0; j < vectors; ++j) sums[i][j] = at::vec::fmadd(factor, row[j], sums[i][j]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < vectors; ++j) sums[i][j].store(c + i * c_stride + j * Vec::size());
  }
}

using Tile = void (*)(const float* a, int64_t a_stride, const float* b, int64_t b_stride, int64_t depth, float* c,
                      int64_t c_stride, bool add);

template <Left left, class Sizes>
struct Tiles;
template <Left left, int... n>
struct Tiles<left, std::integer_sequence<int, n...>> {
  static constexpr Tile kAll[] = {tile<n / kTileVectors + 1, n % kTileVectors + 1, left>...};
};

/// c = or += a b as above, of any size. Whoever cuts the rows at multiples of kTileRows gets the same bits.
template <Left left>
inline void multiply(const float* a, int64_t a_stride, const float* b, int64_t b_stride, int64_t depth, float* c,
                     int64_t c_stride, int64_t rows, int64_t vectors, bool add) {
  using All = Tiles<left, std::make_integer_sequence<int, kTileRows * kTileVectors>>;
  for (int64_t j = 0; j < vectors; j += kTileVectors) {
    const int64_t width = vectors - j < kTileVectors ? vectors - j : kTileVectors;
    for (int64_t i = 0; i < rows; i += kTileRows) {
      const int64_t height = rows - i < kTileRows ? rows - i : kTileRows;
      All::kAll[(height - 1) * kTileVectors + width - 1](a + (left == Left::plain ? i * a_stride : i), a_stride,
                                                         b + j * Vec::size(), b_stride, depth,
                                                         c + i * c_stride + j * Vec::size(), c_stride, add);
    }
  }
}

}  // namespace genzoo::GENZOO_KERNELS
