// Matrices in the order in which the instructions of products read them. Compiled once for each instruction set; see
// kernels.h.
#include "core/kernels/table.h"
#include "core/kernels/vectors.h"

namespace genzoo::GENZOO_KERNELS {

void pack_rows_16(const float* w, int64_t stride, int64_t k, int64_t n, BFloat16* out) {
  for (int64_t r = 0; r + 1 < k; r += 2) {
    const float *even = w + r * stride, *odd = even + stride;
    by_vectors(n, [&](int64_t i, int count) {
      store_pairs(load(even + i, count), load(odd + i, count), out + r * n + 2 * i, count);
    });
  }
}

#if defined(CPU_CAPABILITY_AVX512)

void pack_transposed_16(const float* w, int64_t stride, int64_t n, int64_t k, BFloat16* out) {
  // Two values of a row are one word, and words are transposed.
  constexpr int64_t kTile = Vec::size();
  const int64_t pairs = k / 2;
  alignas(64) float words[kTile * kTile];
  for (int64_t r = 0; r < n; r += kTile) {
    const int64_t rows = n - r < kTile ? n - r : kTile;
    for (int64_t c = 0; c < pairs; c += kTile) {  // along rows, so that they are fetched ahead
      const int64_t columns = pairs - c < kTile ? pairs - c : kTile;
      for (int64_t i = 0; i < rows; ++i) {
        auto* row = reinterpret_cast<BFloat16*>(words + i * kTile);
        const float* from = w + (r + i) * stride + 2 * c;
        by_vectors(2 * columns, [&](int64_t j, int count) { store(load(from + j, count), row + j, count); });
      }
      at::vec::transpose_mxn<float>(words, kTile, reinterpret_cast<float*>(out) + c * n + r, n, static_cast<int>(rows),
                                    static_cast<int>(columns));
    }
  }
}

#else

void pack_transposed_16(const float* w, int64_t stride, int64_t n, int64_t k, BFloat16* out) {
  for (int64_t c = 0; c + 1 < k; c += 2) {
    for (int64_t r = 0; r < n; ++r) {
      store(Vec(w[r * stride + c]), out + c * n + 2 * r, 1);
      store(Vec(w[r * stride + c + 1]), out + c * n + 2 * r + 1, 1);
    }
  }
}

#endif

}  // namespace genzoo::GENZOO_KERNELS
