// What is to be seen inside of a transformer.

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/utils.h>

#include <vector>

#include "core/error.h"
#include "models/transformer/transformer.h"

namespace genzoo {

Tensor TransformerImpl::next_token_logits(const Tensor& x) {
  const torch::NoGradGuard no_grad;
  return forward(x)[0].narrow(/*dim=*/1, 0, vocabulary_);
}

Tensor TransformerImpl::token_vectors() { return token_embedding_->weight.detach().narrow(/*dim=*/0, 0, vocabulary_); }

Tensor TransformerImpl::attention_maps(const Tensor& x) {
  require_context(x.size(1));
  const torch::NoGradGuard no_grad;
  std::vector<AttentionProbe> probes(static_cast<size_t>(config_.n_layer));
  hidden(x, position_table(x.size(1)), /*dropout=*/{}, {.probes = &probes});
  std::vector<Tensor> maps;
  for (const AttentionProbe& probe : probes) maps.push_back(probe.weights[0]);
  return at::stack(maps);
}

Tensor TransformerImpl::token_log_prob_without(const Tensor& x, const Tensor& y, int64_t layer, int64_t head) {
  require_context(x.size(1));
  if (layer < 0 || layer >= config_.n_layer || head < 0 || head >= config_.n_head) {
    throw UsageError(fmt::format("models/transformer: head {} of layer {}; there are {} of {}, counted from 0", head,
                                 layer, config_.n_head, config_.n_layer));
  }
  const torch::NoGradGuard no_grad;
  std::vector<AttentionProbe> probes(static_cast<size_t>(config_.n_layer));
  probes[static_cast<size_t>(layer)].kept =
      at::ones({config_.n_head}).index_fill(0, at::scalar_tensor(head, at::kLong), 0);
  const Tensor z = logits(hidden(x, position_table(x.size(1)), /*dropout=*/{}, {.probes = &probes}));
  return z.log_softmax(/*dim=*/-1).gather(/*dim=*/-1, y.unsqueeze(-1)).squeeze(-1);
}

}  // namespace genzoo
