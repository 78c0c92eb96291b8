#pragma once
// Transposes of small blocks of 32-bit words, for files that are compiled once for each instruction set; see kernels.h.
// The file that includes it defines GENZOO_KERNELS.

#include "core/kernels/vectors.h"

namespace genzoo::GENZOO_KERNELS {

constexpr int64_t kTile = 16;  ///< rows and columns of a block, at most

#if defined(CPU_CAPABILITY_AVX512)

/// A whole block. The four quarters of each register are gathered from memory, which leaves two rounds of shuffles
/// where registers of whole rows would need four.
inline void transpose_tile(const float* from, int64_t from_stride, float* to, int64_t to_stride) {
  for (int64_t column = 0; column < kTile; column += 4) {
    __m512 rows[4];  // rows[i]: columns column ... column + 3 of the rows i, i + 4, i + 8, i + 12
    for (int64_t i = 0; i < 4; ++i) {
      const float* at = from + i * from_stride + column;
      rows[i] = _mm512_castps128_ps512(_mm_loadu_ps(at));
      rows[i] = _mm512_insertf32x4(rows[i], _mm_loadu_ps(at + 4 * from_stride), 1);
      rows[i] = _mm512_insertf32x4(rows[i], _mm_loadu_ps(at + 8 * from_stride), 2);
      rows[i] = _mm512_insertf32x4(rows[i], _mm_loadu_ps(at + 12 * from_stride), 3);
    }
    const __m512d low01 = _mm512_castps_pd(_mm512_unpacklo_ps(rows[0], rows[1]));
    const __m512d low23 = _mm512_castps_pd(_mm512_unpacklo_ps(rows[2], rows[3]));
    const __m512d high01 = _mm512_castps_pd(_mm512_unpackhi_ps(rows[0], rows[1]));
    const __m512d high23 = _mm512_castps_pd(_mm512_unpackhi_ps(rows[2], rows[3]));
    float* out = to + column * to_stride;
    _mm512_storeu_ps(out, _mm512_castpd_ps(_mm512_unpacklo_pd(low01, low23)));
    _mm512_storeu_ps(out + to_stride, _mm512_castpd_ps(_mm512_unpackhi_pd(low01, low23)));
    _mm512_storeu_ps(out + 2 * to_stride, _mm512_castpd_ps(_mm512_unpacklo_pd(high01, high23)));
    _mm512_storeu_ps(out + 3 * to_stride, _mm512_castpd_ps(_mm512_unpackhi_pd(high01, high23)));
  }
}

#endif

/// to (columns, rows) = the transpose of from (rows, columns); rows begin so many words apart.
inline void transpose_block(const float* from, int64_t from_stride, float* to, int64_t to_stride, int64_t rows,
                            int64_t columns) {
#if defined(CPU_CAPABILITY_AVX512)
  if (rows == kTile && columns == kTile) {
    transpose_tile(from, from_stride, to, to_stride);
  } else {
    at::vec::transpose_mxn<float>(from, from_stride, to, to_stride, static_cast<int>(rows), static_cast<int>(columns));
  }
#else
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) to[c * to_stride + r] = from[r * from_stride + c];
  }
#endif
}

}  // namespace genzoo::GENZOO_KERNELS
