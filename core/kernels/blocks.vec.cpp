// Products of float32 matrices in blocks of columns, by outer products in registers: a piece of c is held in them while
// the depth runs, so that each vector loaded of b serves several rows. Goto & van de Geijn (2008), section 6. Compiled
// once for each instruction set; see kernels.h.
#include <algorithm>
#include <utility>

#include "core/kernels/table.h"
#include "core/kernels/vectors.h"

namespace genzoo::GENZOO_KERNELS {

namespace {

constexpr int kLanes = static_cast<int>(Vec::size());

// Sums held at once: as many registers as there are, less those of the factors.
#if defined(CPU_CAPABILITY_AVX512)
constexpr int kRows = 14, kVectors = 2;
constexpr int kTransposedRows = 4, kTransposedVectors = 4;
#else
constexpr int kRows = 6, kVectors = std::max(2, static_cast<int>(kBlock) / kLanes);
constexpr int kTransposedRows = 4, kTransposedVectors = kVectors;
#endif
static_assert(kVectors * kLanes % kBlock == 0 && kTransposedVectors * kLanes % kBlock == 0);

/// Where vector v of a row stands in a matrix whose blocks are `block` apart.
inline int64_t place(int v, int64_t block) { return v * kLanes / kBlock * block + v * kLanes % kBlock; }

/// R rows and V vectors of c = a b; the pointers are at its first row and column.
template <int R, int V>
void multiply_piece(const float* a, const float* b, float* c, int64_t rows, int64_t depth) {
  Vec sums[R][V];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sums[r][v] = Vec(0.0F);
  }
  for (int64_t at = 0; at < depth; at += kBlock, a += rows * kBlock) {
#pragma GCC unroll 2
    for (int k = 0; k < kBlock; ++k, b += kBlock) {
      Vec right[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) right[v] = Vec::loadu(b + place(v, depth * kBlock));
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const Vec left(a[r * kBlock + k]);
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sums[r][v] = at::vec::fmadd(left, right[v], sums[r][v]);
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sums[r][v].store(c + r * kBlock + place(v, rows * kBlock));
  }
}

using Piece = void (*)(const float*, const float*, float*, int64_t, int64_t);

template <int V, int... R>
constexpr Piece piece(int64_t rows, std::integer_sequence<int, R...> /*rows - 1*/) {
  constexpr Piece kPieces[] = {multiply_piece<R + 1, V>...};
  return kPieces[rows - 1];
}

/// V vectors' columns of c = a b.
template <int V>
void multiply_columns(const float* a, const float* b, float* c, int64_t rows, int64_t depth) {
  const int64_t parts = (rows + kRows - 1) / kRows;
  for (int64_t part = 0; part < parts; ++part) {  // of even heights: the last one would else be a small one
    const int64_t begin = rows * part / parts, end = rows * (part + 1) / parts;
    piece<V>(end - begin, std::make_integer_sequence<int, kRows>())(a + begin * kBlock, b, c + begin * kBlock, rows,
                                                                    depth);
  }
}

/// R rows and V vectors of c (+)= a^T b; c has `rows` rows.
template <int R, int V>
void multiply_transposed_piece(const float* a, const float* b, float* c, int64_t rows, int64_t depth, bool add) {
  Vec sums[R][V];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      sums[r][v] = add ? Vec::loadu(c + r * kBlock + place(v, rows * kBlock)) : Vec(0.0F);
    }
  }
  for (int64_t k = 0; k < depth; ++k) {
    Vec right[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) right[v] = Vec::loadu(b + k * kBlock + place(v, depth * kBlock));
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const Vec left(a[k * kBlock + r]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sums[r][v] = at::vec::fmadd(left, right[v], sums[r][v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sums[r][v].store(c + r * kBlock + place(v, rows * kBlock));
  }
}

template <int R, int V>
void multiply_transposed_columns(const float* a, const float* b, float* c, int64_t rows, int64_t depth, bool add) {
  static_assert(kBlock % R == 0);
  for (int64_t r = 0; r < rows; r += R) {
    multiply_transposed_piece<R, V>(a + r / kBlock * depth * kBlock + r % kBlock, b, c + r * kBlock, rows, depth, add);
  }
}

}  // namespace

void multiply_blocks(const float* a, const float* b, float* c, int64_t rows, int64_t depth, int64_t columns) {
  constexpr int kWide = kVectors * kLanes, kOneBlock = kBlock / kLanes;
  int64_t column = 0;
  for (; column + kWide <= columns; column += kWide) {
    multiply_columns<kVectors>(a, b + column * depth, c + column * rows, rows, depth);
  }
  for (; column < columns; column += kBlock) {
    multiply_columns<kOneBlock>(a, b + column * depth, c + column * rows, rows, depth);
  }
}

void multiply_transposed_blocks(const float* a, const float* b, float* c, int64_t rows, int64_t depth, int64_t columns,
                                bool add) {
  constexpr int kWide = kTransposedVectors * kLanes, kOneBlock = kBlock / kLanes;
  constexpr int kNarrowRows = std::min<int>(kBlock, kTransposedRows * kTransposedVectors / kOneBlock);
  int64_t column = 0;
  for (; column + kWide <= columns; column += kWide) {
    multiply_transposed_columns<kTransposedRows, kTransposedVectors>(a, b + column * depth, c + column * rows, rows,
                                                                     depth, add);
  }
  for (; column < columns; column += kBlock) {
    multiply_transposed_columns<kNarrowRows, kOneBlock>(a, b + column * depth, c + column * rows, rows, depth, add);
  }
}

}  // namespace genzoo::GENZOO_KERNELS
