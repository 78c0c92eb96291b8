#include "models/source_gradients.h"

#include <torch/autograd.h>

#include "data/pairs.h"

namespace genzoo {

torch::Tensor gradient_norms(const torch::Tensor& logits, const torch::Tensor& y, int64_t end_token,
                             const torch::Tensor& vectors) {
  const torch::Tensor log_p = logits.log_softmax(/*dim=*/-1).gather(/*dim=*/-1, y.unsqueeze(-1)).squeeze(-1);
  const torch::Tensor counts = up_to_end(y, end_token).to(log_p.scalar_type());
  const torch::Tensor gradient = torch::autograd::grad({(log_p * counts).sum()}, {vectors})[0];
  return gradient.detach().norm(/*p=*/2, /*dim=*/-1);
}

}  // namespace genzoo
