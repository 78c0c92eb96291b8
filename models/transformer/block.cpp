#include "models/transformer/block.h"

#include <ATen/ATen.h>
#include <torch/nn/modules/container/modulelist.h>

#include <cmath>

#include "models/transformer/recompute.h"

namespace genzoo {
namespace {

/// Each of the 2 n_layer projections into the residual stream starts smaller by their number's root, so that their sum
/// does not grow with depth. Radford et al. (2019), section 2.3.
double residual_std(const BlockConfig& config) {
  return kGPT2InitStd / std::sqrt(2.0 * static_cast<double>(config.n_layer));
}

}  // namespace

TransformerBlockImpl::TransformerBlockImpl(const BlockConfig& c, Rng& init)
    : attention_norm_(register_module("attention_norm", LayerNorm(c.n_embd, c.bias))),
      attention_(register_module("attention", CausalSelfAttention(c.n_embd, c.n_head, c.bias, residual_std(c), init))),
      mlp_norm_(register_module("mlp_norm", LayerNorm(c.n_embd, c.bias))),
      mlp_in_(register_module("mlp_in", gpt2_linear(c.n_embd, 4 * c.n_embd, c.bias, kGPT2InitStd, init))),
      mlp_out_(register_module("mlp_out", gpt2_linear(4 * c.n_embd, c.n_embd, c.bias, residual_std(c), init))) {}

void TransformerBlockImpl::forward(ResidualStream& x, const PositionTable& positions, const Dropout& dropout,
                                   LayerCache* cache, const ReducedBlock* reduced) {
  x.add(attention_->forward(x.normalized(*attention_norm_), positions, dropout, cache, reduced));
  const Tensor normed = x.normalized(*mlp_norm_);
  const Tensor h =
      reduced ? reduced->mlp_in.forward(normed, Activation::gelu) : mlp_in_->activated(normed, Activation::gelu);
  x.add(dropout(reduced ? reduced->mlp_out.forward(h) : mlp_out_->activated(h, Activation::none, Result::float32)));
}

ReducedBlock TransformerBlockImpl::reduced(WeightType type) const {
  ReducedBlock block;
  attention_->reduce_into(block, type);
  block.mlp_in = ReducedLinear(mlp_in_->weight, mlp_in_->bias, type);
  block.mlp_out = ReducedLinear(mlp_out_->weight, mlp_out_->bias, type);
  return block;
}

BlockStack::BlockStack(torch::nn::Module& owner, const BlockConfig& config, Rng& init) : config_(config) {
  auto blocks = owner.register_module("blocks", torch::nn::ModuleList());
  for (int64_t i = 0; i < config.n_layer; ++i) {
    blocks_.emplace_back(config, init);
    blocks->push_back(blocks_.back());
  }
  final_norm_ = owner.register_module("final_norm", LayerNorm(config.n_embd, config.bias));
}

Tensor BlockStack::forward(const Tensor& embedded, const PositionTable& positions, const Dropout& dropout,
                           std::vector<LayerCache>* caches, const std::vector<ReducedBlock>* reduced) {
  ResidualStream x(embedded);
  const bool recompute = config_.recompute && at::GradMode::is_enabled() && !caches && !reduced;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    if (recompute) {
      recomputed_forward(blocks_[i].ptr(), x, positions, dropout);
      continue;
    }
    blocks_[i]->forward(x, positions, dropout, caches ? &(*caches)[i] : nullptr, reduced ? &(*reduced)[i] : nullptr);
  }
  return x.normalized(*final_norm_);
}

std::vector<ReducedBlock> BlockStack::reduced(WeightType type) const {
  std::vector<ReducedBlock> all;
  for (const TransformerBlock& block : blocks_) all.push_back(block->reduced(type));
  return all;
}

std::vector<LayerCache> BlockStack::make_caches(int64_t batch, int64_t context) const {
  const Tensor& weight = final_norm_->weight;
  const auto options =
      weight.options().requires_grad(false).dtype(attention_dtype(weight.scalar_type(), weight.device()));
  std::vector<LayerCache> caches;
  for (int64_t i = 0; i < config_.n_layer; ++i) {
    caches.emplace_back(batch, config_.n_head, context, config_.n_embd / config_.n_head, options);
  }
  return caches;
}

}  // namespace genzoo
