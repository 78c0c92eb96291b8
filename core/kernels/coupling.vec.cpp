// The affine coupling of vectors whose even or odd dimensions change. Compiled once for each instruction set; see
// kernels.h.
#include <cstring>

#include "core/kernels/table.h"
#include "core/kernels/vectors.h"

namespace genzoo::GENZOO_KERNELS {

namespace {

constexpr int64_t kPairs = Vec::size();  // even and odd dimensions at once

/// Dimensions begin, begin + 2, ... and begin + 1, begin + 3, ... of a row; zeros beyond its end.
struct Pair {
  Vec even, odd;
};

inline Pair load_pairs(const float* row, int64_t begin, int64_t dims) {
  if (begin + 2 * kPairs <= dims) {
    const auto [even, odd] = at::vec::deinterleave2<float>(Vec::loadu(row + begin), Vec::loadu(row + begin + kPairs));
    return {even, odd};
  }
  float values[2 * kPairs] = {};
  std::memcpy(values, row + begin, static_cast<size_t>(dims - begin) * sizeof(float));
  const auto [even, odd] = at::vec::deinterleave2<float>(Vec::loadu(values), Vec::loadu(values + kPairs));
  return {even, odd};
}

inline void store_pairs(float* row, int64_t begin, int64_t dims, const Pair& pair) {
  const auto [low, high] = at::vec::interleave2<float>(pair.even, pair.odd);
  if (begin + 2 * kPairs <= dims) {
    low.store(row + begin);
    high.store(row + begin + kPairs);
    return;
  }
  float values[2 * kPairs];
  low.store(values);
  high.store(values + kPairs);
  std::memcpy(row + begin, values, static_cast<size_t>(dims - begin) * sizeof(float));
}

inline int64_t second_count(int64_t dims, int64_t first) { return (dims - first + 1) / 2; }

/// How many of the pairs from `i` on are there, at most a vector of them.
inline int count_from(int64_t i, int64_t all) {
  return static_cast<int>(all - i < kPairs ? (all > i ? all - i : 0) : kPairs);
}

/// Dimensions `first`, first + 2, ... of a pair of even and odd ones.
inline Vec& every_second(Pair& pair, int64_t first) { return first == 0 ? pair.even : pair.odd; }

inline Vec load_some(const float* values, int64_t i, int count) {
  return count > 0 ? Vec::loadu(values + i, count) : Vec(0.0F);
}

}  // namespace

void take_every_second(const float* x, int64_t first, float* y, int64_t rows, int64_t dims) {
  const int64_t all = second_count(dims, first);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < all; i += kPairs) {
      Pair pair = load_pairs(x + r * dims, 2 * i, dims);
      store(every_second(pair, first), y + r * all + i, count_from(i, all));
    }
  }
}

void add_every_second(float* x, int64_t first, const float* y, int64_t rows, int64_t dims) {
  const int64_t all = second_count(dims, first);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < all; i += kPairs) {
      Pair pair = load_pairs(x + r * dims, 2 * i, dims);
      Vec& sum = every_second(pair, first);
      sum = sum + load_some(y + r * all, i, count_from(i, all));
      store_pairs(x + r * dims, 2 * i, dims, pair);
    }
  }
}

void couple(const float* x, const float* raw, const float* bound, int64_t changed, float* y, float* tanh_scale,
            float* log_det, int64_t rows, int64_t dims) {
  const int64_t all = second_count(dims, changed);
  for (int64_t r = 0; r < rows; ++r) {
    const float* raw_scale = raw + r * 2 * all;
    const float* translation = raw_scale + all;
    Vec sum(0.0F);
    for (int64_t i = 0; 2 * i < dims; i += kPairs) {
      const int count = count_from(i, all);
      Pair pair = load_pairs(x + r * dims, 2 * i, dims);
      const Vec bounded = load_some(raw_scale, i, count).tanh();
      if (count > 0) bounded.store(tanh_scale + r * all + i, count);
      const Vec scale = bound ? bounded * load_some(bound, i, count) : bounded;  // zeros beyond the last
      Vec& moved = every_second(pair, changed);
      moved = at::vec::fmadd(moved, scale.exp(), load_some(translation, i, count));
      sum = sum + scale;
      store_pairs(y + r * dims, 2 * i, dims, pair);
    }
    float lanes[kPairs];
    sum.store(lanes);
    float total = 0;
    for (const float lane : lanes) total += lane;
    log_det[r] = total;
  }
}

void couple_backward(const float* dy, const float* dlog_det, const float* x, const float* tanh_scale,
                     const float* bound, int64_t changed, float* dx, float* draw, float* dbound, int64_t rows,
                     int64_t dims) {
  const int64_t all = second_count(dims, changed);
  const Vec one(1.0F);
  for (int64_t r = 0; r < rows; ++r) {
    const Vec from_log_det(dlog_det[r]);
    for (int64_t i = 0; 2 * i < dims; i += kPairs) {
      const int count = count_from(i, all);
      Pair up = load_pairs(dy + r * dims, 2 * i, dims);
      const Pair in = load_pairs(x + r * dims, 2 * i, dims);
      const Vec bounded = load_some(tanh_scale + r * all, i, count);
      const Vec limit = bound ? load_some(bound, i, count) : one;
      Vec& moved = every_second(up, changed);
      const Vec dtranslation = moved;
      moved = moved * (bounded * limit).exp();
      const Vec dscale = at::vec::fmadd(moved, changed == 0 ? in.even : in.odd, from_log_det);
      if (count > 0) {
        (dscale * limit * (one - bounded * bounded)).store(draw + r * 2 * all + i, count);
        dtranslation.store(draw + r * 2 * all + all + i, count);
        if (dbound) (dscale * bounded).store(dbound + r * all + i, count);
      }
      store_pairs(dx + r * dims, 2 * i, dims, up);
    }
  }
}

}  // namespace genzoo::GENZOO_KERNELS
