// Settings of a transformer as config.json and back.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "models/transformer/huggingface.h"

namespace genzoo {
namespace {

MLPKind mlp_named(const ForeignConfig& c, const char* key, const std::string& fallback) {
  const std::string name = c.word(key, fallback);
  if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast") return MLPKind::gelu_tanh;
  if (name == "gelu") return MLPKind::gelu;
  c.refuse(fmt::format("\"{}\" is \"{}\"; known are gelu, gelu_new, gelu_fast and gelu_pytorch_tanh", key, name));
}

const char* name_of(MLPKind mlp) { return mlp == MLPKind::gelu_tanh ? "gelu_new" : "gelu"; }

AngleScaling scaling_of(const ForeignConfig& c) {
  const std::string type = c.word("rope_type", c.word("type", "default"));
  if (type == "default") return UnscaledAngles{};
  if (type == "linear") return LinearAngles{.factor = c.number("factor", 1)};
  if (type == "llama3") {
    return Llama3Angles{.factor = c.number("factor", 8),
                        .low_frequency_factor = c.number("low_freq_factor", 1),
                        .high_frequency_factor = c.number("high_freq_factor", 4),
                        .trained_context = c.integer("original_max_position_embeddings", 8192)};
  }
  c.refuse(fmt::format("rotary positions scaled by \"{}\"; known are default, linear and llama3", type));
}

/// Since version 5 `rope_parameters` has it all; before, `rope_theta` and `rope_scaling`, of GPT-NeoX `rotary_emb_base`
/// and `rotary_pct`.
RotaryPositions rotary_of(const ForeignConfig& c, double default_share) {
  const ForeignConfig parameters = c.below(c.has("rope_parameters") ? "rope_parameters" : "rope_scaling");
  const double theta = c.number("rope_theta", c.number("rotary_emb_base", 10000));
  const double share = c.number("partial_rotary_factor", c.number("rotary_pct", default_share));
  return {.theta = parameters.number("rope_theta", theta),
          .share = parameters.number("partial_rotary_factor", share),
          .scaling = scaling_of(parameters)};
}

TransformerConfig gpt2(const ForeignConfig& c) {
  c.require("scale_attn_weights", true);
  c.require("scale_attn_by_inverse_layer_idx", false);
  c.require("add_cross_attention", false);
  TransformerConfig config;
  config.n_layer = c.integer("n_layer");
  config.n_head = c.integer("n_head");
  config.n_embd = c.integer("n_embd");
  config.n_inner = c.integer("n_inner", 0);
  config.block_size = c.integer("n_positions", c.integer("n_ctx", 1024));
  config.norm_eps = c.number("layer_norm_epsilon", 1e-5);
  config.mlp = mlp_named(c, "activation_function", "gelu_new");
  config.tie_weights = c.flag("tie_word_embeddings", true);
  return config;
}

TransformerConfig llama(const ForeignConfig& c) {
  c.require("hidden_act", "silu");
  c.require("mlp_bias", c.flag("attention_bias", false));
  TransformerConfig config;
  config.n_layer = c.integer("num_hidden_layers");
  config.n_head = c.integer("num_attention_heads");
  config.n_kv_head = c.integer("num_key_value_heads", config.n_head);
  if (config.n_kv_head == config.n_head) config.n_kv_head = 0;
  config.n_embd = c.integer("hidden_size");
  c.require("head_dim", config.n_embd / config.n_head);
  config.n_inner = c.integer("intermediate_size");
  config.block_size = c.integer("max_position_embeddings", 2048);
  config.bias = c.flag("attention_bias", false);
  config.norm = Norm::rms_norm;
  config.norm_eps = c.number("rms_norm_eps", 1e-6);
  config.mlp = MLPKind::swiglu;
  const RotaryPositions rotary = rotary_of(c, /*default_share=*/1);
  if (rotary.share != 1)
    c.refuse(fmt::format("rotary positions of {} of the channels; of LLaMA all turn", rotary.share));
  config.positions = rotary;
  config.tie_weights = c.flag("tie_word_embeddings", false);
  return config;
}

TransformerConfig gpt_neox(const ForeignConfig& c) {
  c.require("attention_bias", true);
  TransformerConfig config;
  config.n_layer = c.integer("num_hidden_layers");
  config.n_head = c.integer("num_attention_heads");
  config.n_embd = c.integer("hidden_size");
  config.n_inner = c.integer("intermediate_size");
  config.block_size = c.integer("max_position_embeddings", 2048);
  config.norm_eps = c.number("layer_norm_eps", 1e-5);
  config.mlp = mlp_named(c, "hidden_act", "gelu");
  config.residual = c.flag("use_parallel_residual", true) ? Residual::parallel : Residual::serial;
  config.positions = rotary_of(c, /*default_share=*/0.25);
  config.tie_weights = c.flag("tie_word_embeddings", false);
  return config;
}

TransformerConfig mpt(const ForeignConfig& c) {
  const ForeignConfig attention = c.below("attn_config");
  attention.require("alibi", true);
  attention.require("attn_type", "multihead_attention");
  attention.require("qk_ln", false);
  attention.require("prefix_lm", false);
  for (const char* key : {"clip_qkv", "softmax_scale"}) {
    if (attention.has(key)) c.refuse(fmt::format("\"attn_config.{}\" is set; this program has no such models", key));
  }
  if (c.has("logit_scale")) c.refuse("\"logit_scale\" is set; this program has no such models");
  c.require("no_bias", true);
  TransformerConfig config;
  config.n_layer = c.integer("n_layers");
  config.n_head = c.integer("n_heads");
  config.n_embd = c.integer("d_model");
  config.n_inner = c.integer("expansion_ratio", 4) * config.n_embd;
  config.block_size = c.integer("max_seq_len", 2048);
  config.bias = false;
  config.norm_eps = c.number("layer_norm_epsilon", 1e-5);
  config.mlp = MLPKind::gelu;
  config.positions = AlibiPositions{.largest_exponent = attention.number("alibi_bias_max", 8)};
  config.tie_weights = c.flag("tie_word_embeddings", true);
  return config;
}

/// `always`: also a share of 1 is said, for architectures whose default is another.
Json rope_json(const RotaryPositions& rotary, bool always) {
  Json json{{"rope_type", "default"}, {"rope_theta", rotary.theta}};
  if (always || rotary.share != 1) json["partial_rotary_factor"] = rotary.share;
  if (const auto* linear = std::get_if<LinearAngles>(&rotary.scaling)) {
    json.update({{"rope_type", "linear"}, {"factor", linear->factor}});
  } else if (const auto* llama3 = std::get_if<Llama3Angles>(&rotary.scaling)) {
    json.update({{"rope_type", "llama3"},
                 {"factor", llama3->factor},
                 {"low_freq_factor", llama3->low_frequency_factor},
                 {"high_freq_factor", llama3->high_frequency_factor},
                 {"original_max_position_embeddings", llama3->trained_context}});
  }
  return json;
}

/// A number that `transformers` checks to be an integer.
Json whole_if_it_is(double value) {
  return value == std::floor(value) ? Json(static_cast<int64_t>(value)) : Json(value);
}

Json gpt2_config(const TransformerConfig& c) {
  const int64_t inner = c.blocks().inner_channels();
  return {{"architectures", {"GPT2LMHeadModel"}},
          {"n_layer", c.n_layer},
          {"n_head", c.n_head},
          {"n_embd", c.n_embd},
          {"n_inner", inner},
          {"n_positions", c.block_size},
          {"layer_norm_epsilon", c.norm_eps},
          {"activation_function", name_of(c.mlp)},
          {"embd_pdrop", c.dropout},
          {"attn_pdrop", c.dropout},
          {"resid_pdrop", c.dropout}};
}

Json llama_config(const TransformerConfig& c) {
  const int64_t inner = c.blocks().inner_channels();
  return {{"architectures", {"LlamaForCausalLM"}},
          {"num_hidden_layers", c.n_layer},
          {"num_attention_heads", c.n_head},
          {"num_key_value_heads", c.blocks().key_value_heads()},
          {"hidden_size", c.n_embd},
          {"intermediate_size", inner},
          {"max_position_embeddings", c.block_size},
          {"rms_norm_eps", c.norm_eps},
          {"hidden_act", "silu"},
          {"attention_bias", c.bias},
          {"mlp_bias", c.bias},
          {"attention_dropout", c.dropout}};
}

Json gpt_neox_config(const TransformerConfig& c) {
  const int64_t inner = c.blocks().inner_channels();
  const auto& rotary = std::get<RotaryPositions>(c.positions);
  return {{"architectures", {"GPTNeoXForCausalLM"}},
          {"num_hidden_layers", c.n_layer},
          {"num_attention_heads", c.n_head},
          {"hidden_size", c.n_embd},
          {"intermediate_size", inner},
          {"max_position_embeddings", c.block_size},
          {"layer_norm_eps", c.norm_eps},
          {"hidden_act", name_of(c.mlp)},
          {"use_parallel_residual", c.residual == Residual::parallel},
          {"attention_bias", true},
          {"attention_dropout", c.dropout},
          {"hidden_dropout", c.dropout},
          {"rotary_pct", rotary.share},
          {"rotary_emb_base", rotary.theta}};
}

Json mpt_config(const TransformerConfig& c) {
  const int64_t inner = c.blocks().inner_channels();
  return {{"architectures", {"MptForCausalLM"}},
          {"n_layers", c.n_layer},
          {"n_heads", c.n_head},
          {"d_model", c.n_embd},
          {"expansion_ratio", inner / c.n_embd},
          {"max_seq_len", c.block_size},
          {"layer_norm_epsilon", c.norm_eps},
          {"no_bias", true},
          {"learned_pos_emb", false},
          {"attn_config",
           {{"alibi", true},
            {"alibi_bias_max", whole_if_it_is(std::get<AlibiPositions>(c.positions).largest_exponent)},
            {"attn_type", "multihead_attention"}}},
          {"emb_pdrop", c.dropout},
          {"resid_pdrop", c.dropout}};
}

/// "norm is layer_norm, wanted rms_norm", unless it is what is wanted.
void compare(std::vector<std::string>& wrong, const char* key, const std::string& got, const std::string& wanted) {
  if (got != wanted) wrong.push_back(fmt::format("{} is {}, wanted {}", key, got, wanted));
}

std::string positions_name(const TransformerConfig& config) {
  return std::visit([](const auto& p) { return std::string(p.kName); }, config.positions);
}

}  // namespace

TransformerConfig transformer_settings(Architecture architecture, const Json& json) {
  const ForeignConfig c(json);
  TransformerConfig config;
  switch (architecture) {
    case Architecture::gpt2:
      config = gpt2(c);
      break;
    case Architecture::llama:
      config = llama(c);
      break;
    case Architecture::gpt_neox:
      config = gpt_neox(c);
      break;
    case Architecture::mpt:
      config = mpt(c);
      break;
  }
  config.vocab_size = c.integer("vocab_size");
  if (config.n_inner == 4 * config.n_embd) config.n_inner = 0;
  return config;
}

std::string misfit(Architecture architecture, const TransformerConfig& c) {
  std::vector<std::string> wrong;
  const std::string norm = kNormNames[static_cast<int>(c.norm)], mlp = kMLPNames[static_cast<int>(c.mlp)],
                    residual = kResidualNames[static_cast<int>(c.residual)];
  const bool llama = architecture == Architecture::llama, mpt = architecture == Architecture::mpt;
  compare(wrong, "positions", positions_name(c),
          architecture == Architecture::gpt2 ? "learned"
          : mpt                              ? "alibi"
                                             : "rotary");
  compare(wrong, "norm", norm, llama ? "rms_norm" : "layer_norm");
  if (llama || mpt) {
    compare(wrong, "mlp", mlp, llama ? "swiglu" : "gelu");
  } else if (c.mlp == MLPKind::swiglu) {
    compare(wrong, "mlp", mlp, "gelu or gelu_tanh");
  }
  if (architecture != Architecture::gpt_neox) compare(wrong, "residual", residual, "serial");
  if (!llama && c.blocks().key_value_heads() != c.n_head) {
    compare(wrong, "n_kv_head", std::to_string(c.n_kv_head), std::to_string(c.n_head));
  }
  if (mpt) compare(wrong, "bias", c.bias ? "true" : "false", "false");
  if (mpt && c.blocks().inner_channels() % c.n_embd != 0) {
    compare(wrong, "n_inner", std::to_string(c.n_inner), fmt::format("a multiple of {}", c.n_embd));
  }
  const auto* rotary = std::get_if<RotaryPositions>(&c.positions);
  if (llama && rotary && rotary->share != 1) compare(wrong, "share", fmt::format("{}", rotary->share), "1");
  return fmt::format("{}", fmt::join(wrong, ", "));
}

Json architecture_config(Architecture architecture, const TransformerConfig& c, int64_t rows) {
  Json (*const all[])(const TransformerConfig&) = {gpt2_config, llama_config, gpt_neox_config, mpt_config};
  Json json{{"model_type", kArchitectureNames[static_cast<int>(architecture)]},
            {"vocab_size", rows},
            {"tie_word_embeddings", c.tie_weights},
            {"dtype", "float32"},
            {"torch_dtype", "float32"}};
  json.update(all[static_cast<size_t>(architecture)](c));
  if (const auto* rotary = std::get_if<RotaryPositions>(&c.positions)) {
    const bool neox = architecture == Architecture::gpt_neox;
    json["rope_parameters"] = rope_json(*rotary, neox);
    json["rope_theta"] = rotary->theta;
    const bool scaled = !std::holds_alternative<UnscaledAngles>(rotary->scaling);
    json["rope_scaling"] = scaled ? rope_json(*rotary, neox) : Json();
  }
  return json;
}

namespace {

Architecture architecture_of(const Json& json) {
  const std::string type = ForeignConfig(json).word("model_type", "");
  const auto* found = std::ranges::find(kArchitectureNames, type);
  return static_cast<Architecture>(found - std::begin(kArchitectureNames));
}

AnyConfig settings_of(const Json& json) { return transformer_settings(architecture_of(json), json); }

std::map<std::string, Tensor> ours(const Json& json, const AnyConfig& settings,
                                   const std::map<std::string, Tensor>& own, std::map<std::string, Tensor> theirs) {
  return our_tensors(architecture_of(json), settings.as<TransformerConfig>(), own, std::move(theirs));
}

HuggingFaceModel theirs(const AnyConfig& settings, const std::map<std::string, Tensor>& own) {
  const auto& config = settings.as<TransformerConfig>();
  std::string reasons;
  for (const Architecture a : {Architecture::gpt2, Architecture::llama, Architecture::gpt_neox, Architecture::mpt}) {
    const std::string wrong = misfit(a, config);
    if (wrong.empty()) {
      const int64_t rows = own.at("token_embedding.weight").size(0);
      return {architecture_config(a, config, rows), their_tensors(a, config, own)};
    }
    reasons += fmt::format("; for {} {}", kArchitectureNames[static_cast<int>(a)], wrong);
  }
  throw UsageError(fmt::format("this transformer is none that `transformers` has{}", reasons));
}

}  // namespace

const HuggingFaceFormat TransformerImpl::kHuggingFace{kArchitectureNames, settings_of, ours, theirs};

}  // namespace genzoo
