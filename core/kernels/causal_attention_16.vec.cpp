// Causal attention of a head in bfloat16 by instructions that multiply pairs: both factors of each product are rounded,
// weights and their gradients among them, sums and softmax are float32. Block by block as in causal_attention.vec.cpp.
// Compiled once for each instruction set, of which AVX-512 alone has such instructions, on some processors; see
// kernels.h.
//
// A product sums over pairs: those of a left factor are neighbors in a row, or two rows' elements one behind the other;
// those of a right factor are two rows interleaved.
#include "core/kernels/causal_attention.h"
#include "core/kernels/table.h"

#if defined(CPU_CAPABILITY_AVX512)

namespace genzoo::GENZOO_KERNELS {

namespace {

// For functions that use the instructions. Those of AVX-512 alone can be inlined into them, not the other way round.
#define GENZOO_PAIRS [[gnu::target("avx512bf16")]]

GENZOO_PAIRS inline __m256i rounded(__m512 values) { return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(values)); }

/// low[0], high[0], low[1], high[1], ...
GENZOO_PAIRS inline __m512i rounded_pairs(__m512 low, __m512 high) {
  return _mm512_or_si512(_mm512_cvtepu16_epi32(rounded(low)),
                         _mm512_slli_epi32(_mm512_cvtepu16_epi32(rounded(high)), 16));
}

GENZOO_PAIRS inline __m512 multiply_pairs(__m512 sum, __m512i a, __m512i b) {
  return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
}

/// c (rows, vectors), rows `c_stride` apart, = or += a (rows, depth) times b (depth, vectors), depth in pairs. The pair
/// (i, k) of a is at i * a_stride + 2 k, of a transposed one at k * a_stride + 2 i; the rows of pairs of b are b_stride
/// apart.
template <int rows, int vectors, Left left>
GENZOO_PAIRS void tile_of_pairs(const BFloat16* a, int64_t a_stride, const BFloat16* b, int64_t b_stride, int64_t depth,
                                float* c, int64_t c_stride, bool add) {
  __m512 sums[rows][vectors];
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < vectors; ++j) {
      sums[i][j] = add ? _mm512_loadu_ps(c + i * c_stride + j * Vec::size()) : _mm512_setzero_ps();
    }
  }
  for (int64_t k = 0; k < depth; ++k) {
    __m512i row[vectors];
#pragma GCC unroll 8
    for (int j = 0; j < vectors; ++j) row[j] = _mm512_loadu_si512(b + k * b_stride + j * 2 * Vec::size());
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
      int32_t pair = 0;
      std::memcpy(&pair, left == Left::plain ? a + i * a_stride + 2 * k : a + k * a_stride + 2 * i, sizeof(pair));
      const __m512i factor = _mm512_set1_epi32(pair);
#pragma GCC unroll 8
      for (int j = 0; j < vectors; ++j) sums[i][j] = multiply_pairs(sums[i][j], factor, row[j]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < vectors; ++j) _mm512_storeu_ps(c + i * c_stride + j * Vec::size(), sums[i][j]);
  }
}

using PairTile = void (*)(const BFloat16* a, int64_t a_stride, const BFloat16* b, int64_t b_stride, int64_t depth,
                          float* c, int64_t c_stride, bool add);

template <Left left, class Sizes>
struct PairTiles;
template <Left left, int... n>
struct PairTiles<left, std::integer_sequence<int, n...>> {
  static constexpr PairTile kAll[] = {tile_of_pairs<n / kTileVectors + 1, n % kTileVectors + 1, left>...};
};

/// The same with any number of vectors, and at most kTileRows rows.
template <Left left>
void multiply_pairs(const BFloat16* a, int64_t a_stride, const BFloat16* b, int64_t b_stride, int64_t depth, float* c,
                    int64_t c_stride, int64_t rows, int64_t vectors, bool add) {
  using All = PairTiles<left, std::make_integer_sequence<int, kTileRows * kTileVectors>>;
  for (int64_t j = 0; j < vectors; j += kTileVectors) {
    const int64_t width = smaller(kTileVectors, vectors - j);
    All::kAll[(rows - 1) * kTileVectors + width - 1](a, a_stride, b + j * 2 * Vec::size(), b_stride, depth,
                                                     c + j * Vec::size(), c_stride, add);
  }
}

