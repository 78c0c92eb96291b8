#pragma once
// What transformers of text and of pixels have in common: blocks of attention and MLP on a residual stream. By default
// with the architecture of GPT-2, and always with its initialization. Radford et al. (2019), section 2.3, after Vaswani
// et al. (2017).
//
// Legend: B batch, T tokens, C channels (n_embd), I channels within an MLP (n_inner).

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "core/random.h"
#include "models/layers.h"
#include "models/transformer/attention.h"
#include "models/transformer/positions.h"
#include "models/transformer/residual_stream.h"

namespace genzoo {

/// How a layer's inputs are normalized.
enum class Norm {
  layer_norm,  ///< Ba et al. (2016)
  rms_norm,    ///< Zhang & Sennrich (2019)
};
inline constexpr const char* kNormNames[] = {"layer_norm", "rms_norm"};

/// What an MLP computes between its linear layers.
enum class MLPKind {
  gelu_tanh,  ///< GELU in the tanh form. Hendrycks & Gimpel (2016)
  gelu,       ///< GELU as it is defined, x Phi(x)
  swiglu,     ///< silu(x W_1) (x W_2): Shazeer (2020), https://arxiv.org/abs/2002.05202, eq. (6)
};
inline constexpr const char* kMLPNames[] = {"gelu_tanh", "gelu", "swiglu"};

/// In what order a block's two layers add to the residual stream.
enum class Residual {
  serial,    ///< x + attention(norm(x)), then x + MLP(norm(x))
  parallel,  ///< x + attention(norm_1(x)) + MLP(norm_2(x)): Wang & Komatsuzaki (2021), GPT-J; Black et al. (2022)
};
inline constexpr const char* kResidualNames[] = {"serial", "parallel"};

/// Where a layer's norm stands.
enum class NormPlace {
  after,   ///< norm(x + layer(x)). Vaswani et al. (2017)
  before,  ///< x + layer(norm(x)), and one more norm behind all blocks. Radford et al. (2019)
};
inline constexpr const char* kNormPlaceNames[] = {"after", "before"};

struct BlockConfig {
  int64_t n_layer = 4;  ///< blocks in all: they set the size of each one's initial weights
  int64_t n_head = 4;
  int64_t n_kv_head = 0;  ///< heads of keys and values, a divisor of n_head; 0: n_head
  int64_t n_embd = 128;   ///< a multiple of n_head
  int64_t n_inner = 0;    ///< I; 0: 4 n_embd
  bool bias = true;       ///< of linear layers and layer norms
  Norm norm = Norm::layer_norm;
  double norm_eps = 1e-5;  ///< added to the variance, or to the mean of squares
  NormPlace norm_place = NormPlace::before;
  bool causal = true;  ///< a token sees those before it and itself alone
  MLPKind mlp = MLPKind::gelu_tanh;
  Residual residual = Residual::serial;
  bool recompute = false;  ///< activations in the backward pass: models/transformer/recompute.h

  int64_t key_value_heads() const { return n_kv_head == 0 ? n_head : n_kv_head; }
  int64_t inner_channels() const { return n_inner == 0 ? 4 * n_embd : n_inner; }
};

inline constexpr const char* kRecomputeDoc =
    "compute each block's activations again in the backward pass instead of keeping them: memory of one block instead "
    "of all, for a third more compute";

/// Attention and MLP, each added to the residual stream. The MLP is C -> I, GELU, I -> C; of swiglu C -> 2 I: W_1 and,
/// below it, W_2.
class TransformerBlockImpl final : public torch::nn::Module {
 public:
  TransformerBlockImpl(const BlockConfig& config, Rng& init);

  /// Adds to x (B, T, C); the rest as for SelfAttention.
  void forward(ResidualStream& x, const PositionTable& positions, const Dropout& dropout, const Aids& aids = {});

  /// Copies of its layers' weights.
  ReducedBlock reduced(WeightType type) const;

 private:
  void forward_before(ResidualStream& x, const PositionTable& positions, const Dropout& dropout, const Aids& aids);
  void forward_after(ResidualStream& x, const PositionTable& positions, const Dropout& dropout, const Aids& aids);
  Tensor mlp(const Tensor& normed, const ReducedBlock* reduced);  ///< (B, T, C) -> (B, T, C)

  BlockConfig config_;
  std::shared_ptr<NormImpl> attention_norm_;
  SelfAttention attention_;
  std::shared_ptr<NormImpl> mlp_norm_;
  Linear mlp_in_, mlp_out_;
};
TORCH_MODULE(TransformerBlock);

/// Aids of every block: none of a kind, or one a layer.
struct StackAids {
  std::vector<LayerCache>* caches = nullptr;
  const std::vector<ReducedBlock>* reduced = nullptr;
  std::vector<AttentionProbe>* probes = nullptr;
};

/// All blocks of a model and the norm behind them. No module: they are registered in the model that owns them, as
/// `blocks.0`, `blocks.1`, ... and `final_norm`.
class BlockStack final {
 public:
  BlockStack(torch::nn::Module& owner, const BlockConfig& config, Rng& init);

  /// Embedded tokens (B, T, C) -> the last norm's output (B, T, C).
  Tensor forward(const Tensor& embedded, const PositionTable& positions, const Dropout& dropout,
                 const StackAids& aids = {});

  /// Copies of all blocks' weights.
  std::vector<ReducedBlock> reduced(WeightType type) const;

  /// Empty caches, one a layer, for `context` tokens of each of `batch` texts, in the type that attention is computed
  /// in.
  std::vector<LayerCache> make_caches(int64_t batch, int64_t context) const;

 private:
  BlockConfig config_;
  std::vector<TransformerBlock> blocks_;
  std::shared_ptr<NormImpl> final_norm_;  ///< of norms before the layers
};

}  // namespace genzoo
