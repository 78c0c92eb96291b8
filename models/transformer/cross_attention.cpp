#include "models/transformer/cross_attention.h"

#include <ATen/ATen.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <cmath>
#include <optional>

#include "models/transformer/attention.h"

namespace genzoo {

KeysValues KeysValues::followed_by(const KeysValues& more) const {
  if (!keys.defined()) return more;
  return {at::cat({keys, more.keys}, /*dim=*/2), at::cat({values, more.values}, /*dim=*/2)};
}

KeysValues KeysValues::rows(const Tensor& index) const {
  if (!keys.defined()) return {};
  return {keys.index_select(/*dim=*/0, index), values.index_select(/*dim=*/0, index)};
}

Tensor attend_visible(const Tensor& q, const KeysValues& seen, const Tensor& visible) {
  // Types are chosen here; autocast would lower them again.
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  const torch::ScalarType dtype = attention_dtype(q.scalar_type(), q.device());
  const std::optional<Tensor> mask = visible.defined() ? std::optional<Tensor>(visible) : std::nullopt;
  return at::scaled_dot_product_attention(q.to(dtype), seen.keys.to(dtype), seen.values.to(dtype), mask,
                                          /*dropout_p=*/0.0, /*is_causal=*/false)
      .to(q.scalar_type());
}

Tensor causal_visibility(int64_t count, torch::Device device) {
  const auto options = torch::TensorOptions(device).dtype(torch::kBool);
  return at::ones({count, count}, options).tril().view({1, 1, count, count});
}

Linear glorot_linear(int64_t in, int64_t out, int64_t part, Rng& init) {
  const double bound = std::sqrt(6.0 / static_cast<double>(in + part));
  return Linear(init.uniform({out, in}) * (2 * bound) - bound, at::zeros({out}));
}

MultiHeadAttentionImpl::MultiHeadAttentionImpl(int64_t n_embd, int64_t n_head, Rng& init)
    : n_head_(n_head),
      query_(register_module("query", glorot_linear(n_embd, n_embd, n_embd, init))),
      key_value_(register_module("key_value", glorot_linear(n_embd, 2 * n_embd, n_embd, init))),
      output_(register_module("output", glorot_linear(n_embd, n_embd, n_embd, init))) {}

Tensor MultiHeadAttentionImpl::split(const Tensor& x) const {
  return x.unflatten(/*dim=*/-1, {n_head_, -1}).transpose(1, 2);
}

KeysValues MultiHeadAttentionImpl::keys_values(const Tensor& y) {
  const auto parts = key_value_->forward(y).chunk(2, /*dim=*/-1);
  return {split(parts[0]), split(parts[1])};
}

Tensor MultiHeadAttentionImpl::forward(const Tensor& x, const KeysValues& seen, const Tensor& visible) {
  const Tensor y = attend_visible(split(query_->forward(x)), seen, visible).transpose(1, 2).flatten(/*start_dim=*/2);
  return output_->activated(y, Activation::none, Result::float32);
}

}  // namespace genzoo
