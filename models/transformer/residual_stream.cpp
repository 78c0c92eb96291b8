#include "models/transformer/residual_stream.h"

#include <ATen/ATen.h>

namespace genzoo {

void ResidualStream::add(const Tensor& update) {
  settle();
  update_ = update;
}

bool ResidualStream::settle() {
  if (!update_.defined()) return false;
  sum_ = sum_ + update_;
  update_ = Tensor();
  return true;
}

Tensor ResidualStream::normalized(NormImpl& norm, Result result) {
  const NormalizedSum made = norm.after_sum(sum_, update_, result);
  sum_ = made.sum;
  update_ = Tensor();
  return made.normalized;
}

}  // namespace genzoo