/// Rows `first` ... first + count - 1 of x side by side.
void copy_rows(const BFloat16* x, int64_t stride, const Sizes& s, int64_t first, int64_t count, BFloat16* out) {
  // Rows are far apart, and the processor does not guess where the next one is.
  constexpr int64_t kAhead = 8, kLine = 64 / sizeof(BFloat16);
  for (int64_t r = first; r < first + count; ++r, out += s.channels) {
    if (r + kAhead < s.tokens) {
      for (int64_t i = 0; i < s.channels; i += kLine) __builtin_prefetch(x + (r + kAhead) * stride + i);
    }
    std::memcpy(out, x + r * stride, static_cast<size_t>(s.channels) * sizeof(BFloat16));
  }
}

/// Rows (count, channels) as a right factor with count / 2 rows of pairs, the last with zeros if count is odd.
void pair_rows(const BFloat16* rows, int64_t count, const Sizes& s, BFloat16* out) {
  repack_rows_16(rows, s.channels, count, s.channels, out);
  if (count % 2 == 0) return;
  const BFloat16* last = rows + (count - 1) * s.channels;
  BFloat16* to = out + (count - 1) * s.channels;
  for (int64_t c = 0; c < s.channels; ++c) {
    to[2 * c] = last[c];
    to[2 * c + 1].x = 0;
  }
}

/// Rows (count, channels), at most kSpan, as a right factor with channels / 2 rows of pairs, which begin 2 count apart.
void pair_columns(const BFloat16* rows, int64_t count, const Sizes& s, BFloat16* out) {
  repack_transposed_16(rows, s.channels, count, s.channels, out);
}

/// Pieces of scratch for bfloat16. Behind each is room for what the last vector of a row reads too much.
BFloat16* take_16(Pieces& pieces, int64_t count) {
  return reinterpret_cast<BFloat16*>(pieces.take(count / 2 + Vec::size()));
}
int64_t room_16(int64_t count) { return room(count / 2 + Vec::size()); }

struct Forward {
  Forward(const Sizes& s, float* scratch) {
    Pieces pieces(scratch);
    keys = take_16(pieces, s.tokens * s.channels);
    values = take_16(pieces, (s.tokens + 1) * s.channels);
    queries = take_16(pieces, kSpan * s.channels);
    weights = take_16(pieces, kSpan * s.keys);
    scores = pieces.take(kSpan * s.keys);
    sums = pieces.take(kSpan * s.width);
  }
  static int64_t size(const Sizes& s) {
    return room_16(s.tokens * s.channels) + room_16((s.tokens + 1) * s.channels) + room_16(kSpan * s.channels) +
           room_16(kSpan * s.keys) + room(kSpan * s.keys) + room(kSpan * s.width);
  }
  BFloat16* keys;     ///< kSpan columns after the other
  BFloat16* values;   ///< paired rows
  BFloat16* queries;  ///< (kSpan, channels)
  BFloat16* weights;  ///< (kSpan, keys), not normalized
  float* scores;      ///< (kSpan, keys)
  float* sums;        ///< (kSpan, width) of weighted values
};

/// The exponentials of `scale` times the scores of a query's `seen` keys in relation to the largest's, zeros for keys
/// up to `end`. Returns that largest and the sum, which is NaN when a score is not finite.
struct Exponentials {
  float top, sum;
};
GENZOO_PAIRS Exponentials exponentials(const float* scores, float scale, int64_t seen, int64_t end, BFloat16* weights) {
  Vec tops(scores[0]);
  for (int64_t i = 0; i < seen; i += Vec::size()) {
    const auto n = static_cast<int>(smaller(Vec::size(), seen - i));
    tops = larger(first_lanes(Vec::loadu(scores + i), n, tops), tops);
  }
  const float top = scale * at::vec::vec_reduce_all<float>(larger, tops);
  const Vec by(scale), shift(top), zero(0.0F);
  Vec sum(0.0F), check(0.0F);  // the approximate exponential of NaN is a number
  int64_t i = 0;
  for (; i < seen; i += Vec::size()) {
    const auto n = static_cast<int>(smaller(Vec::size(), seen - i));
    const Vec score = first_lanes(Vec::loadu(scores + i), n);
    const Vec e = first_lanes(at::vec::fmsub(score, by, shift).exp_u20(), n);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(weights + i), rounded(e));
    sum = sum + e;
    check = at::vec::fmadd(score, zero, check);
  }
  for (; i < end; i += Vec::size()) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(weights + i), _mm256_setzero_si256());
  }
  return {top, sum_of_lanes(sum + check)};
}

