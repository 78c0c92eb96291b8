// The log-probability of bits given their logits, and its gradient. Compiled once for each instruction set; see
// kernels.h.
#include "core/kernels/table.h"
#include "core/kernels/vectors.h"

namespace genzoo::GENZOO_KERNELS {

void bernoulli(const float* logits, const float* x, float* slope, float* log_prob, int64_t rows, int64_t columns) {
  const Vec zero(0.0F), one(1.0F);
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t at = r * columns;
    Vec sum(0.0F);
    by_vectors(columns, [&](int64_t i, int count) {
      const Vec l = load(logits + at + i, count), target = load(x + at + i, count);
      // x l - log(1 + e^l) = x l - max(l, 0) - log(1 + e^-|l|), and e^-|l| gives sigmoid(l), too.
      const Vec e = l.abs().neg().exp_u20(), sigmoid_of_abs = one / (one + e);
      const Vec value = at::vec::fmsub(target, l, at::vec::maximum(l, zero)) + sigmoid_of_abs.log();
      sum = sum + first_lanes(value, count);
      if (slope) store(target - Vec::blendv(one - sigmoid_of_abs, sigmoid_of_abs, l > zero), slope + at + i, count);
    });
    log_prob[r] = total(sum);
  }
}

}  // namespace genzoo::GENZOO_KERNELS
