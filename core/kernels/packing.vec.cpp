// Matrices in the order in which the instructions of products read them. Compiled once for each instruction set; see
// kernels.h.
#include "core/kernels/table.h"
#include "core/kernels/transpose.h"
#include "core/kernels/vectors.h"

namespace genzoo::GENZOO_KERNELS {

namespace {

/// even[0], odd[0], even[1], odd[1], ...: 2 `count` values.
template <class W>
inline void interleave(const W* even, const W* odd, BFloat16* to, int count) {
  store_pairs(load(even, count), load(odd, count), to, count);
}

#if defined(CPU_CAPABILITY_AVX512)

/// Of what is rounded already the bits will do.
inline void interleave(const BFloat16* even, const BFloat16* odd, BFloat16* to, int count) {
  const __mmask16 lanes = static_cast<__mmask16>((1U << count) - 1);
  const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, even));
  const __m512i high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, odd));
  _mm512_mask_storeu_epi32(to, lanes, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}

#endif

template <class W>
void pack_rows(const W* w, int64_t stride, int64_t k, int64_t n, BFloat16* out) {
  for (int64_t r = 0; r + 1 < k; r += 2) {
    const W *even = w + r * stride, *odd = even + stride;
    by_vectors(n, [&](int64_t i, int count) { interleave(even + i, odd + i, out + r * n + 2 * i, count); });
  }
}

#if defined(CPU_CAPABILITY_AVX512)

// Two values of bfloat16 are one word, and words are transposed.

inline void round_row(const float* from, BFloat16* to, int64_t n) {
  by_vectors(n, [&](int64_t j, int count) { store(load(from + j, count), to + j, count); });
}
inline void round_row(const BFloat16* from, BFloat16* to, int64_t n) {
  std::memcpy(to, from, static_cast<size_t>(n) * sizeof(BFloat16));
}

template <class W>
void pack_transposed(const W* w, int64_t stride, int64_t n, int64_t k, BFloat16* out) {
  const int64_t pairs = k / 2;
  alignas(64) float words[kTile * kTile];
  for (int64_t r = 0; r < n; r += kTile) {
    const int64_t rows = n - r < kTile ? n - r : kTile;
    for (int64_t c = 0; c < pairs; c += kTile) {  // along rows, so that they are fetched ahead
      const int64_t columns = pairs - c < kTile ? pairs - c : kTile;
      for (int64_t i = 0; i < rows; ++i) {
        round_row(w + (r + i) * stride + 2 * c, reinterpret_cast<BFloat16*>(words + i * kTile), 2 * columns);
      }
      transpose_block(words, kTile, reinterpret_cast<float*>(out) + c * n + r, n, rows, columns);
    }
  }
}

#else

template <class W>
void pack_transposed(const W* w, int64_t stride, int64_t n, int64_t k, BFloat16* out) {
  for (int64_t c = 0; c + 1 < k; c += 2) {
    for (int64_t r = 0; r < n; ++r) {
      store(load(w + r * stride + c, 1), out + c * n + 2 * r, 1);
      store(load(w + r * stride + c + 1, 1), out + c * n + 2 * r + 1, 1);
    }
  }
}

#endif

}  // namespace

void pack_rows_16(const float* w, int64_t stride, int64_t k, int64_t n, BFloat16* out) {
  pack_rows(w, stride, k, n, out);
}
void repack_rows_16(const BFloat16* w, int64_t stride, int64_t k, int64_t n, BFloat16* out) {
  pack_rows(w, stride, k, n, out);
}
void pack_transposed_16(const float* w, int64_t stride, int64_t n, int64_t k, BFloat16* out) {
  pack_transposed(w, stride, n, k, out);
}
void repack_transposed_16(const BFloat16* w, int64_t stride, int64_t n, int64_t k, BFloat16* out) {
  pack_transposed(w, stride, n, k, out);
}

void transpose_16(const BFloat16* w, int64_t stride, int64_t k, int64_t m, BFloat16* out) {
#if defined(CPU_CAPABILITY_AVX512)
  const int64_t pairs = k / 2;
  alignas(64) float words[kTile * kTile];
  for (int64_t r = 0; r < pairs; r += kTile) {
    const int64_t rows = pairs - r < kTile ? pairs - r : kTile;
    for (int64_t c = 0; c < m; c += kTile) {  // along rows, so that they are fetched ahead
      const int64_t columns = m - c < kTile ? m - c : kTile;
      for (int64_t i = 0; i < rows; ++i) {
        const BFloat16* even = w + 2 * (r + i) * stride + c;
        interleave(even, even + stride, reinterpret_cast<BFloat16*>(words + i * kTile), static_cast<int>(columns));
      }
      transpose_block(words, kTile, reinterpret_cast<float*>(out + c * k) + r, pairs, rows, columns);
    }
  }
#else
  for (int64_t r = 0; r < k; ++r) {
    for (int64_t c = 0; c < m; ++c) out[c * k + r] = w[r * stride + c];
  }
#endif
}

void transpose(const float* w, int64_t stride, int64_t rows, int64_t columns, float* out) {
  constexpr int64_t kStrip = 4 * kTile;  // columns at a time: few pages of `out`, and whole cache lines of w
  for (int64_t strip = 0; strip < columns; strip += kStrip) {
    const int64_t end = strip + kStrip < columns ? strip + kStrip : columns;
    for (int64_t r = 0; r < rows; r += kTile) {
      for (int64_t c = strip; c < end; c += kTile) {
        transpose_block(w + r * stride + c, stride, out + c * rows + r, rows, rows - r < kTile ? rows - r : kTile,
                        end - c < kTile ? end - c : kTile);
      }
    }
  }
}

}  // namespace genzoo::GENZOO_KERNELS