/// sums * scale into rows of bfloat16
GENZOO_PAIRS void store_rows(const float* sums, float scale, const Sizes& s, int64_t count, BFloat16* out,
                             int64_t stride) {
  for (int64_t r = 0; r < count; ++r) {
    for (int64_t i = 0; i < s.channels; i += Vec::size()) {
      const auto n = static_cast<int>(smaller(Vec::size(), s.channels - i));
      const __mmask16 lanes = static_cast<__mmask16>((1U << n) - 1);
      _mm256_mask_storeu_epi16(out + r * stride + i, lanes,
                               rounded(_mm512_mul_ps(_mm512_loadu_ps(sums + r * s.width + i), _mm512_set1_ps(scale))));
    }
  }
}

/// The queries first ... first + rows - 1.
void forward_block(const CausalHead<BFloat16>& h, const Sizes& s, const Forward& m, int64_t first, int64_t rows) {
  copy_rows(h.q, h.stride, s, first, rows, m.queries);
  for_tiles(first, rows, [&](int64_t i, int64_t n, int64_t key, int64_t count) {
    multiply_pairs<Left::plain>(m.queries + i * s.channels, s.channels, m.keys + key * s.channels,
                                2 * smaller(kSpan, s.tokens - key), s.channels / 2, m.scores + i * s.keys + key, s.keys,
                                n, ceil_div(count, Vec::size()), /*add=*/false);
  });
  float sums[kSpan], tops[kSpan];
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t end = first + smaller(rows, (i / kTileRows + 1) * kTileRows);
    const Exponentials e = exponentials(m.scores + i * s.keys, h.scale, first + i + 1, end, m.weights + i * s.keys);
    sums[i] = e.sum;
    tops[i] = e.top;
  }
  by_vectors(rows,
             [&](int64_t i, int n) { store(load(tops + i, n) + load(sums + i, n).log(), h.log_sums + first + i, n); });
  for_tiles(first, rows, [&](int64_t i, int64_t n, int64_t key, int64_t count) {
    multiply_pairs<Left::plain>(m.weights + i * s.keys + key, s.keys, m.values + key * s.channels, 2 * s.channels,
                                ceil_div(count, 2), m.sums + i * s.width, s.width, n, s.vectors, /*add=*/key > 0);
  });
  for (int64_t i = 0; i < rows; ++i) {
    store_rows(m.sums + i * s.width, 1.0F / sums[i], s, 1, h.y + (first + i) * h.y_stride, h.y_stride);
  }
}

struct Backward {
  Backward(const Sizes& s, float* scratch) {
    Pieces pieces(scratch);
    const int64_t all = (s.tokens + 1) * s.channels;
    for (BFloat16** piece : {&q, &dy, &q_pairs, &k_pairs, &dy_pairs, &keys, &values}) *piece = take_16(pieces, all);
    rows = take_16(pieces, kSpan * s.channels);
    for (BFloat16** piece : {&dscores, &dscore_pairs, &weight_pairs}) *piece = take_16(pieces, kSpan * kSpan);
    dk = pieces.take(s.tokens * s.width);
    dv = pieces.take(s.tokens * s.width);
    dq = pieces.take(kSpan * s.width);
    scores = pieces.take(kTileRows * kSpan);
    dweights = pieces.take(kTileRows * kSpan);
    means = pieces.take(s.tokens);
  }
  static int64_t size(const Sizes& s) {
    return 7 * room_16((s.tokens + 1) * s.channels) + room_16(kSpan * s.channels) + 3 * room_16(kSpan * kSpan) +
           2 * room(s.tokens * s.width) + room(kSpan * s.width) + 2 * room(kTileRows * kSpan) + room(s.tokens);
  }
  BFloat16 *q, *dy;                        ///< (tokens, channels)
  BFloat16 *q_pairs, *k_pairs, *dy_pairs;  ///< paired rows
  BFloat16 *keys, *values;                 ///< kSpan columns after the other
  BFloat16* rows;                          ///< (kSpan, channels), on their way
  BFloat16* dscores;                       ///< (kSpan, kSpan) of queries and keys
  BFloat16 *dscore_pairs, *weight_pairs;   ///< the same with the rows of two queries interleaved
  float *dk, *dv;                          ///< (tokens, width)
  float* dq;                               ///< (kSpan, width)
  float *scores, *dweights;                ///< (kTileRows, kSpan)
  float* means;                            ///< (tokens): the weights' mean gradient, which is dy_t y_t
};

