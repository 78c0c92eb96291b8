#pragma once
// What the causal attentions of float32 and of bfloat16 share: for files that are compiled once for each instruction
// set; see kernels.h. The file that includes it defines GENZOO_KERNELS.

#include "core/kernels/kernels.h"
#include "core/kernels/tiles.h"
// After vec.h: the two include each other.
#include <ATen/cpu/vec/functional_base.h>

namespace genzoo::GENZOO_KERNELS {

constexpr int64_t kSpan = 64;  ///< queries, or keys, of a block: some fit in the first-level cache together

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

struct Sizes {
  Sizes(int64_t tokens_, int64_t channels_)
      : tokens(tokens_),
        channels(channels_),
        vectors(ceil_div(channels, Vec::size())),
        width(vectors * Vec::size()),
        keys(ceil_div(tokens, kSpan) * kSpan) {}
  int64_t tokens, channels;
  int64_t vectors, width;  ///< of a row of channels
  int64_t keys;            ///< tokens in whole blocks
};

/// Pieces of a head's scratch, one behind the other.
class Pieces final {
 public:
  explicit Pieces(float* from) : next_(from) {}
  float* take(int64_t count) {
    float* piece = next_;
    next_ += ceil_div(count, 16) * 16;
    return piece;
  }

 private:
  float* next_;
};

inline int64_t room(int64_t count) { return ceil_div(count, 16) * 16; }

inline float sum_of_lanes(const Vec& values) {
  return at::vec::vec_reduce_all<float>([](const Vec& a, const Vec& b) { return a + b; }, values);
}

/// The larger of each two lanes, by one instruction: what it makes of NaN is left open.
inline Vec larger(const Vec& a, const Vec& b) { return at::vec::clamp_min(a, b); }

/// f(i, n, from, depth) for the tiles of a block, the queries first ... first + rows - 1, with the keys that they see:
/// its queries i ... i + n - 1 and the keys from ... from + depth - 1. Keys in the outer loop: theirs is the factor to
/// be kept in the first-level cache.
template <class F>
void for_tiles(int64_t first, int64_t rows, const F& f) {
  for (int64_t key = 0; key < first + rows; key += kSpan) {
    for (int64_t i = 0; i < rows; i += kTileRows) {
      const int64_t n = smaller(kTileRows, rows - i), end = first + i + n;
      if (key < end) f(i, n, key, smaller(kSpan, end - key));
    }
  }
}

/// sum of a b
template <class T>
inline float dot(const T* a, const T* b, int64_t n) {
  Vec sum(0.0F);
  by_vectors(n, [&](int64_t i, int count) { sum = sum + first_lanes(load(a + i, count) * load(b + i, count), count); });
  return sum_of_lanes(sum);
}

#if defined(CPU_CAPABILITY_AVX512)

// causal_attention_16.vec.cpp: with factors of products rounded to bfloat16.

/// Whether this processor multiplies pairs of bfloat16, and the head's numbers come in pairs that nothing turns first.
bool multiplies_pairs(const CausalHead<BFloat16>& head);
int64_t paired_attention_scratch(int64_t tokens, int64_t channels, bool gradients);
void paired_attention(const CausalHead<BFloat16>& head);
void paired_attention_backward(const CausalHead<BFloat16>& head, const CausalHeadGradients<BFloat16>& gradients);

#endif

}  // namespace genzoo::GENZOO_KERNELS
