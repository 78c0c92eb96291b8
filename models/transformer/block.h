#pragma once
// What transformers of text and of pixels have in common: blocks of attention and MLP on a residual stream, with the
// architecture and the initialization of GPT-2. Radford et al. (2019), section 2.3, after Vaswani et al. (2017).
//
// Legend: B batch, T tokens, C channels (n_embd).

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <vector>

#include "core/random.h"
#include "models/layers.h"
#include "models/transformer/attention.h"
#include "models/transformer/positions.h"
#include "models/transformer/residual_stream.h"

namespace genzoo {

struct BlockConfig {
  int64_t n_layer = 4;  ///< blocks in all: they set the size of each one's initial weights
  int64_t n_head = 4;
  int64_t n_embd = 128;    ///< a multiple of n_head
  bool bias = true;        ///< of linear layers and layer norms
  bool recompute = false;  ///< activations in the backward pass: models/transformer/recompute.h
};

inline constexpr const char* kRecomputeDoc =
    "compute each block's activations again in the backward pass instead of keeping them: memory of one block instead "
    "of all, for a third more compute";

/// x + attention(norm(x)), then x + MLP(norm(x)); the MLP is C -> 4 C, GELU, 4 C -> C.
class TransformerBlockImpl final : public torch::nn::Module {
 public:
  TransformerBlockImpl(const BlockConfig& config, Rng& init);

  /// Adds to x (B, T, C); the rest as for CausalSelfAttention.
  void forward(ResidualStream& x, const PositionTable& positions, const Dropout& dropout, LayerCache* cache = nullptr,
               const ReducedBlock* reduced = nullptr);

  /// Copies of its layers' weights.
  ReducedBlock reduced(WeightType type) const;

 private:
  LayerNorm attention_norm_;
  CausalSelfAttention attention_;
  LayerNorm mlp_norm_;
  Linear mlp_in_, mlp_out_;
};
TORCH_MODULE(TransformerBlock);

/// All blocks of a model and the layer norm behind them. No module: they are registered in the model that owns them, as
/// `blocks.0`, `blocks.1`, ... and `final_norm`.
class BlockStack final {
 public:
  BlockStack(torch::nn::Module& owner, const BlockConfig& config, Rng& init);

  /// Embedded tokens (B, T, C) -> the final norm's output (B, T, C). `caches`: none, or one a layer. `reduced`: in
  /// place of the layers' own weights.
  Tensor forward(const Tensor& embedded, const PositionTable& positions, const Dropout& dropout,
                 std::vector<LayerCache>* caches = nullptr, const std::vector<ReducedBlock>* reduced = nullptr);

  /// Copies of all blocks' weights.
  std::vector<ReducedBlock> reduced(WeightType type) const;

  /// Empty caches, one a layer, for `context` tokens of `batch` texts, in the type that attention is computed in.
  std::vector<LayerCache> make_caches(int64_t batch, int64_t context) const;

 private:
  BlockConfig config_;
  std::vector<TransformerBlock> blocks_;
  LayerNorm final_norm_{nullptr};
};

}  // namespace genzoo
