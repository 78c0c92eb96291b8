#pragma once
// Attention between two texts, or within one of which some tokens are hidden: what an encoder and a decoder are made
// of. Vaswani et al. (2017), section 3.2.
//
// Legend: B batch, T tokens that ask, S tokens that are looked at, C channels (n_embd), H heads, D = C / H channels of
// a head.

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>

#include "core/random.h"
#include "models/layers.h"

namespace genzoo {

/// What a layer remembers of the tokens that are looked at; undefined of none.
struct KeysValues {
  Tensor keys, values;  ///< (B, H, S, D)

  KeysValues followed_by(const KeysValues& more) const;  ///< of these tokens and then of those
  KeysValues rows(const Tensor& index) const;            ///< of the rows `index` (N) int64 of the batch
};

/// softmax(q k^T / sqrt(D)) v over the tokens that are `visible`, eq. (1): q (B, H, T, D), keys and values
/// (B, H, S, D), visible (B or 1, 1, T or 1, S) bool, each query's at least one, or undefined for all -> (B, H, T, D).
Tensor attend_visible(const Tensor& q, const KeysValues& seen, const Tensor& visible);

/// Which of T tokens each of them sees: itself and those before it. (1, 1, T, T) bool.
Tensor causal_visibility(int64_t count, torch::Device device);

/// A linear layer with a bias of zero and weights uniform in +-sqrt(6 / (in + part)), where its outputs are several
/// layers' of `part` each: Glorot & Bengio (2010), eq. (16).
Linear glorot_linear(int64_t in, int64_t out, int64_t part, Rng& init);

/// Multi-head attention: section 3.2.2.
class MultiHeadAttentionImpl final : public torch::nn::Module {
 public:
  /// n_embd must be a multiple of n_head.
  MultiHeadAttentionImpl(int64_t n_embd, int64_t n_head, Rng& init);

  /// Of the tokens that are looked at: y (B, S, C).
  KeysValues keys_values(const Tensor& y);

  /// x (B, T, C) asks -> (B, T, C).
  Tensor forward(const Tensor& x, const KeysValues& seen, const Tensor& visible);

 private:
  Tensor split(const Tensor& x) const;  ///< (B, T, C) -> (B, H, T, D)

  int64_t n_head_;
  Linear query_;      ///< C -> C
  Linear key_value_;  ///< keys and values in one product: C -> 2 C
  Linear output_;     ///< C -> C
};
TORCH_MODULE(MultiHeadAttention);

}  // namespace genzoo
