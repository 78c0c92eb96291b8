#include "models/transformer/residual_stream.h"

#include <ATen/ATen.h>

namespace genzoo {

void ResidualStream::add(const Tensor& update) {
  if (update_.defined()) sum_ = sum_ + update_;
  update_ = update;
}

Tensor ResidualStream::normalized(LayerNormImpl& norm) {
  const NormalizedSum made = norm.after_sum(sum_, update_);
  sum_ = made.sum;
  update_ = Tensor();
  return made.normalized;
}

}  // namespace genzoo
