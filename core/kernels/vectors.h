#pragma once
// Vectors of floats loaded from float or bfloat16, for files that are compiled once for each instruction set; see
// kernels.h. The file that includes it defines GENZOO_KERNELS.

#include <ATen/cpu/vec/vec.h>
#include <c10/util/BFloat16.h>

#include <cstdint>
#include <cstring>

namespace genzoo::GENZOO_KERNELS {

using Vec = at::vec::Vectorized<float>;
using c10::BFloat16;

/// f(i, count) over 0 ... n - 1 in vectors, the last of which may be short.
template <class F>
inline void by_vectors(int64_t n, const F& f) {
  int64_t i = 0;
  for (; i + Vec::size() <= n; i += Vec::size()) f(i, static_cast<int>(Vec::size()));
  if (i < n) f(i, static_cast<int>(n - i));
}

/// The first `count` lanes; what the others are is nobody's concern.
inline Vec load(const float* from, int count) {
  return count == Vec::size() ? Vec::loadu(from) : Vec::loadu(from, count);
}
inline void store(const Vec& values, float* to, int count) {
  if (count == Vec::size()) {
    values.store(to);
  } else {
    values.store(to, count);
  }
}

#if defined(CPU_CAPABILITY_AVX512)

inline Vec load(const BFloat16* from, int count) {
  const __mmask16 lanes = static_cast<__mmask16>((1U << count) - 1);
  const __m256i bits = _mm256_maskz_loadu_epi16(lanes, from);
  return Vec(_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16)));
}
/// The bits of the nearest bfloat16 in the low half of each lane, ties to even; NaN stays NaN.
inline __m512i rounded_bits(const Vec& values) {
  const __m512 v = values;
  const __m512i bits = _mm512_castps_si512(v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  rounded = _mm512_srli_epi32(rounded, 16);
  return _mm512_mask_set1_epi32(rounded, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), 0x7fc0);
}
inline void store(const Vec& values, BFloat16* to, int count) {
  const __mmask16 lanes = static_cast<__mmask16>((1U << count) - 1);
  _mm256_mask_storeu_epi16(to, lanes, _mm512_cvtepi32_epi16(rounded_bits(values)));
}

/// low[0], high[0], low[1], high[1], ...: 2 `count` values.
inline void store_pairs(const Vec& low, const Vec& high, BFloat16* to, int count) {
  const __mmask16 lanes = static_cast<__mmask16>((1U << count) - 1);
  const __m512i pairs = _mm512_or_si512(rounded_bits(low), _mm512_slli_epi32(rounded_bits(high), 16));
  _mm512_mask_storeu_epi32(to, lanes, pairs);
}

#else

// By hand: functions of c10 that this copy compiled for its instructions could be linked into others.
inline Vec load(const BFloat16* from, int count) {
  uint32_t bits[Vec::size()] = {};
  for (int i = 0; i < count; ++i) bits[i] = static_cast<uint32_t>(from[i].x) << 16;
  float values[Vec::size()];
  std::memcpy(values, bits, sizeof(values));
  return Vec::loadu(values);
}
inline void store(const Vec& values, BFloat16* to, int count) {
  float lanes[Vec::size()];
  values.store(lanes);
  uint32_t bits[Vec::size()];
  std::memcpy(bits, lanes, sizeof(bits));
  for (int i = 0; i < count; ++i) {
    const uint32_t rounded = (bits[i] + 0x7fff + ((bits[i] >> 16) & 1)) >> 16;
    to[i].x = static_cast<uint16_t>(lanes[i] != lanes[i] ? 0x7fc0 : rounded);
  }
}

inline void store_pairs(const Vec& low, const Vec& high, BFloat16* to, int count) {
  BFloat16 lows[Vec::size()], highs[Vec::size()];
  store(low, lows, Vec::size());
  store(high, highs, Vec::size());
  for (int i = 0; i < count; ++i) {
    to[2 * i].x = lows[i].x;
    to[2 * i + 1].x = highs[i].x;
  }
}

#endif

/// Sum of all lanes, always in the same order.
inline float total(const Vec& values) {
  float lanes[Vec::size()];
  values.store(lanes);
  float sum = 0;
  for (const float lane : lanes) sum += lane;
  return sum;
}

/// The first `count` lanes of `values`, the others of `rest`.
inline Vec first_lanes(const Vec& values, int count, const Vec& rest = Vec(0.0F)) {
#if defined(CPU_CAPABILITY_AVX512)
  return Vec(_mm512_mask_mov_ps(rest, static_cast<__mmask16>((1U << count) - 1), values));
#else
  return count == Vec::size() ? values : Vec::set(rest, values, count);
#endif
}

}  // namespace genzoo::GENZOO_KERNELS
