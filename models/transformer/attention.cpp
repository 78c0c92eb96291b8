#include "models/transformer/attention.h"

#include <ATen/ATen.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/utils.h>

#include <cmath>
#include <limits>
#include <stdexcept>

#include "core/bfloat16.h"

namespace genzoo {
namespace {

/// The same as LibTorch's attention, step by step: its own dropout would draw from the default generator.
Tensor attend_with_dropout(const Tensor& q, const Tensor& k, const Tensor& v, bool causal, const Dropout& dropout) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(q.size(-1)));
  Tensor scores = at::matmul(q, k.transpose(-2, -1)) * scale;  // (B, H, T, S)
  if (causal) {
    const Tensor future = at::ones({q.size(2), k.size(2)}, q.options().dtype(torch::kBool)).triu(1);
    scores = scores.masked_fill(future, -std::numeric_limits<double>::infinity());
  }
  const auto softmax_dtype = q.scalar_type() == torch::kDouble ? torch::kDouble : torch::kFloat;
  const Tensor weights = dropout(scores.softmax(/*dim=*/-1, softmax_dtype));
  return at::matmul(weights.to(v.scalar_type()), v);
}

}  // namespace

LayerCache::LayerCache(int64_t batch, int64_t n_head, int64_t context, int64_t head_channels,
                       const torch::TensorOptions& options)
    : keys(at::empty({batch, n_head, context, head_channels}, options)), values(at::empty_like(keys)) {}

void LayerCache::append(const Tensor& k, const Tensor& v) {
  const int64_t count = k.size(2);
  keys.narrow(/*dim=*/2, length, count).copy_(k);
  values.narrow(/*dim=*/2, length, count).copy_(v);
  length += count;
}

torch::ScalarType attention_dtype(torch::ScalarType dtype, torch::Device device) {
  if (!device.is_cpu() || dtype == torch::kFloat || dtype == torch::kDouble) return dtype;
  return dtype == torch::kBFloat16 && has_bfloat16_products() ? dtype : torch::kFloat;
}

Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, bool causal, const Dropout& dropout) {
  if (dropout.active()) return attend_with_dropout(q, k, v, causal, dropout);
  // Types are chosen here; autocast would lower them again.
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  const torch::ScalarType dtype = attention_dtype(q.scalar_type(), q.device());
  return at::scaled_dot_product_attention(q.to(dtype), k.to(dtype), v.to(dtype), /*attn_mask=*/{}, /*dropout_p=*/0.0,
                                          causal)
      .to(q.scalar_type());
}

CausalSelfAttentionImpl::CausalSelfAttentionImpl(int64_t n_embd, int64_t n_head, bool with_bias, double residual_std,
                                                 Rng& init)
    : n_head_(n_head),
      qkv_(register_module("qkv", gpt2_linear(n_embd, 3 * n_embd, with_bias, kGPT2InitStd, init))),
      projection_(register_module("projection", gpt2_linear(n_embd, n_embd, with_bias, residual_std, init))) {}

Tensor CausalSelfAttentionImpl::forward(const Tensor& x, const PositionTable& positions, const Dropout& dropout,
                                        LayerCache* cache) {
  const int64_t B = x.size(0), T = x.size(1), C = x.size(2);
  const auto qkv = qkv_->forward(x).chunk(3, /*dim=*/-1);
  const auto heads = [&](const Tensor& t) { return t.reshape({B, T, n_head_, C / n_head_}); };  // (B, T, H, D)
  const Tensor q = rotate(heads(qkv[0]), positions).transpose(1, 2);                            // (B, H, T, D)
  Tensor k = rotate(heads(qkv[1]), positions).transpose(1, 2);
  Tensor v = heads(qkv[2]).transpose(1, 2);
  if (cache) {
    if (cache->length > 0 && T != 1) throw std::logic_error("models/transformer: a cached text goes on token by token");
    cache->append(k, v);
    k = cache->keys.narrow(/*dim=*/2, 0, cache->length);
    v = cache->values.narrow(/*dim=*/2, 0, cache->length);
  }
  // One token sees all there are, itself included; the causal mask counts queries and keys from the same start.
  const Tensor y = attend(q, k, v, /*causal=*/T > 1, dropout);
  return dropout(projection_->activated(y.transpose(1, 2).reshape({B, T, C}), Activation::none, Result::float32));
}

Linear gpt2_linear(int64_t in, int64_t out, bool with_bias, double std, Rng& init) {
  return Linear(init.normal({out, in}).mul_(std), with_bias ? at::zeros({out}) : Tensor());
}

}  // namespace genzoo
