#pragma once
// Causal self-attention, and the keys and values it remembers between the tokens of a text being generated.
//
// Legend: B batch, T tokens, C channels (n_embd), H heads, D = C / H channels of a head.

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>

#include "core/random.h"
#include "models/layers.h"
#include "models/transformer/positions.h"
#include "models/transformer/reduced_linear.h"

namespace genzoo {

/// Dropout with a given probability, drawn from a given stream; without a stream, the identity.
struct Dropout {
  double p = 0;
  Rng* rng = nullptr;

  bool active() const { return rng && p > 0; }
  Tensor operator()(const Tensor& x) const { return active() ? rng->dropout(x, p) : x; }
};

/// The keys and values of the tokens one layer has seen.
struct LayerCache {
  Tensor keys, values;  ///< (B, H, context, D), allocated once; the first `length` positions are filled
  int64_t length = 0;

  LayerCache(int64_t batch, int64_t n_head, int64_t context, int64_t head_channels,
             const torch::TensorOptions& options);

  /// Appends k, v (B, H, T, D) behind those there are.
  void append(const Tensor& k, const Tensor& v);
};

/// The type in which attention over queries of `dtype` is computed on `device`. On a CPU whose bfloat16 attention is
/// not faster that is float32. Chosen by capability, never by timing, so that equal runs choose equally.
torch::ScalarType attention_dtype(torch::ScalarType dtype, torch::Device device);

/// Queries, keys and values of every head.
struct Heads {
  Tensor q, k, v;  ///< (B, H, T, D) each
};

/// qkv (B, T, 3 C), what CausalSelfAttention's first layer makes; queries and keys turned, if positions are rotary.
Heads heads_of(const Tensor& qkv, int64_t n_head, const PositionTable& positions);

/// softmax(q k^T / sqrt(D)) v: Vaswani et al. (2017), eq. (1). With `causal` the queries are those of the last T of S
/// positions, and query t sees keys 0 ... S - T + t only.
/// q (B, H, T, D), k and v (B, H, S, D) -> (B, H, T, D). Active dropout sets attention weights to zero.
Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, bool causal, const Dropout& dropout);

/// The same step by step, with the matrix of all weights: gradients have gradients, and dropout draws from its stream.
Tensor attend_by_steps(const Tensor& q, const Tensor& k, const Tensor& v, bool causal, const Dropout& dropout);

/// Multi-head causal self-attention. Vaswani et al. (2017), section 3.2.2.
class CausalSelfAttentionImpl final : public torch::nn::Module {
 public:
  /// residual_std: standard deviation of the initial projection back into the residual stream.
  CausalSelfAttentionImpl(int64_t n_embd, int64_t n_head, bool with_bias, double residual_std, Rng& init);

  /// x (B, T, C) -> (B, T, C). `positions` are those of the T tokens. With a cache x are the tokens after those cached.
  /// `reduced`: in place of the layers' own weights.
  Tensor forward(const Tensor& x, const PositionTable& positions, const Dropout& dropout, LayerCache* cache = nullptr,
                 const ReducedBlock* reduced = nullptr);

  /// Copies of its layers' weights, into qkv and projection.
  void reduce_into(ReducedBlock& block, WeightType type) const;

 private:
  int64_t n_head_;
  Linear qkv_;         ///< queries, keys and values of all heads in one product: C -> 3 C
  Linear projection_;  ///< C -> C
};
TORCH_MODULE(CausalSelfAttention);

/// Standard deviation of GPT-2's initial weights and embeddings. Radford et al. (2019).
inline constexpr double kGPT2InitStd = 0.02;

/// A linear layer as GPT-2 initializes it: weights from N(0, std^2), biases zero. Radford et al. (2019), section 2.3.
Linear gpt2_linear(int64_t in, int64_t out, bool with_bias, double std, Rng& init);

}  // namespace genzoo
