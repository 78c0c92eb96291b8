#include "models/transformer/attention.h"

#include <ATen/ATen.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/utils.h>

#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "core/bfloat16.h"
#include "core/kernels/kernels.h"
#include "core/workers.h"
#include "models/transformer/fused_attention.h"

namespace genzoo {
namespace {

/// Which of S keys each of the last T positions' queries may see: (T, S) bool.
Tensor visible(const Tensor& q, const Tensor& k) {
  const int64_t T = q.size(2), S = k.size(2);
  return at::ones({T, S}, q.options().dtype(torch::kBool)).tril(S - T);
}

/// Whether attend_cached() may stand in for attend().
bool fits_kernel(const Tensor& q, const LayerCache& cache) {
  const auto fits = [](const Tensor& t) { return t.is_cpu() && t.scalar_type() == torch::kFloat; };
  return fits(q) && fits(cache.keys) && q.stride(-1) == 1 && q.size(2) <= Kernels::kRowsAtOnce;
}

/// attend() over cached keys and values by this processor's kernel: q (B, H, T, D), the last of those cached ->
/// (B, T, H D). Little work, for which LibTorch's operators would prepare longer than they run.
Tensor attend_cached(const Tensor& q, const LayerCache& cache) {
  const int64_t B = q.size(0), H = q.size(1), T = q.size(2), D = q.size(3), S = cache.length;
  const Tensor y = at::empty({B, T, H * D}, q.options());
  const auto *queries = q.const_data_ptr<float>(), *keys = cache.keys.const_data_ptr<float>(),
             *values = cache.values.const_data_ptr<float>();
  auto* out = y.mutable_data_ptr<float>();
  const int64_t of_head = cache.keys.stride(1);
  for_ranges(/*workers=*/nullptr, B * H * T * S * D, T * S * D, [&](int64_t begin, int64_t end) {
    std::vector<float> weights(static_cast<size_t>(S));
    for (int64_t i = begin / (T * S * D); i < end / (T * S * D); ++i) {
      const int64_t b = i / H, h = i % H;
      kernels().attend({.q = queries + b * q.stride(0) + h * q.stride(1),
                        .queries = T,
                        .stride = q.stride(2),
                        .keys = keys + i * of_head,
                        .values = values + i * of_head,
                        .length = S,
                        .channels = D,
                        .scale = 1.0F / std::sqrt(static_cast<float>(D)),
                        .y = out + b * T * H * D + h * D,
                        .y_stride = H * D,
                        .weights = weights.data()});
    }
  });
  return y;
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
  return dtype == torch::kBFloat16 && has_library_bfloat16_products() ? dtype : torch::kFloat;
}

Tensor attend_by_steps(const Tensor& q, const Tensor& k, const Tensor& v, bool causal, const Dropout& dropout) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(q.size(-1)));
  Tensor scores = at::matmul(q, k.transpose(-2, -1)) * scale;  // (B, H, T, S)
  if (causal) {
    const Tensor future = visible(q, k).logical_not();
    scores = scores.masked_fill(future, -std::numeric_limits<double>::infinity());
  }
  const auto softmax_dtype = q.scalar_type() == torch::kDouble ? torch::kDouble : torch::kFloat;
  const Tensor weights = dropout(scores.softmax(/*dim=*/-1, softmax_dtype));
  return at::matmul(weights.to(v.scalar_type()), v);
}

Heads heads_of(const Tensor& qkv, int64_t n_head, const PositionTable& positions) {
  const auto parts = qkv.view({qkv.size(0), qkv.size(1), 3, n_head, qkv.size(2) / (3 * n_head)}).unbind(/*dim=*/2);
  return {rotate(parts[0], positions).transpose(1, 2), rotate(parts[1], positions).transpose(1, 2),
          parts[2].transpose(1, 2)};
}

Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, bool causal, const Dropout& dropout) {
  // LibTorch's own dropout would draw from the default generator.
  if (dropout.active()) return attend_by_steps(q, k, v, causal, dropout);
  // Types are chosen here; autocast would lower them again.
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  const torch::ScalarType dtype = attention_dtype(q.scalar_type(), q.device());
  // LibTorch's own causal mask counts queries and keys from the same start.
  const bool from_start = k.size(2) == q.size(2);
  const std::optional<Tensor> mask = causal && !from_start ? std::optional<Tensor>(visible(q, k)) : std::nullopt;
  return at::scaled_dot_product_attention(q.to(dtype), k.to(dtype), v.to(dtype), mask, /*dropout_p=*/0.0,
                                          causal && from_start)
      .to(q.scalar_type());
}

CausalSelfAttentionImpl::CausalSelfAttentionImpl(int64_t n_embd, int64_t n_head, bool with_bias, double residual_std,
                                                 Rng& init)
    : n_head_(n_head),
      qkv_(register_module("qkv", gpt2_linear(n_embd, 3 * n_embd, with_bias, kGPT2InitStd, init))),
      projection_(register_module("projection", gpt2_linear(n_embd, n_embd, with_bias, residual_std, init))) {}

void CausalSelfAttentionImpl::reduce_into(ReducedBlock& block, WeightType type) const {
  block.qkv = ReducedLinear(qkv_->weight, qkv_->bias, type);
  block.projection = ReducedLinear(projection_->weight, projection_->bias, type);
}

Tensor CausalSelfAttentionImpl::forward(const Tensor& x, const PositionTable& positions, const Dropout& dropout,
                                        LayerCache* cache, const ReducedBlock* reduced) {
  const int64_t T = x.size(1);
  const Tensor qkv = reduced ? reduced->qkv.forward(x) : qkv_->forward(x);  // (B, T, 3 C)
  Tensor y;                                                                 // (B, T, C)
  if (!cache && !dropout.active()) {
    y = fused_causal_attention(qkv, n_head_, positions);
  } else {
    Heads heads = heads_of(qkv, n_head_, positions);
    if (cache) {
      cache->append(heads.k, heads.v);
      if (reduced && fits_kernel(heads.q, *cache) && !dropout.active()) {
        return reduced->projection.forward(attend_cached(heads.q, *cache));
      }
      heads.k = cache->keys.narrow(/*dim=*/2, 0, cache->length);
      heads.v = cache->values.narrow(/*dim=*/2, 0, cache->length);
    }
    // The last token sees all there are, itself included: alone, it needs no mask.
    y = attend(heads.q, heads.k, heads.v, /*causal=*/T > 1, dropout).transpose(1, 2).flatten(/*start_dim=*/2);
  }
  return dropout(reduced ? reduced->projection.forward(y)
                         : projection_->activated(y, Activation::none, Result::float32));
}

Linear gpt2_linear(int64_t in, int64_t out, bool with_bias, double std, Rng& init) {
  return Linear(init.normal({out, in}).mul_(std), with_bias ? at::zeros({out}) : Tensor());
}

}  // namespace genzoo
