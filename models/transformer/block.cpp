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

std::shared_ptr<NormImpl> make_norm(const BlockConfig& config) {
  if (config.norm == Norm::rms_norm) return RMSNorm(config.n_embd, config.norm_eps).ptr();
  return LayerNorm(config.n_embd, config.bias, config.norm_eps).ptr();
}

}  // namespace

TransformerBlockImpl::TransformerBlockImpl(const BlockConfig& c, Rng& init)
    : config_(c),
      attention_norm_(register_module("attention_norm", make_norm(c))),
      attention_(register_module(
          "attention", SelfAttention(AttentionConfig{c.n_embd, c.n_head, c.key_value_heads(), c.bias, c.causal},
                                     residual_std(c), init))),
      mlp_norm_(register_module("mlp_norm", make_norm(c))),
      mlp_in_(register_module("mlp_in", gpt2_linear(c.n_embd, (c.mlp == MLPKind::swiglu ? 2 : 1) * c.inner_channels(),
                                                    c.bias, kGPT2InitStd, init))),
      mlp_out_(register_module("mlp_out", gpt2_linear(c.inner_channels(), c.n_embd, c.bias, residual_std(c), init))) {}

Tensor TransformerBlockImpl::mlp(const Tensor& normed, const ReducedBlock* reduced) {
  const Activation fused = config_.mlp == MLPKind::gelu_tanh ? Activation::gelu : Activation::none;
  Tensor h = reduced ? reduced->mlp_in.forward(normed, fused) : mlp_in_->activated(normed, fused);
  if (config_.mlp == MLPKind::gelu) h = at::gelu(h);
  if (config_.mlp == MLPKind::swiglu) {
    const auto halves = h.chunk(2, /*dim=*/-1);
    h = at::silu(halves[0]) * halves[1];
  }
  return reduced ? reduced->mlp_out.forward(h) : mlp_out_->activated(h, Activation::none, Result::float32);
}

void TransformerBlockImpl::forward(ResidualStream& x, const PositionTable& positions, const Dropout& dropout,
                                   const Aids& aids) {
  if (config_.norm_place == NormPlace::before) {
    forward_before(x, positions, dropout, aids);
  } else {
    forward_after(x, positions, dropout, aids);
  }
}

void TransformerBlockImpl::forward_before(ResidualStream& x, const PositionTable& positions, const Dropout& dropout,
                                          const Aids& aids) {
  const Tensor for_attention = x.normalized(*attention_norm_);
  // Of a parallel block both layers read the same stream.
  const Tensor for_mlp = config_.residual == Residual::parallel ? x.normalized(*mlp_norm_) : Tensor();
  x.add(attention_->forward(for_attention, positions, dropout, aids));
  x.add(dropout(mlp(for_mlp.defined() ? for_mlp : x.normalized(*mlp_norm_), aids.reduced)));
}

void TransformerBlockImpl::forward_after(ResidualStream& x, const PositionTable& positions, const Dropout& dropout,
                                         const Aids& aids) {
  x.settle();
  x.add(attention_->forward(x.sum(), positions, dropout, aids));
  x = ResidualStream(x.normalized(*attention_norm_, Result::float32));
  x.add(dropout(mlp(x.sum(), aids.reduced)));
  x = ResidualStream(x.normalized(*mlp_norm_, Result::float32));
}

ReducedBlock TransformerBlockImpl::reduced(WeightType type) const {
  ReducedBlock block;
  attention_->reduce_into(block, type);
  block.mlp_in = ReducedLinear(mlp_in_->adapted_weight(), mlp_in_->bias, type);
  block.mlp_out = ReducedLinear(mlp_out_->adapted_weight(), mlp_out_->bias, type);
  return block;
}

BlockStack::BlockStack(torch::nn::Module& owner, const BlockConfig& config, Rng& init) : config_(config) {
  auto blocks = owner.register_module("blocks", torch::nn::ModuleList());
  for (int64_t i = 0; i < config.n_layer; ++i) {
    blocks_.emplace_back(config, init);
    blocks->push_back(blocks_.back());
  }
  if (config.norm_place == NormPlace::before) final_norm_ = owner.register_module("final_norm", make_norm(config));
}

Tensor BlockStack::forward(const Tensor& embedded, const PositionTable& positions, const Dropout& dropout,
                           const StackAids& aids) {
  const auto& [caches, reduced, probes] = aids;
  ResidualStream x(embedded);
  const bool recompute = config_.recompute && at::GradMode::is_enabled() && !caches && !reduced && !probes;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    if (recompute) {
      recomputed_forward(blocks_[i].ptr(), x, positions, dropout);
      continue;
    }
    blocks_[i]->forward(
        x, positions, dropout,
        {caches ? &(*caches)[i] : nullptr, reduced ? &(*reduced)[i] : nullptr, probes ? &(*probes)[i] : nullptr});
  }
  return final_norm_ ? x.normalized(*final_norm_) : x.sum();
}

std::vector<ReducedBlock> BlockStack::reduced(WeightType type) const {
  std::vector<ReducedBlock> all;
  for (const TransformerBlock& block : blocks_) all.push_back(block->reduced(type));
  return all;
}

std::vector<LayerCache> BlockStack::make_caches(int64_t batch, int64_t context) const {
  const Tensor weight = blocks_.front()->parameters().front();
  const auto options =
      weight.options().requires_grad(false).dtype(attention_dtype(weight.scalar_type(), weight.device()));
  std::vector<LayerCache> caches;
  for (int64_t i = 0; i < config_.n_layer; ++i) {
    caches.emplace_back(batch, config_.key_value_heads(), context, config_.n_embd / config_.n_head, options);
  }
  return caches;
}

}  // namespace genzoo
