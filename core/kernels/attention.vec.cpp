// Attention of the newest tokens of a text over keys and values that are kept. Compiled once for each instruction set;
// see kernels.h.
#include <ATen/cpu/vec/vec.h>
// After it: the two include each other.
#include <ATen/cpu/vec/functional_base.h>

#include <cmath>

#include "core/kernels/table.h"

namespace genzoo::GENZOO_KERNELS {

using Vec = at::vec::Vectorized<float>;

namespace {

inline float dot(const float* a, const float* b, int64_t n) {
  Vec sum(0.0F);
  int64_t i = 0;
  for (; i + Vec::size() <= n; i += Vec::size()) sum = at::vec::fmadd(Vec::loadu(a + i), Vec::loadu(b + i), sum);
  float total = at::vec::vec_reduce_all<float>([](Vec x, Vec y) { return x + y; }, sum);
  for (; i < n; ++i) total += a[i] * b[i];
  return total;
}

/// x = exp(x - their largest), n of them; returns their sum.
inline float exponentials(float* x, int64_t n) {
  float largest = x[0];
  for (int64_t i = 1; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  const Vec shift(largest);
  float total = 0;
  int64_t i = 0;
  Vec sum(0.0F);
  for (; i + Vec::size() <= n; i += Vec::size()) {
    const Vec e = (Vec::loadu(x + i) - shift).exp();
    e.store(x + i);
    sum = sum + e;
  }
  total = at::vec::vec_reduce_all<float>([](Vec a, Vec b) { return a + b; }, sum);
  for (; i < n; ++i) total += x[i] = std::exp(x[i] - largest);
  return total;
}

/// y = scale * sum of weights[s] values[s], over `channels` channels of rows that begin `channels` apart.
inline void weighted_sum(const float* weights, const float* values, int64_t n, int64_t channels, float scale,
                         float* y) {
  constexpr int64_t kWide = 4 * Vec::size();
  int64_t c = 0;
  for (; c + kWide <= channels; c += kWide) {
    Vec a(0.0F), b(0.0F), d(0.0F), e(0.0F);
    for (int64_t s = 0; s < n; ++s) {
      const Vec w(weights[s]);
      const float* row = values + s * channels + c;
      a = at::vec::fmadd(w, Vec::loadu(row), a);
      b = at::vec::fmadd(w, Vec::loadu(row + Vec::size()), b);
      d = at::vec::fmadd(w, Vec::loadu(row + 2 * Vec::size()), d);
      e = at::vec::fmadd(w, Vec::loadu(row + 3 * Vec::size()), e);
    }
    const Vec by(scale);
    (a * by).store(y + c);
    (b * by).store(y + c + Vec::size());
    (d * by).store(y + c + 2 * Vec::size());
    (e * by).store(y + c + 3 * Vec::size());
  }
  for (; c < channels; c += Vec::size()) {
    const auto count = static_cast<int>(channels - c < Vec::size() ? channels - c : Vec::size());
    Vec a(0.0F);
    for (int64_t s = 0; s < n; ++s) {
      a = at::vec::fmadd(Vec(weights[s]), Vec::loadu(values + s * channels + c, count), a);
    }
    (a * Vec(scale)).store(y + c, count);
  }
}

}  // namespace

void attend(const CachedAttention& head) {
  for (int64_t t = 0; t < head.queries; ++t) {
    const int64_t seen = head.length - head.queries + t + 1;
    const float* q = head.q + t * head.stride;
    for (int64_t s = 0; s < seen; ++s) {
      head.weights[s] = head.scale * dot(q, head.keys + s * head.channels, head.channels);
    }
    const float total = exponentials(head.weights, seen);
    weighted_sum(head.weights, head.values, seen, head.channels, 1.0F / total, head.y + t * head.y_stride);
  }
}

}  // namespace genzoo::GENZOO_KERNELS
