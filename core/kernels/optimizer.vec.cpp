// Compiled once for each instruction set; see kernels.h. Only headers whose inline functions may differ between the
// copies are included: everything here must be static or a member of this set's namespace.
#include <cmath>

#include "core/kernels/table.h"
#include "core/kernels/vectors.h"

namespace genzoo::GENZOO_KERNELS {

void adam(float* value, const float* gradient, float* first, float* second, float* average, int64_t n,
          const AdamStep& step) {
  const float step_size = step.lr / step.bias_correction1;
  const float second_scale = 1.0F / std::sqrt(step.bias_correction2);
  const float keep = 1.0F - step.lr * step.weight_decay;
  const Vec scale(step.gradient_scale), beta1(step.beta1), beta2(step.beta2), rest1(1.0F - step.beta1),
      rest2(1.0F - step.beta2), eps(step.eps), kept(keep), size(-step_size), root_scale(second_scale);
  const auto update = [&](Vec p, Vec g, Vec& m, Vec& v) {
    g = g * scale;
    m = at::vec::fmadd(m, beta1, rest1 * g);
    v = at::vec::fmadd(v, beta2, rest2 * g * g);
    const Vec denominator = at::vec::fmadd(v.sqrt(), root_scale, eps);
    return at::vec::fmadd(m / denominator, size, p * kept);
  };
  const auto updated = [&](int64_t i, int count) {
    Vec m = load(first + i, count), v = load(second + i, count);
    const Vec p = update(load(value + i, count), load(gradient + i, count), m, v);
    store(p, value + i, count);
    store(m, first + i, count);
    store(v, second + i, count);
    return p;
  };
  if (!average) {
    by_vectors(n, updated);
    return;
  }
  // From the nearer end, so that a weight of 1 gives the value itself.
  const float weight = step.average_weight;
  const bool from_value = weight >= 0.5F;
  const Vec share(from_value ? weight - 1.0F : weight);
  by_vectors(n, [&](int64_t i, int count) {
    const Vec p = updated(i, count), mean = load(average + i, count);
    store(at::vec::fmadd(share, p - mean, from_value ? p : mean), average + i, count);
  });
}

double sum_of_squares(const float* x, int64_t n) {
  // Two sums a vector wide, in float over pieces short enough for their rounding not to matter, joined in double.
  constexpr int64_t kPiece = 2048;
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += kPiece) {
    const int64_t end = begin + kPiece < n ? begin + kPiece : n;
    Vec a(0.0F), b(0.0F);
    int64_t i = begin;
    for (; i + 2 * Vec::size() <= end; i += 2 * Vec::size()) {
      const Vec p = Vec::loadu(x + i), q = Vec::loadu(x + i + Vec::size());
      a = at::vec::fmadd(p, p, a);
      b = at::vec::fmadd(q, q, b);
    }
    float lanes[Vec::size()];
    (a + b).store(lanes);
    for (const float lane : lanes) total += lane;
    for (; i < end; ++i) total += static_cast<double>(x[i]) * x[i];
  }
  return total;
}

void add(float* z, const float* x, const float* y, int64_t n) {
  by_vectors(n, [&](int64_t i, int count) { store(load(x + i, count) + load(y + i, count), z + i, count); });
}

double sum(const float* x, int64_t n) {
  Vec a(0.0F), b(0.0F), c(0.0F), d(0.0F);  // one sum would wait for its own last addition
  int64_t i = 0;
  for (; i + 4 * Vec::size() <= n; i += 4 * Vec::size()) {
    a = a + Vec::loadu(x + i);
    b = b + Vec::loadu(x + i + Vec::size());
    c = c + Vec::loadu(x + i + 2 * Vec::size());
    d = d + Vec::loadu(x + i + 3 * Vec::size());
  }
  float lanes[Vec::size()];
  ((a + b) + (c + d)).store(lanes);
  double total = 0;
  for (const float lane : lanes) total += lane;
  for (; i < n; ++i) total += x[i];
  return total;
}

}  // namespace genzoo::GENZOO_KERNELS
