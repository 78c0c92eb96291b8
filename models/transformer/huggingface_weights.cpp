// Names and layouts of GPT-2, LLaMA, GPT-NeoX and MPT.

#include <ATen/ATen.h>

#include "models/transformer/huggingface.h"
#include "models/transformer/huggingface_layout.h"

namespace genzoo {
namespace {

constexpr bool kNoBias = false;

Layout gpt2() {
  return {.prefix = "transformer.",
          .layer = "h.",
          .outside = {{"token_embedding", {"wte"}, Form::same, kNoBias},
                      {"position_embedding", {"wpe"}, Form::same, kNoBias},
                      {"final_norm", {"ln_f"}}},
          .inside = {{"attention_norm", {"ln_1"}},
                     {"attention.qkv", {"attn.c_attn"}, Form::transposed},
                     {"attention.projection", {"attn.c_proj"}, Form::transposed},
                     {"mlp_norm", {"ln_2"}},
                     {"mlp_in", {"mlp.c_fc"}, Form::transposed},
                     {"mlp_out", {"mlp.c_proj"}, Form::transposed}},
          .bare = {{"head", {"lm_head"}, Form::same, kNoBias}},
          .biases = true,
          .constant = {".attn.bias", ".attn.masked_bias"}};
}

Layout llama() {
  return {.prefix = "model.",
          .layer = "layers.",
          .outside = {{"token_embedding", {"embed_tokens"}}, {"final_norm", {"norm"}}},
          .inside = {{"attention_norm", {"input_layernorm"}},
                     {"attention.qkv", {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}},
                     {"attention.projection", {"self_attn.o_proj"}},
                     {"mlp_norm", {"post_attention_layernorm"}},
                     {"mlp_in", {"mlp.gate_proj", "mlp.up_proj"}},
                     {"mlp_out", {"mlp.down_proj"}}},
          .bare = {{"head", {"lm_head"}}},
          .biases = false,
          .constant = {".rotary_emb.inv_freq"}};
}

Layout gpt_neox() {
  return {.prefix = "gpt_neox.",
          .layer = "layers.",
          .outside = {{"token_embedding", {"embed_in"}, Form::same, kNoBias}, {"final_norm", {"final_layer_norm"}}},
          .inside = {{"attention_norm", {"input_layernorm"}},
                     {"attention.qkv", {"attention.query_key_value"}, Form::by_head},
                     {"attention.projection", {"attention.dense"}},
                     {"mlp_norm", {"post_attention_layernorm"}},
                     {"mlp_in", {"mlp.dense_h_to_4h"}},
                     {"mlp_out", {"mlp.dense_4h_to_h"}}},
          .bare = {{"head", {"embed_out"}, Form::same, kNoBias}},
          .biases = true,
          .constant = {".rotary_emb.inv_freq", ".attention.bias", ".attention.masked_bias"}};
}

Layout mpt() {
  return {.prefix = "transformer.",
          .layer = "blocks.",
          .outside = {{"token_embedding", {"wte"}}, {"final_norm", {"norm_f"}}},
          .inside = {{"attention_norm", {"norm_1"}},
                     {"attention.qkv", {"attn.Wqkv"}},
                     {"attention.projection", {"attn.out_proj"}},
                     {"mlp_norm", {"norm_2"}},
                     {"mlp_in", {"ffn.up_proj"}},
                     {"mlp_out", {"ffn.down_proj"}}},
          .bare = {{"head", {"lm_head"}}},
          .biases = false,
          .constant = {}};
}

/// Of a model whose head is its embedding the other copy of it is none of its tensors.
Layout layout_of(Architecture architecture, bool tied) {
  Layout (*const all[])() = {gpt2, llama, gpt_neox, mpt};
  Layout layout = all[static_cast<size_t>(architecture)]();
  if (tied) layout.constant.push_back(architecture == Architecture::gpt_neox ? "embed_out.weight" : "lm_head.weight");
  return layout;
}

/// Which channel of a head of theirs ours is. Of rotary positions that turn a share R of D channels, theirs are pairs
/// (i, i + R / 2); ours are (i, i + D / 2) with angles of zero behind the first R / 2.
Tensor channel_order(const TransformerConfig& config) {
  const auto* rotary = std::get_if<RotaryPositions>(&config.positions);
  const int64_t D = config.n_embd / config.n_head, R = rotary ? rotary_channels(*rotary, D) : D;
  const Tensor turned = at::arange(R), still = at::arange(R, D);
  return at::cat(
      {turned.slice(0, 0, R / 2), still.slice(0, 0, (D - R) / 2), turned.slice(0, R / 2), still.slice(0, (D - R) / 2)});
}

LayoutSizes sizes_of(const TransformerConfig& config) {
  return {.n_layer = config.n_layer,
          .n_head = config.n_head,
          .n_embd = config.n_embd,
          .key_channels = config.blocks().key_value_heads() * (config.n_embd / config.n_head),
          .channel_order = channel_order(config)};
}

}  // namespace

Tensors our_tensors(Architecture architecture, const TransformerConfig& config, const Tensors& own, Tensors theirs) {
  return our_tensors(layout_of(architecture, config.tie_weights), sizes_of(config), own, std::move(theirs));
}

Tensors their_tensors(Architecture architecture, const TransformerConfig& config, const Tensors& own) {
  Layout layout = layout_of(architecture, config.tie_weights);
  if (config.tie_weights) layout.bare.clear();
  return their_tensors(layout, sizes_of(config), own);
}

}  // namespace genzoo
