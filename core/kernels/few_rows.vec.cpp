// Products of few rows with weights in float32, bfloat16 or int8. Compiled once for each instruction set; see
// kernels.h.
//
// Several rows of weights at a time, so that one load of x serves them all, and all rows of x, so that one load of a
// weight does. While the weights of one group are used, those of the next are fetched.
#include <ATen/cpu/vec/vec.h>
// After it: the two include each other.
#include <ATen/cpu/vec/functional_base.h>
#include <c10/util/Unroll.h>

#include "core/kernels/table.h"

namespace genzoo::GENZOO_KERNELS {

using Vec = at::vec::Vectorized<float>;

namespace {

constexpr int64_t kStep = 2 * Vec::size();  // weights at a time: as many as bfloat16 has in a vector

struct Two {
  Vec low, high;
};

struct FloatWeights {
  using Stored = float;
  static inline Two load(const Stored* w) { return {Vec::loadu(w), Vec::loadu(w + Vec::size())}; }
  static inline float one(Stored w) { return w; }
};

struct BFloat16Weights {
  using Stored = uint16_t;
  static inline Two load(const Stored* w) {
    const auto [low, high] = at::vec::convert_bfloat16_float(at::vec::Vectorized<c10::BFloat16>::loadu(w));
    return {low, high};
  }
  static inline float one(Stored w) {
    const uint32_t bits = static_cast<uint32_t>(w) << 16;
    float value = 0;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
  }
};

struct Int8Weights {
  using Stored = int8_t;
  static inline Vec load_one(const Stored* w) {
    return at::vec::convert<float>(at::vec::Vectorized<int8_t>::loadu(w, Vec::size()));
  }
  static inline Two load(const Stored* w) { return {load_one(w), load_one(w + Vec::size())}; }
  static inline float one(Stored w) { return static_cast<float>(w); }
};

inline float total_of(Vec v) {
  return at::vec::vec_reduce_all<float>([](Vec a, Vec b) { return a + b; }, v);
}

/// `Outputs` rows of weights from w on with `Rows` rows of x.
template <class Weights, int Outputs, int Rows>
inline void group(const typename Weights::Stored* w, const float* scale, const float* bias, const FewRows& p,
                  const float* x, float* y) {
  constexpr int64_t kLine = 64 / sizeof(typename Weights::Stored);  // weights of a cache line
  const int64_t n = p.inputs;
  Vec sums[Outputs * Rows];  // in registers, since every index into it is a constant
  c10::ForcedUnroll<Outputs * Rows>{}([&](int k) __attribute__((always_inline)) { sums[k] = Vec(0.0F); });
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) {
    Two weights[Outputs];
    c10::ForcedUnroll<Outputs>{}([&](int o) __attribute__((always_inline)) {
      const auto* at = w + o * n + i;
      weights[o] = Weights::load(at);
      // The same place of the next group. A prefetch beyond the last weight, of what is not there, does nothing.
      if (i % kLine == 0) __builtin_prefetch(at + Outputs * n, /*rw=*/0, /*locality=*/2);
    });
    c10::ForcedUnroll<2>{}([&](int half) __attribute__((always_inline)) {
      c10::ForcedUnroll<Rows>{}([&](int r) __attribute__((always_inline)) {
        const Vec inputs = Vec::loadu(x + r * n + i + half * Vec::size());
        c10::ForcedUnroll<Outputs>{}([&](int o) __attribute__((always_inline)) {
          Vec& sum = sums[o * Rows + r];
          sum = at::vec::fmadd(half ? weights[o].high : weights[o].low, inputs, sum);
        });
      });
    });
  }
  float totals[Outputs * Rows];
  c10::ForcedUnroll<Outputs * Rows>{}([&](int k) __attribute__((always_inline)) { totals[k] = total_of(sums[k]); });
  for (int o = 0; o < Outputs; ++o) {
    for (int r = 0; r < Rows; ++r) {
      float total = totals[o * Rows + r];
      for (int64_t j = i; j < n; ++j) total += Weights::one(w[o * n + j]) * x[r * n + j];
      if (scale) total *= scale[o];
      y[r * p.stride + o] = bias ? total + bias[o] : total;
    }
  }
}

template <class Weights, int Rows>
void all_outputs(const typename Weights::Stored* w, const float* scale, const FewRows& p, const float* x, float* y) {
  // How many sums fit in registers beside weights and inputs: AVX-512 has 32, the others 16.
  constexpr int kSums = Vec::size() >= 16 ? 24 : 10;
  constexpr int kOutputs = Rows >= kSums ? 1 : kSums / Rows > 4 ? 4 : kSums / Rows;
  int64_t o = 0;
  const auto at = [&](const float* values) { return values ? values + o : nullptr; };
  for (; o + kOutputs <= p.outputs; o += kOutputs) {
    group<Weights, kOutputs, Rows>(w + o * p.inputs, at(scale), at(p.bias), p, x, y + o);
  }
  for (; o < p.outputs; ++o) group<Weights, 1, Rows>(w + o * p.inputs, at(scale), at(p.bias), p, x, y + o);
}

template <class Weights>
void all_rows(const typename Weights::Stored* w, const float* scale, const FewRows& p) {
  constexpr decltype(&all_outputs<Weights, 1>) kLoops[Kernels::kRowsAtOnce] = {
      all_outputs<Weights, 1>, all_outputs<Weights, 2>, all_outputs<Weights, 3>, all_outputs<Weights, 4>,
      all_outputs<Weights, 5>, all_outputs<Weights, 6>, all_outputs<Weights, 7>, all_outputs<Weights, 8>};
  for (int64_t r = 0; r < p.rows; r += Kernels::kRowsAtOnce) {
    const int64_t count = p.rows - r < Kernels::kRowsAtOnce ? p.rows - r : Kernels::kRowsAtOnce;
    kLoops[count - 1](w, scale, p, p.x + r * p.inputs, p.y + r * p.stride);
  }
}

}  // namespace

void product_float32(const float* weight, const FewRows& product) {
  all_rows<FloatWeights>(weight, /*scale=*/nullptr, product);
}

void product_bfloat16(const uint16_t* weight, const FewRows& product) {
  all_rows<BFloat16Weights>(weight, /*scale=*/nullptr, product);
}

void product_int8(const int8_t* weight, const float* scale, const FewRows& product) {
  all_rows<Int8Weights>(weight, scale, product);
}

}  // namespace genzoo::GENZOO_KERNELS