/// A query: where its scores and the gradients of its weights are, and how many keys of the block it has seen.
struct Query {
  const float *scores, *dweights;
  float log_sum, mean;
  int64_t seen;
};

struct Weights {
  __m512 weights, dscores;
};
GENZOO_PAIRS inline Weights weights_of(const Query& query, float scale, int64_t key) {
  const int64_t left = query.seen - key;
  const auto n = static_cast<int>(left < 0 ? 0 : smaller(Vec::size(), left));
  const Vec x = at::vec::fmsub(Vec::loadu(query.scores + key), Vec(scale), Vec(query.log_sum));
  const Vec w = at::vec::fmadd(x, Vec(0.0F), x.exp_u20());  // NaN stays NaN, which the exponential would not leave
  const Vec d = w * (Vec::loadu(query.dweights + key) - Vec(query.mean));
  return {first_lanes(w, n), first_lanes(d, n)};
}

/// Of two queries, keys 0 ... end - 1 of a block: rows of the gradients of scores, kSpan apart, and pairs.
GENZOO_PAIRS void score_gradients(const Query& even, const Query& odd, float scale, int64_t end, BFloat16* dscores,
                                  BFloat16* dscore_pairs, BFloat16* weight_pairs) {
  for (int64_t key = 0; key < end; key += Vec::size()) {
    const Weights a = weights_of(even, scale, key), b = weights_of(odd, scale, key);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(dscores + key), rounded(a.dscores));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(dscores + kSpan + key), rounded(b.dscores));
    _mm512_storeu_si512(dscore_pairs + 2 * key, rounded_pairs(a.dscores, b.dscores));
    _mm512_storeu_si512(weight_pairs + 2 * key, rounded_pairs(a.weights, b.weights));
  }
}

/// What the queries from `query` on and the keys from `key` on, at most kSpan each, add to each other's gradients.
void backward_block(const CausalHead<BFloat16>& h, const Sizes& s, const Backward& m, int64_t query, int64_t key) {
  const int64_t rows = smaller(kSpan, s.tokens - query), columns = smaller(kSpan, s.tokens - key);
  const bool diagonal = query == key;
  static_assert(kTileRows % 2 == 0, "the queries of a pair are of one tile");
  for (int64_t i = 0; i < rows; i += kTileRows) {
    const int64_t n = smaller(kTileRows, rows - i), end = diagonal ? i + n : columns;
    const int64_t vectors = ceil_div(end, Vec::size()), at = (query + i) * s.channels;
    multiply_pairs<Left::plain>(m.q + at, s.channels, m.keys + key * s.channels, 2 * columns, s.channels / 2, m.scores,
                                kSpan, n, vectors, /*add=*/false);
    multiply_pairs<Left::plain>(m.dy + at, s.channels, m.values + key * s.channels, 2 * columns, s.channels / 2,
                                m.dweights, kSpan, n, vectors, /*add=*/false);
    const auto of = [&](int64_t r) {
      const int64_t t = query + i + r;
      return r < n ? Query{m.scores + r * kSpan, m.dweights + r * kSpan, h.log_sums[t], m.means[t],
                           diagonal ? i + r + 1 : columns}
                   : Query{m.scores, m.dweights, 0, 0, /*seen=*/0};
    };
    for (int64_t r = 0; r < n; r += 2) {
      score_gradients(of(r), of(r + 1), h.scale, end, m.dscores + (i + r) * kSpan, m.dscore_pairs + (i + r) * kSpan,
                      m.weight_pairs + (i + r) * kSpan);
    }
    multiply_pairs<Left::plain>(m.dscores + i * kSpan, kSpan, m.k_pairs + key * s.channels, 2 * s.channels,
                                ceil_div(end, 2), m.dq + i * s.width, s.width, n, s.vectors, /*add=*/key > 0);
  }
  for (int64_t j = 0; j < columns; j += kTileRows) {
    const int64_t n = smaller(kTileRows, columns - j), from = diagonal ? j : 0, depth = ceil_div(rows - from, 2);
    const int64_t left = from * kSpan + 2 * j, right = (query + from) * s.channels, at = (key + j) * s.width;
    multiply_pairs<Left::transposed>(m.weight_pairs + left, 2 * kSpan, m.dy_pairs + right, 2 * s.channels, depth,
                                     m.dv + at, s.width, n, s.vectors, /*add=*/!diagonal);
    multiply_pairs<Left::transposed>(m.dscore_pairs + left, 2 * kSpan, m.q_pairs + right, 2 * s.channels, depth,
                                     m.dk + at, s.width, n, s.vectors, /*add=*/!diagonal);
  }
}

}  // namespace

