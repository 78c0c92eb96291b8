// Products of bfloat16 matrices in blocks of columns with float32 sums, as in blocks.vec.cpp; an instruction takes two
// steps of the depth at once. Compiled once for each instruction set; see kernels.h.
#include <cstring>
#include <utility>

#include "core/kernels/table.h"
#include "core/kernels/vectors.h"

namespace genzoo::GENZOO_KERNELS {

#if defined(__AVX512BF16__)

namespace {

static_assert(kBlock == Vec::size());
constexpr int kRows = 14, kVectors = 2;
constexpr int kTransposedRows = 4, kTransposedVectors = 4;

/// Sums of 16 columns plus the products of a pair on the left with a pair of each column.
inline __m512 add_products(__m512 sums, const BFloat16* left, __m512i right) {
  int32_t pair;
  std::memcpy(&pair, left, sizeof(pair));
  return _mm512_dpbf16_ps(sums, reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair)), reinterpret_cast<__m512bh>(right));
}

/// R rows and V blocks of columns of c = a b; the pointers are at its first row and column.
template <int R, int V>
void multiply_piece(const BFloat16* a, const BFloat16* b, float* c, int64_t rows, int64_t depth) {
  __m512 sums[R][V];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sums[r][v] = _mm512_setzero_ps();
  }
  for (int64_t at = 0; at < depth; at += kBlock, a += rows * kBlock) {
#pragma GCC unroll 2
    for (int k = 0; k < kBlock; k += 2, b += 2 * kBlock) {
      __m512i right[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) right[v] = _mm512_loadu_si512(b + v * depth * kBlock);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sums[r][v] = add_products(sums[r][v], a + r * kBlock + k, right[v]);
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) _mm512_storeu_ps(c + r * kBlock + v * rows * kBlock, sums[r][v]);
  }
}

using Piece = void (*)(const BFloat16*, const BFloat16*, float*, int64_t, int64_t);

template <int V, int... R>
constexpr Piece piece(int64_t rows, std::integer_sequence<int, R...> /*rows - 1*/) {
  constexpr Piece kPieces[] = {multiply_piece<R + 1, V>...};
  return kPieces[rows - 1];
}

/// V blocks of columns of c = a b.
template <int V>
void multiply_columns(const BFloat16* a, const BFloat16* b, float* c, int64_t rows, int64_t depth) {
  const int64_t parts = (rows + kRows - 1) / kRows;
  for (int64_t part = 0; part < parts; ++part) {  // of even heights: the last one would else be a small one
    const int64_t begin = rows * part / parts, end = rows * (part + 1) / parts;
    piece<V>(end - begin, std::make_integer_sequence<int, kRows>())(a + begin * kBlock, b, c + begin * kBlock, rows,
                                                                    depth);
  }
}

/// R rows and V blocks of columns of c (+)= a^T b; c has `rows` rows, a and b have `pairs` pairs of them.
template <int R, int V>
void multiply_transposed_piece(const BFloat16* a, const BFloat16* b, float* c, int64_t rows, int64_t pairs, bool add) {
  __m512 sums[R][V];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      sums[r][v] = add ? _mm512_loadu_ps(c + r * kBlock + v * rows * kBlock) : _mm512_setzero_ps();
    }
  }
  for (int64_t k = 0; k < pairs; ++k) {
    __m512i right[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) right[v] = _mm512_loadu_si512(b + (v * pairs + k) * 2 * kBlock);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sums[r][v] = add_products(sums[r][v], a + 2 * (k * kBlock + r), right[v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) _mm512_storeu_ps(c + r * kBlock + v * rows * kBlock, sums[r][v]);
  }
}

template <int R, int V>
void multiply_transposed_columns(const BFloat16* a, const BFloat16* b, float* c, int64_t rows, int64_t pairs,
                                 bool add) {
  static_assert(kBlock % R == 0);
  for (int64_t r = 0; r < rows; r += R) {
    multiply_transposed_piece<R, V>(a + 2 * (r / kBlock * pairs * kBlock + r % kBlock), b, c + r * kBlock, rows, pairs,
                                    add);
  }
}

}  // namespace

