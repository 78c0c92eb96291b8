#include "models/class_head.h"

#include <ATen/ATen.h>

namespace genzoo {

Loss class_loss(const Tensor& logits, const Tensor& labels) {
  const Tensor wrong = logits.detach().argmax(/*dim=*/1).ne(labels).to(torch::kFloat).mean();
  return {at::cross_entropy_loss(logits, labels), {{"error_rate", wrong}}};
}

}  // namespace genzoo
