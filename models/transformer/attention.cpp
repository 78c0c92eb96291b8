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

/// What is added to the scores of queries q and keys k: 0, or less, or minus infinity where a key is not seen. (T, S)
/// or (B or 1, H or 1, T, S), in `dtype`; undefined when every key is seen as it is.
Tensor score_bias(const Tensor& q, const Tensor& k, const Sight& sight, torch::ScalarType dtype) {
  const int64_t T = q.size(2), S = k.size(2);
  Tensor bias;
  const auto places = q.options().dtype(torch::kLong);
  const Tensor key = at::arange(S, places), query = at::arange(S - T, S, places).unsqueeze(1);
  if (sight.slopes.defined()) {
    bias = (key - query).to(dtype) * sight.slopes.to(dtype).view({1, -1, 1, 1});
  }
  Tensor unseen;
  if (sight.causal) unseen = key.gt(query);
  if (sight.begins.defined()) {
    // A query before its text's begin sees itself, so that its softmax, which nobody reads, is a number.
    const Tensor before = key.lt(sight.begins.to(q.device()).view({-1, 1, 1, 1})).logical_and(key.ne(query));
    unseen = unseen.defined() ? unseen.logical_or(before) : before;
  }
  if (!unseen.defined()) return bias;
  if (!bias.defined()) bias = at::zeros({}, q.options().dtype(dtype));
  return bias.masked_fill(unseen, -std::numeric_limits<double>::infinity());
}

/// Keys or values of K heads as those of H heads.
Tensor for_each_query_head(const Tensor& t, int64_t n_head) {
  return t.size(1) == n_head ? t : t.repeat_interleave(n_head / t.size(1), /*dim=*/1);
}

/// Whether attend_cached() may stand in for attend().
bool fits_kernel(const Tensor& q, const LayerCache& cache) {
  const auto fits = [](const Tensor& t) { return t.is_cpu() && t.scalar_type() == torch::kFloat; };
  return fits(q) && fits(cache.keys) && q.stride(-1) == 1 && q.size(2) <= Kernels::kRowsAtOnce;
}

/// attend() over cached keys and values by this processor's kernel: q (B, H, T, D), the last of those cached ->
/// (B, T, H D). Little work, for which LibTorch's operators would prepare longer than they run. `begins` as in Sight.
Tensor attend_cached(const Tensor& q, const LayerCache& cache, const Tensor& begins) {
  const int64_t B = q.size(0), H = q.size(1), T = q.size(2), D = q.size(3), S = cache.length;
  const Tensor y = at::empty({B, T, H * D}, q.options());
  const auto *queries = q.const_data_ptr<float>(), *keys = cache.keys.const_data_ptr<float>(),
             *values = cache.values.const_data_ptr<float>();
  auto* out = y.mutable_data_ptr<float>();
  const int64_t K = cache.keys.size(1), of_head = cache.keys.stride(1);
  const Tensor on_cpu = begins.defined() ? begins.to(torch::kCPU) : begins;
  const int64_t* first = begins.defined() ? on_cpu.const_data_ptr<int64_t>() : nullptr;
  for_ranges(/*workers=*/nullptr, B * H * T * S * D, T * S * D, [&](int64_t begin, int64_t end) {
    std::vector<float> weights(static_cast<size_t>(S));
    for (int64_t i = begin / (T * S * D); i < end / (T * S * D); ++i) {
      const int64_t b = i / H, h = i % H, unseen = first ? first[b] : 0;
      const int64_t at_head = (b * K + h / (H / K)) * of_head + unseen * D;
      kernels().attend({.q = queries + b * q.stride(0) + h * q.stride(1),
                        .queries = T,
                        .stride = q.stride(2),
                        .keys = keys + at_head,
                        .values = values + at_head,
                        .length = S - unseen,
                        .channels = D,
                        .scale = 1.0F / std::sqrt(static_cast<float>(D)),
                        .y = out + b * T * H * D + h * D,
                        .y_stride = H * D,
                        .weights = weights.data()});
    }
  });
  return y;
}

/// attend(), its weights told to the probe and its heads multiplied as that says: (B, H, T, D).
Tensor probed(const Heads& heads, const Sight& sight, AttentionProbe& probe) {
  probe.weights = attention_weights(heads.q, heads.k, sight);
  const Tensor y = at::matmul(probe.weights.to(heads.v.scalar_type()), for_each_query_head(heads.v, heads.q.size(1)));
  return probe.kept.defined() ? y * probe.kept.to(y).view({-1, 1, 1}) : y;
}

}  // namespace

LayerCache::LayerCache(int64_t batch, int64_t n_kv_head, int64_t context, int64_t head_channels,
                       const torch::TensorOptions& options)
    : keys(at::empty({batch, n_kv_head, context, head_channels}, options)), values(at::empty_like(keys)) {}

void LayerCache::append(const Tensor& k, const Tensor& v) {
  const int64_t count = k.size(2);
  keys.narrow(/*dim=*/2, length, count).copy_(k);
  values.narrow(/*dim=*/2, length, count).copy_(v);
  length += count;
}

void LayerCache::reorder(const Tensor& origin) {
  // One target a source, and none has ended: a copy of all there is would be for nothing.
  if (origin.size(0) == keys.size(0) && origin.equal(at::arange(origin.size(0), origin.options()))) return;
  keys = keys.index_select(/*dim=*/0, origin);
  values = values.index_select(/*dim=*/0, origin);
}

torch::ScalarType attention_dtype(torch::ScalarType dtype, torch::Device device) {
  if (!device.is_cpu() || dtype == torch::kFloat || dtype == torch::kDouble) return dtype;
  return dtype == torch::kBFloat16 && has_library_bfloat16_products() ? dtype : torch::kFloat;
}

