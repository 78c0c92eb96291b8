#include "models/transformer/alignment.h"

#include <ATen/ATen.h>

#include "data/pairs.h"

namespace genzoo {

Aligned align_ends(const torch::Tensor& x, int64_t end_token) {
  const int64_t T = x.size(1);
  const torch::Tensor begins = T - up_to_end(x, end_token).sum(/*dim=*/1);
  const torch::Tensor from = (at::arange(T, x.options()) - begins.unsqueeze(1)).clamp_min(0);
  return {x.gather(/*dim=*/1, from), begins};
}

}  // namespace genzoo