bool multiplies_pairs(const CausalHead<BFloat16>& head) {
  static const bool has_instructions = __builtin_cpu_supports("avx512bf16");
  // Turned queries and keys would be rounded once more.
  return has_instructions && !head.cos && head.channels % 2 == 0;
}

int64_t paired_attention_scratch(int64_t tokens, int64_t channels, bool gradients) {
  const Sizes s(tokens, channels);
  return gradients ? Backward::size(s) : Forward::size(s);
}

void paired_attention(const CausalHead<BFloat16>& h) {
  const Sizes s(h.tokens, h.channels);
  const Forward m(s, h.scratch);
  for (int64_t first = 0; first < s.tokens; first += kSpan) {
    const int64_t rows = smaller(kSpan, s.tokens - first);
    copy_rows(h.k, h.stride, s, first, rows, m.queries);
    pair_columns(m.queries, rows, s, m.keys + first * s.channels);
    copy_rows(h.v, h.stride, s, first, rows, m.queries);
    pair_rows(m.queries, rows, s, m.values + first * s.channels);
    forward_block(h, s, m, first, rows);
  }
}

void paired_attention_backward(const CausalHead<BFloat16>& h, const CausalHeadGradients<BFloat16>& g) {
  const Sizes s(h.tokens, h.channels);
  const Backward m(s, h.scratch);
  for (int64_t first = 0; first < s.tokens; first += kSpan) {
    const int64_t rows = smaller(kSpan, s.tokens - first), at = first * s.channels;
    copy_rows(h.v, h.stride, s, first, rows, m.rows);
    pair_columns(m.rows, rows, s, m.values + at);
    copy_rows(h.k, h.stride, s, first, rows, m.rows);
    pair_columns(m.rows, rows, s, m.keys + at);
    pair_rows(m.rows, rows, s, m.k_pairs + at);
    copy_rows(h.q, h.stride, s, first, rows, m.q + at);
    pair_rows(m.q + at, rows, s, m.q_pairs + at);
    copy_rows(g.dy, h.y_stride, s, first, rows, m.dy + at);
    pair_rows(m.dy + at, rows, s, m.dy_pairs + at);
  }
  for (int64_t t = 0; t < s.tokens; ++t) m.means[t] = dot(m.dy + t * s.channels, h.y + t * h.y_stride, s.channels);
  for (int64_t query = 0; query < s.tokens; query += kSpan) {
    for (int64_t key = 0; key <= query; key += kSpan) backward_block(h, s, m, query, key);
    store_rows(m.dq, h.scale, s, smaller(kSpan, s.tokens - query), g.dq + query * h.stride, h.stride);
  }
  store_rows(m.dk, h.scale, s, s.tokens, g.dk, h.stride);
  store_rows(m.dv, 1.0F, s, s.tokens, g.dv, h.stride);
}

}  // namespace genzoo::GENZOO_KERNELS

#endif