Tensor attention_weights(const Tensor& q, const Tensor& k, const Sight& sight) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(q.size(-1)));
  const auto dtype = q.scalar_type() == torch::kDouble ? torch::kDouble : torch::kFloat;
  const Tensor scores = at::matmul(q, for_each_query_head(k, q.size(1)).transpose(-2, -1)) * scale;  // (B, H, T, S)
  const Tensor bias = score_bias(q, k, sight, dtype);
  return (bias.defined() ? scores + bias : scores).softmax(/*dim=*/-1, dtype);
}

Tensor attend_by_steps(const Tensor& q, const Tensor& k, const Tensor& v, const Sight& sight, const Dropout& dropout) {
  const Tensor weights = dropout(attention_weights(q, k, sight));
  return at::matmul(weights.to(v.scalar_type()), for_each_query_head(v, q.size(1)));
}

Heads heads_of(const Tensor& qkv, int64_t n_head, const PositionTable& positions, int64_t n_kv_head) {
  const int64_t K = n_kv_head == 0 ? n_head : n_kv_head, D = qkv.size(2) / (n_head + 2 * K);
  const auto parts = qkv.view({qkv.size(0), qkv.size(1), n_head + 2 * K, D}).split_with_sizes({n_head, K, K}, 2);
  return {rotate(parts[0], positions).transpose(1, 2), rotate(parts[1], positions).transpose(1, 2),
          parts[2].transpose(1, 2)};
}

Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, const Sight& sight, const Dropout& dropout) {
  const int64_t B = q.size(0), H = q.size(1), K = k.size(1), D = q.size(3);
  const bool all_seen_alike = !sight.causal && !sight.slopes.defined() && !sight.begins.defined();
  if (K != H && all_seen_alike && !dropout.active()) {
    // Heads that share keys are so many queries of one head: no copies of keys and values.
    return attend(q.reshape({B, K, -1, D}), k, v, sight, dropout).reshape(q.sizes());
  }
  // LibTorch's own dropout would draw from the default generator.
  if (dropout.active()) return attend_by_steps(q, k, v, sight, dropout);
  // Types are chosen here; autocast would lower them again.
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  const torch::ScalarType dtype = attention_dtype(q.scalar_type(), q.device());
  // LibTorch's own causal mask counts queries and keys from the same start.
  const bool by_flag = sight.causal && k.size(2) == q.size(2) && !sight.slopes.defined() && !sight.begins.defined();
  const std::optional<Tensor> mask =
      by_flag || all_seen_alike ? std::nullopt : std::optional<Tensor>(score_bias(q, k, sight, dtype));
  return at::scaled_dot_product_attention(q.to(dtype), for_each_query_head(k, H).to(dtype),
                                          for_each_query_head(v, H).to(dtype), mask, /*dropout_p=*/0.0, by_flag)
      .to(q.scalar_type());
}

SelfAttentionImpl::SelfAttentionImpl(const AttentionConfig& c, double residual_std, Rng& init)
    : config_(c),
      qkv_(register_module(
          "qkv", gpt2_linear(c.n_embd, c.n_embd + 2 * c.n_kv_head * c.head_channels(), c.bias, kGPT2InitStd, init))),
      projection_(register_module("projection", gpt2_linear(c.n_embd, c.n_embd, c.bias, residual_std, init))) {}

void SelfAttentionImpl::reduce_into(ReducedBlock& block, WeightType type) const {
  block.qkv = ReducedLinear(qkv_->adapted_weight(), qkv_->bias, type);
  block.projection = ReducedLinear(projection_->adapted_weight(), projection_->bias, type);
}

Tensor SelfAttentionImpl::forward(const Tensor& x, const PositionTable& positions, const Dropout& dropout,
                                  const Aids& aids) {
  const auto& [cache, reduced, probe] = aids;
  const int64_t T = x.size(1);
  const Tensor qkv = reduced ? reduced->qkv.forward(x) : qkv_->forward(x);  // (B, T, (H + 2 K) D)
  Tensor y;                                                                 // (B, T, C)
  const bool plain = config_.causal && config_.n_kv_head == config_.n_head && !positions.slopes.defined() &&
                     !positions.begins.defined();
  if (!cache && !probe && !dropout.active() && plain) {
    y = fused_causal_attention(qkv, config_.n_head, positions);
  } else {
    Heads heads = heads_of(qkv, config_.n_head, positions, config_.n_kv_head);
    if (cache) {
      cache->append(heads.k, heads.v);
      const bool seen_alike = !positions.slopes.defined() && (T == 1 || !positions.begins.defined());
      if (reduced && fits_kernel(heads.q, *cache) && !dropout.active() && seen_alike) {
        return reduced->projection.forward(attend_cached(heads.q, *cache, positions.begins));
      }
      heads.k = cache->keys.narrow(/*dim=*/2, 0, cache->length);
      heads.v = cache->values.narrow(/*dim=*/2, 0, cache->length);
    }
    // The last token sees all there are, itself included: alone, it needs no mask.
    const Sight sight{.causal = config_.causal && T > 1, .slopes = positions.slopes, .begins = positions.begins};
    const Tensor each = probe ? probed(heads, sight, *probe) : attend(heads.q, heads.k, heads.v, sight, dropout);
    y = each.transpose(1, 2).flatten(/*start_dim=*/2);
  }
  return dropout(reduced ? reduced->projection.forward(y)
                         : projection_->activated(y, Activation::none, Result::float32));
}

Linear gpt2_linear(int64_t in, int64_t out, bool with_bias, double std, Rng& init) {
  return Linear(init.normal({out, in}).mul_(std), with_bias ? at::zeros({out}) : Tensor());
}

}  // namespace genzoo
