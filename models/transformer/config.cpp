// What can be set of a transformer, and which settings go together.

#include <fmt/format.h>

#include "models/transformer/transformer.h"

namespace genzoo {

void TransformerConfig::fields(Fields& f) {
  f("n_layer", n_layer, "blocks of attention and MLP", positive);
  f("n_head", n_head, "attention heads", positive);
  f("n_embd", n_embd, "channels of the residual stream; a multiple of n_head", positive);
  f("block_size", block_size, "context: tokens the model sees", positive);
  f("dropout", dropout, "share of embeddings, attention weights and residual updates set to zero in training",
    fraction);
  f("bias", bias, "biases in linear layers and layer norms");
  f("positions", positions, "how the model knows the order of tokens");
  f("n_kv_head", n_kv_head, "heads of keys and values, a divisor of n_head, whose heads share them; 0: n_head",
    non_negative);
  f("n_inner", n_inner, "channels within an MLP; 0: 4 n_embd", non_negative);
  f("norm", norm, kNormNames, "how a layer's inputs are normalized");
  f("norm_eps", norm_eps, "added to what the norm divides by, before the root", positive);
  f("mlp", mlp, kMLPNames, "what an MLP computes between its linear layers");
  f("residual", residual, kResidualNames, "attention and MLP one after the other, or both of the same input");
  f("tie_weights", tie_weights, "use the token embedding as the output layer's weights too");
  f("vocab_size", vocab_size,
    "rows of the token embedding, at least the data's vocabulary; 0: as many. Those beyond it stand for no token: they "
    "fill up a matrix to a round or a pre-trained size",
    non_negative);
  f("recompute", recompute, kRecomputeDoc);

  const bool divisible = n_head > 0 && n_embd % n_head == 0;
  f.require(divisible, "n_embd", "'n_embd' must be a multiple of 'n_head'");
  f.require(n_kv_head <= 0 || n_head % n_kv_head == 0, "n_kv_head", "'n_kv_head' must be a divisor of 'n_head'");
  const auto* rotary = std::get_if<RotaryPositions>(&positions);
  const int64_t head_channels = divisible ? n_embd / n_head : 0;
  f.require(!rotary || !divisible || head_channels % 2 == 0, "n_embd",
            "'n_embd' / 'n_head' must be even with 'positions: rotary', which turns pairs of channels");
  const int64_t turned = rotary ? rotary_channels(*rotary, head_channels) : 0;
  f.require(!rotary || !divisible || head_channels % 2 == 1 || (turned > 0 && turned % 2 == 0), "positions",
            fmt::format("'share' of the {} channels of a head, rounded down, is {}; it must be an even number of them, "
                        "at least 2",
                        head_channels, turned));
  f.require(!std::holds_alternative<SinusoidalPositions>(positions) || n_embd % 2 == 0, "n_embd",
            "'n_embd' must be even with 'positions: sinusoidal', which has a sine and a cosine of each frequency");
}

BlockConfig TransformerConfig::blocks() const {
  return {.n_layer = n_layer,
          .n_head = n_head,
          .n_kv_head = n_kv_head,
          .n_embd = n_embd,
          .n_inner = n_inner,
          .bias = bias,
          .norm = norm,
          .norm_eps = norm_eps,
          .mlp = mlp,
          .residual = residual,
          .recompute = recompute};
}

}  // namespace genzoo
