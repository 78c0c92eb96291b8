// Cross-entropy of a softmax and its gradient in one visit of a row. Compiled once for each instruction set; see
// kernels.h.
#include <cmath>

#include "core/kernels/table.h"
#include "core/kernels/vectors.h"

namespace genzoo::GENZOO_KERNELS {

namespace {

float largest(const float* x, int64_t n) {
  float top = x[0];
  int64_t i = 0;
  if (n >= Vec::size()) {
    Vec tops = Vec::loadu(x);
    for (; i + Vec::size() <= n; i += Vec::size()) tops = at::vec::maximum(tops, Vec::loadu(x + i));
    float lanes[Vec::size()];
    tops.store(lanes);
    for (const float lane : lanes) top = lane > top || std::isnan(lane) ? lane : top;
  }
  for (; i < n; ++i) top = x[i] > top || std::isnan(x[i]) ? x[i] : top;
  return top;
}

/// `logits` become their exponentials, in relation to the largest's. Returns the cross-entropy and the sum.
struct Row {
  float cross_entropy, sum;
};
Row exponentials(float* logits, int64_t target, int64_t n) {
  const float top = largest(logits, n), hit = logits[target];
  const Vec shift(top);
  // Two sums: one alone would wait for its own last addition; parts of a row in double, for rows may be long.
  constexpr int64_t kPiece = 4096;
  double all = 0;
  for (int64_t begin = 0; begin < n; begin += kPiece) {
    const int64_t size = begin + kPiece < n ? kPiece : n - begin;
    Vec sum(0.0F);
    by_vectors(size, [&](int64_t i, int count) {
      const Vec e = first_lanes((load(logits + begin + i, count) - shift).exp_u20(), count);
      store(e, logits + begin + i, count);
      sum = sum + e;
    });
    all += total(sum);
  }
  const float sum = static_cast<float>(all);
  return {top - hit + static_cast<float>(std::log(all)), sum};
}

template <class T>
float cross_entropy_row(float* logits, T* gradient, int64_t target, int64_t n) {
  const Row row = exponentials(logits, target, n);
  if (!gradient) return row.cross_entropy;
  const float at_target = logits[target] / row.sum - 1.0F;
  const Vec scale(1.0F / row.sum);
  by_vectors(n, [&](int64_t i, int count) { store(load(logits + i, count) * scale, gradient + i, count); });
  store(Vec(at_target), gradient + target, 1);
  return row.cross_entropy;
}

}  // namespace

void cross_entropy(float* logits, float* gradient, const int64_t* targets, float* losses, int64_t rows,
                   int64_t columns) {
  for (int64_t r = 0; r < rows; ++r) {
    losses[r] =
        cross_entropy_row(logits + r * columns, gradient ? gradient + r * columns : nullptr, targets[r], columns);
  }
}
void cross_entropy_16(float* logits, BFloat16* gradient, const int64_t* targets, float* losses, int64_t rows,
                      int64_t columns) {
  for (int64_t r = 0; r < rows; ++r) {
    losses[r] =
        cross_entropy_row(logits + r * columns, gradient ? gradient + r * columns : nullptr, targets[r], columns);
  }
}

}  // namespace genzoo::GENZOO_KERNELS