bool has_block_products_16() { return __builtin_cpu_supports("avx512bf16"); }

void multiply_blocks_16(const BFloat16* a, const BFloat16* b, float* c, int64_t rows, int64_t depth, int64_t columns) {
  constexpr int64_t kWide = kVectors * kBlock;
  int64_t column = 0;
  for (; column + kWide <= columns; column += kWide) {
    multiply_columns<kVectors>(a, b + column * depth, c + column * rows, rows, depth);
  }
  for (; column < columns; column += kBlock) {
    multiply_columns<1>(a, b + column * depth, c + column * rows, rows, depth);
  }
}

void multiply_transposed_blocks_16(const BFloat16* a, const BFloat16* b, float* c, int64_t rows, int64_t depth,
                                   int64_t columns, bool add) {
  constexpr int64_t kWide = kTransposedVectors * kBlock;
  const int64_t pairs = (depth + 1) / 2;
  int64_t column = 0;
  for (; column + kWide <= columns; column += kWide) {
    multiply_transposed_columns<kTransposedRows, kTransposedVectors>(a, b + column * 2 * pairs, c + column * rows, rows,
                                                                     pairs, add);
  }
  for (; column < columns; column += kBlock) {
    multiply_transposed_columns<kBlock, 1>(a, b + column * 2 * pairs, c + column * rows, rows, pairs, add);
  }
}

#else

namespace {

inline float value(const BFloat16& x) {
  const uint32_t bits = static_cast<uint32_t>(x.x) << 16;
  float result;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}

}  // namespace

bool has_block_products_16() { return false; }

void multiply_blocks_16(const BFloat16* a, const BFloat16* b, float* c, int64_t rows, int64_t depth, int64_t columns) {
  for (int64_t i = 0; i < columns; ++i) {
    const BFloat16* right = b + i / kBlock * depth * kBlock + 2 * (i % kBlock);
    for (int64_t r = 0; r < rows; ++r) {
      float sum = 0;
      for (int64_t k = 0; k < depth; ++k) {
        sum += value(a[(k / kBlock * rows + r) * kBlock + k % kBlock]) * value(right[k / 2 * 2 * kBlock + k % 2]);
      }
      c[(i / kBlock * rows + r) * kBlock + i % kBlock] = sum;
    }
  }
}

void multiply_transposed_blocks_16(const BFloat16* a, const BFloat16* b, float* c, int64_t rows, int64_t depth,
                                   int64_t columns, bool add) {
  const int64_t pairs = (depth + 1) / 2;
  const auto at = [&](const BFloat16* matrix, int64_t k, int64_t i) {
    return value(matrix[2 * ((i / kBlock * pairs + k / 2) * kBlock + i % kBlock) + k % 2]);
  };
  for (int64_t i = 0; i < columns; ++i) {
    for (int64_t r = 0; r < rows; ++r) {
      float& result = c[(i / kBlock * rows + r) * kBlock + i % kBlock];
      float sum = add ? result : 0;
      for (int64_t k = 0; k < depth; ++k) sum += at(a, k, r) * at(b, k, i);
      result = sum;
    }
  }
}

#endif

void pair_rows_16(const BFloat16* x, int64_t rows, int64_t columns, BFloat16* out) {
  for (int64_t column = 0; column < columns; column += kBlock) {
    for (int64_t r = 0; r < rows; r += 2, x += 2 * kBlock, out += 2 * kBlock) {
      const bool whole = r + 1 < rows;
#if defined(CPU_CAPABILITY_AVX512)
      const auto bits = [](const BFloat16* row) {
        return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(row)));
      };
      const __m512i odd = whole ? bits(x + kBlock) : _mm512_setzero_si512();
      _mm512_storeu_si512(out, _mm512_or_si512(bits(x), _mm512_slli_epi32(odd, 16)));
#else
      for (int64_t i = 0; i < kBlock; ++i) {
        out[2 * i].x = x[i].x;
        out[2 * i + 1].x = whole ? x[kBlock + i].x : 0;
      }
#endif
    }
    if (rows % 2 == 1) x -= kBlock;
  }
}

}  // namespace genzoo::GENZOO_KERNELS
