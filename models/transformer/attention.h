#pragma once
// Self-attention, and the keys and values it remembers between the tokens of a text being generated.
//
// Legend: B batch, T tokens, C channels (n_embd), H heads, D = C / H channels of a head, K heads of keys and values, S
// tokens that have keys.

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
  Tensor keys, values;  ///< (B, K, context, D), allocated once; the first `length` positions are filled
  int64_t length = 0;

  LayerCache(int64_t batch, int64_t n_kv_head, int64_t context, int64_t head_channels,
             const torch::TensorOptions& options);

  /// Appends k, v (B, K, T, D) behind those there are.
  void append(const Tensor& k, const Tensor& v);
  /// Text i is from now on what text origin[i] was: origin (B') int64.
  void reorder(const Tensor& origin);
};

/// The type in which attention over queries of `dtype` is computed on `device`. On a CPU whose bfloat16 attention is
/// not faster that is float32. Chosen by capability, never by timing, so that equal runs choose equally.
torch::ScalarType attention_dtype(torch::ScalarType dtype, torch::Device device);

/// Queries, keys and values of every head.
struct Heads {
  Tensor q;     ///< (B, H, T, D)
  Tensor k, v;  ///< (B, K, T, D)
};

/// qkv (B, T, (H + 2 K) D), what SelfAttention's first layer makes; queries and keys turned, if positions are
/// rotary. n_kv_head: K; 0: H.
Heads heads_of(const Tensor& qkv, int64_t n_head, const PositionTable& positions, int64_t n_kv_head = 0);

/// Which keys a query sees, and what is added to its scores.
struct Sight {
  bool causal = true;  ///< queries are those of the last T of S positions, and query t sees keys 0 ... S - T + t only
  Tensor slopes = {};  ///< (H): a score is lowered by slope times distance; undefined: by nothing
  Tensor begins = {};  ///< (B) int64: keys before it are not seen; undefined: all are
};

/// softmax(q k^T / sqrt(D)) v: Vaswani et al. (2017), eq. (1). q (B, H, T, D), k and v (B, K, S, D) -> (B, H, T, D).
/// Where K is less than H, H / K heads in a row share keys and values: Ainslie et al. (2023),
/// https://arxiv.org/abs/2305.13245. Active dropout sets attention weights to zero.
Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, const Sight& sight, const Dropout& dropout);

/// The same step by step, with the matrix of all weights: gradients have gradients, and dropout draws from its stream.
Tensor attend_by_steps(const Tensor& q, const Tensor& k, const Tensor& v, const Sight& sight, const Dropout& dropout);

/// The matrix of all weights that attend() would give the values: (B, H, T, S), at least float32.
Tensor attention_weights(const Tensor& q, const Tensor& k, const Sight& sight);

/// Looks into one layer's attention, and changes it.
struct AttentionProbe {
  Tensor weights = {};  ///< filled: (B, H, T, S)
  Tensor kept = {};     ///< (H): each head's output is multiplied by its number; undefined: all by one
};

/// What attention is run with besides its inputs where nothing is learned: while text is generated or looked into.
struct Aids {
  LayerCache* cache = nullptr;            ///< inputs are the tokens after those cached
  const ReducedBlock* reduced = nullptr;  ///< in place of the layers' own weights
  AttentionProbe* probe = nullptr;        ///< of all keys there are, step by step
};

struct AttentionConfig {
  int64_t n_embd = 128;
  int64_t n_head = 4;
  int64_t n_kv_head = 4;  ///< K: n_head, or a divisor of it
  bool bias = true;
  bool causal = true;  ///< a token sees those before it and itself alone

  int64_t head_channels() const { return n_embd / n_head; }
};

/// Multi-head self-attention. Vaswani et al. (2017), section 3.2.2.
class SelfAttentionImpl final : public torch::nn::Module {
 public:
  /// residual_std: standard deviation of the initial projection back into the residual stream.
  SelfAttentionImpl(const AttentionConfig& config, double residual_std, Rng& init);

  /// x (B, T, C) -> (B, T, C). `positions` are those of the T tokens.
  Tensor forward(const Tensor& x, const PositionTable& positions, const Dropout& dropout, const Aids& aids = {});

  /// Copies of its layers' weights, into qkv and projection.
  void reduce_into(ReducedBlock& block, WeightType type) const;

 private:
  AttentionConfig config_;
  Linear qkv_;         ///< queries, keys and values of all heads in one product: C -> (H + 2 K) D
  Linear projection_;  ///< C -> C
};
TORCH_MODULE(SelfAttention);

/// Standard deviation of GPT-2's initial weights and embeddings. Radford et al. (2019).
inline constexpr double kGPT2InitStd = 0.02;

/// A linear layer as GPT-2 initializes it: weights from N(0, std^2), biases zero. Radford et al. (2019), section 2.3.
Linear gpt2_linear(int64_t in, int64_t out, bool with_bias, double std, Rng& init);

}  // namespace genzoo
