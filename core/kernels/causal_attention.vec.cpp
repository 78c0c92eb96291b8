// Causal attention of a head over a whole text, and its gradients, block by block: Dao et al., FlashAttention, 2022,
// https://arxiv.org/abs/2205.14135, algorithms 1 and 4. Compiled once for each instruction set; see kernels.h.
//
// Rows of factors are copied side by side, in float32, whole vectors wide; of right factors whose columns are keys, the
// transposes, kSpan keys at a time.
#include "core/kernels/causal_attention.h"

#include "core/kernels/table.h"

namespace genzoo::GENZOO_KERNELS {

namespace {

/// out = scale x, turned by the angles if there are any; zeros behind the last channel.
template <class T>
void load_row(const T* x, const float* cos, const float* sin, float scale, const Sizes& s, float* out) {
  const Vec by(scale);
  if (!cos) {
    by_vectors(s.channels, [&](int64_t i, int n) { store(load(x + i, n) * by, out + i, n); });
  } else {
    const int64_t half = s.channels / 2;
    by_vectors(half, [&](int64_t i, int n) {
      const Vec a = load(x + i, n) * by, b = load(x + half + i, n) * by, c = load(cos + i, n), d = load(sin + i, n);
      store(a * c - b * d, out + i, n);
      store(a * d + b * c, out + half + i, n);
    });
  }
  for (int64_t i = s.channels; i < s.width; ++i) out[i] = 0;
}

/// The gradient of load_row's x from that of what it wrote.
template <class T>
void store_row(const float* gradient, const float* cos, const float* sin, float scale, const Sizes& s, T* out) {
  const Vec by(scale);
  if (!cos) {
    by_vectors(s.channels, [&](int64_t i, int n) { store(load(gradient + i, n) * by, out + i, n); });
    return;
  }
  const int64_t half = s.channels / 2;
  by_vectors(half, [&](int64_t i, int n) {
    const Vec a = load(gradient + i, n) * by, b = load(gradient + half + i, n) * by;
    const Vec c = load(cos + i, n), d = load(sin + i, n);
    store(a * c + b * d, out + i, n);
    store(b * c - a * d, out + half + i, n);
  });
}

/// Rows `first` ... first + count - 1 of x, loaded.
template <class T>
void load_rows(const T* x, int64_t stride, const CausalHead<T>& h, bool turned, float scale, const Sizes& s,
               int64_t first, int64_t count, float* out) {
  // Rows are far apart, and the processor does not guess where the next one is.
  constexpr int64_t kAhead = 8, kLine = 64 / sizeof(T);
  const int64_t half = s.channels / 2;
  for (int64_t r = first; r < first + count; ++r, out += s.width) {
    if (r + kAhead < s.tokens) {
      for (int64_t i = 0; i < s.channels; i += kLine) __builtin_prefetch(x + (r + kAhead) * stride + i);
    }
    const bool turn = turned && h.cos;
    load_row(x + r * stride, turn ? h.cos + r * half : nullptr, turn ? h.sin + r * half : nullptr, scale, s, out);
  }
}

/// Loaded rows as columns: rows (count, width) -> blocks (keys / kSpan, channels, kSpan). What stands behind the last
/// row is nobody's concern.
void transpose_rows(const float* rows, int64_t count, const Sizes& s, float* blocks) {
  for (int64_t r = 0; r < count; r += Vec::size()) {
    const int64_t n = smaller(Vec::size(), count - r);
    float* out = blocks + r / kSpan * kSpan * s.channels + r % kSpan;
    const float* in = rows + r * s.width;
#if defined(CPU_CAPABILITY_AVX512)
    for (int64_t c = 0; c < s.channels; c += Vec::size()) {
      at::vec::transpose_mxn<float>(in + c, s.width, out + c * kSpan, kSpan, static_cast<int>(n),
                                    static_cast<int>(smaller(Vec::size(), s.channels - c)));
    }
#else
    for (int64_t c = 0; c < s.channels; ++c) {
      for (int64_t i = 0; i < n; ++i) out[c * kSpan + i] = in[i * s.width + c];
    }
#endif
  }
}

/// The scores of a query's `seen` keys become their exponentials in relation to the largest's, those of keys up to
/// `end` zero. Returns the largest and the sum, which is NaN when a score is not finite.
struct Exponentials {
  float top, sum;
};
Exponentials exponentials(float* scores, int64_t seen, int64_t end) {
  const int64_t whole = seen / Vec::size() * Vec::size();
  const auto rest = static_cast<int>(seen - whole);
  Vec tops(scores[0]);
  for (int64_t i = 0; i < whole; i += Vec::size()) tops = larger(Vec::loadu(scores + i), tops);
  if (rest > 0) tops = larger(first_lanes(Vec::loadu(scores + whole), rest, tops), tops);
  const float top = at::vec::vec_reduce_all<float>(larger, tops);
  const Vec shift(top), zero(0.0F);
  Vec sum(0.0F), check(0.0F);  // the approximate exponential of NaN is a number
  const auto exponential = [&](int64_t i, int count) {
    const Vec score = first_lanes(Vec::loadu(scores + i), count);
    const Vec e = first_lanes((score - shift).exp_u20(), count);
    e.store(scores + i);
    sum = sum + e;
    check = at::vec::fmadd(score, zero, check);
  };
  for (int64_t i = 0; i < whole; i += Vec::size()) exponential(i, Vec::size());
  if (rest > 0) exponential(whole, rest);
  for (int64_t i = rest > 0 ? whole + Vec::size() : whole; i < end; i += Vec::size()) zero.store(scores + i);
  return {top, sum_of_lanes(sum + check)};
}

struct Forward {
  Forward(const Sizes& s, float* scratch) {
    Pieces pieces(scratch);
    keys = pieces.take(s.keys * s.channels);
    values = pieces.take(s.tokens * s.width);
    queries = pieces.take(kSpan * s.width);
    scores = pieces.take(kSpan * s.keys);
    sums = pieces.take(kSpan * s.width);
  }
  static int64_t size(const Sizes& s) {
    return room(s.keys * s.channels) + room(s.tokens * s.width) + 2 * room(kSpan * s.width) + room(kSpan * s.keys);
  }
  float* keys;     ///< transposed
  float* values;   ///< (tokens, width)
  float* queries;  ///< (kSpan, width)
  float* scores;   ///< (kSpan, keys)
  float* sums;     ///< (kSpan, width) of weighted values
};

/// The queries first ... first + rows - 1.
template <class T>
void forward_block(const CausalHead<T>& h, const Sizes& s, const Forward& m, int64_t first, int64_t rows) {
  load_rows(h.q, h.stride, h, /*turned=*/true, h.scale, s, first, rows, m.queries);
  for_tiles(first, rows, [&](int64_t i, int64_t n, int64_t key, int64_t count) {
    multiply<Left::plain>(m.queries + i * s.width, s.width, m.keys + key * s.channels, kSpan, s.channels,
                          m.scores + i * s.keys + key, s.keys, n, ceil_div(count, Vec::size()), /*add=*/false);
  });
  float sums[kSpan], tops[kSpan];
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t end = first + smaller(rows, (i / kTileRows + 1) * kTileRows);
    const Exponentials e = exponentials(m.scores + i * s.keys, first + i + 1, end);
    sums[i] = e.sum;
    tops[i] = e.top;
  }
  by_vectors(rows,
             [&](int64_t i, int n) { store(load(tops + i, n) + load(sums + i, n).log(), h.log_sums + first + i, n); });
  for_tiles(first, rows, [&](int64_t i, int64_t n, int64_t key, int64_t count) {
    multiply<Left::plain>(m.scores + i * s.keys + key, s.keys, m.values + key * s.width, s.width, count,
                          m.sums + i * s.width, s.width, n, s.vectors, /*add=*/key > 0);
  });
  for (int64_t i = 0; i < rows; ++i) {
    store_row(m.sums + i * s.width, nullptr, nullptr, 1.0F / sums[i], s, h.y + (first + i) * h.y_stride);
  }
}

template <class T>
void forward(const CausalHead<T>& h) {
  const Sizes s(h.tokens, h.channels);
  const Forward m(s, h.scratch);
  for (int64_t first = 0; first < s.tokens; first += kSpan) {
    const int64_t rows = smaller(kSpan, s.tokens - first);
    load_rows(h.k, h.stride, h, /*turned=*/true, 1.0F, s, first, rows, m.queries);
    transpose_rows(m.queries, rows, s, m.keys + first * s.channels);
    load_rows(h.v, h.stride, h, /*turned=*/false, 1.0F, s, first, rows, m.values + first * s.width);
    forward_block(h, s, m, first, rows);
  }
}

struct Backward {
  Backward(const Sizes& s, float* scratch) {
    Pieces pieces(scratch);
    q = pieces.take(s.tokens * s.width);
    k = pieces.take(s.tokens * s.width);
    dy = pieces.take(s.tokens * s.width);
    dk = pieces.take(s.tokens * s.width);
    dv = pieces.take(s.tokens * s.width);
    keys = pieces.take(s.keys * s.channels);
    values = pieces.take(s.keys * s.channels);
    dq = pieces.take(kSpan * s.width);
    weights = pieces.take(kSpan * kSpan);
    dscores = pieces.take(kSpan * kSpan);
    means = pieces.take(s.tokens);
  }
  static int64_t size(const Sizes& s) {
    return 5 * room(s.tokens * s.width) + 2 * room(s.keys * s.channels) + room(kSpan * s.width) +
           2 * room(kSpan * kSpan) + room(s.tokens);
  }
  float *q, *k, *dy, *dk, *dv;  ///< (tokens, width), q scaled
  float *keys, *values;         ///< transposed
  float* dq;                    ///< (kSpan, width)
  float *weights, *dscores;     ///< (kSpan, kSpan)
  float* means;                 ///< (tokens): the weights' mean gradient, which is dy_t y_t
};

/// Of one query: scores -> weights, and the gradients of weights -> those of scores, of the first `seen` keys; zeros of
/// those up to `end`.
void score_gradients(float* weights, float* gradients, float log_sum, float mean, int64_t seen, int64_t end) {
  const Vec shift(log_sum), center(mean);
  int64_t i = 0;
  for (; i < seen; i += Vec::size()) {
    const auto n = static_cast<int>(smaller(Vec::size(), seen - i));
    const Vec x = Vec::loadu(weights + i) - shift;
    const Vec w = at::vec::fmadd(x, Vec(0.0F), x.exp_u20());  // NaN stays NaN, which the exponential would not leave
    const Vec d = w * (Vec::loadu(gradients + i) - center);
    first_lanes(w, n).store(weights + i);
    first_lanes(d, n).store(gradients + i);
  }
  for (; i < end; i += Vec::size()) {
    Vec(0.0F).store(weights + i);
    Vec(0.0F).store(gradients + i);
  }
}

/// What the queries from `query` on and the keys from `key` on, at most kSpan each, add to each other's gradients.
template <class T>
void backward_block(const CausalHead<T>& h, const Sizes& s, const Backward& m, int64_t query, int64_t key) {
  const int64_t rows = smaller(kSpan, s.tokens - query), columns = smaller(kSpan, s.tokens - key);
  const bool diagonal = query == key;
  for (int64_t i = 0; i < rows; i += kTileRows) {
    const int64_t n = smaller(kTileRows, rows - i), end = diagonal ? i + n : columns;
    const int64_t vectors = ceil_div(end, Vec::size()), at = (query + i) * s.width;
    float *weights = m.weights + i * kSpan, *dscores = m.dscores + i * kSpan;
    multiply<Left::plain>(m.q + at, s.width, m.keys + key * s.channels, kSpan, s.channels, weights, kSpan, n, vectors,
                          /*add=*/false);
    multiply<Left::plain>(m.dy + at, s.width, m.values + key * s.channels, kSpan, s.channels, dscores, kSpan, n,
                          vectors, /*add=*/false);
    for (int64_t r = 0; r < n; ++r) {
      score_gradients(weights + r * kSpan, dscores + r * kSpan, h.log_sums[query + i + r], m.means[query + i + r],
                      diagonal ? i + r + 1 : columns, end);
    }
    multiply<Left::plain>(dscores, kSpan, m.k + key * s.width, s.width, end, m.dq + i * s.width, s.width, n, s.vectors,
                          /*add=*/key > 0);
  }
  for (int64_t j = 0; j < columns; j += kTileRows) {
    const int64_t n = smaller(kTileRows, columns - j), from = diagonal ? j : 0, depth = rows - from;
    const int64_t left = from * kSpan + j, right = (query + from) * s.width, at = (key + j) * s.width;
    multiply<Left::transposed>(m.weights + left, kSpan, m.dy + right, s.width, depth, m.dv + at, s.width, n, s.vectors,
                               /*add=*/!diagonal);
    multiply<Left::transposed>(m.dscores + left, kSpan, m.q + right, s.width, depth, m.dk + at, s.width, n, s.vectors,
                               /*add=*/!diagonal);
  }
}

template <class T>
void store_rows(const CausalHead<T>& h, const Sizes& s, const float* rows, bool turned, float scale, int64_t first,
                int64_t count, T* out) {
  const int64_t half = s.channels / 2;
  for (int64_t r = first; r < first + count; ++r, rows += s.width) {
    const bool turn = turned && h.cos;
    store_row(rows, turn ? h.cos + r * half : nullptr, turn ? h.sin + r * half : nullptr, scale, s, out + r * h.stride);
  }
}

template <class T>
void backward(const CausalHead<T>& h, const CausalHeadGradients<T>& g) {
  const Sizes s(h.tokens, h.channels);
  const Backward m(s, h.scratch);
  // The values' rows are wanted as columns only: those of dv stand in for them.
  load_rows(h.v, h.stride, h, /*turned=*/false, 1.0F, s, 0, s.tokens, m.dv);
  transpose_rows(m.dv, s.tokens, s, m.values);
  load_rows(h.k, h.stride, h, /*turned=*/true, 1.0F, s, 0, s.tokens, m.k);
  transpose_rows(m.k, s.tokens, s, m.keys);
  load_rows(h.q, h.stride, h, /*turned=*/true, h.scale, s, 0, s.tokens, m.q);
  load_rows(g.dy, h.y_stride, h, /*turned=*/false, 1.0F, s, 0, s.tokens, m.dy);
  for (int64_t t = 0; t < s.tokens; ++t) m.means[t] = dot(g.dy + t * h.y_stride, h.y + t * h.y_stride, s.channels);
  for (int64_t query = 0; query < s.tokens; query += kSpan) {
    for (int64_t key = 0; key <= query; key += kSpan) backward_block(h, s, m, query, key);
    store_rows(h, s, m.dq, /*turned=*/true, h.scale, query, smaller(kSpan, s.tokens - query), g.dq);
  }
  store_rows(h, s, m.dk, /*turned=*/true, 1.0F, 0, s.tokens, g.dk);
  store_rows(h, s, m.dv, /*turned=*/false, 1.0F, 0, s.tokens, g.dv);
}

}  // namespace

int64_t causal_attention_scratch(int64_t tokens, int64_t channels, bool gradients) {
  const Sizes s(tokens, channels);
  const int64_t plain = gradients ? Backward::size(s) : Forward::size(s);
#if defined(CPU_CAPABILITY_AVX512)
  const int64_t paired = paired_attention_scratch(tokens, channels, gradients);
  return paired > plain ? paired : plain;
#else
  return plain;
#endif
}
void causal_attention(const CausalHead<float>& head) { forward(head); }
void causal_attention_16(const CausalHead<BFloat16>& head) {
#if defined(CPU_CAPABILITY_AVX512)
  if (multiplies_pairs(head)) return paired_attention(head);
#endif
  forward(head);
}
void causal_attention_backward(const CausalHead<float>& head, const CausalHeadGradients<float>& gradients) {
  backward(head, gradients);
}
void causal_attention_backward_16(const CausalHead<BFloat16>& head, const CausalHeadGradients<BFloat16>& gradients) {
#if defined(CPU_CAPABILITY_AVX512)
  if (multiplies_pairs(head)) return paired_attention_backward(head, gradients);
#endif
  backward(head, gradients);
}

}  // namespace genzoo::GENZOO_KERNELS
