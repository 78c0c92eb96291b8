// BERT as Hugging Face's `transformers` keeps it: BertForMaskedLM.

#include "core/error.h"
#include "models/transformer/bert.h"
#include "models/transformer/huggingface_layout.h"

namespace genzoo {
namespace {

constexpr const char* kModelTypes[] = {"bert"};

AnyConfig settings_of(const Json& json) {
  const ForeignConfig c(json);
  c.require("is_decoder", false);
  c.require("add_cross_attention", false);
  c.require("tie_word_embeddings", true);
  c.require("position_embedding_type", "absolute");
  c.require("type_vocab_size", 2);
  BertConfig config;
  config.n_layer = c.integer("num_hidden_layers");
  config.n_head = c.integer("num_attention_heads");
  config.n_embd = c.integer("hidden_size");
  config.n_inner = c.integer("intermediate_size");
  if (config.n_inner == 4 * config.n_embd) config.n_inner = 0;
  config.block_size = c.integer("max_position_embeddings");
  config.dropout = 0;
  config.norm_eps = c.number("layer_norm_eps", 1e-12);
  const std::string activation = c.word("hidden_act", "gelu");
  if (activation != "gelu" && activation != "gelu_new") {
    c.refuse("\"hidden_act\" is \"" + activation + "\"; known are gelu and gelu_new");
  }
  config.mlp = activation == "gelu" ? MLPKind::gelu : MLPKind::gelu_tanh;
  config.vocab_size = c.integer("vocab_size");
  return config;
}

Layout layout() {
  return {
      .prefix = "bert.",
      .layer = "encoder.layer.",
      .outside = {{"token_embedding", {"embeddings.word_embeddings"}},
                  {"position_embedding", {"embeddings.position_embeddings"}},
                  {"type_embedding", {"embeddings.token_type_embeddings"}},
                  {"embedding_norm", {"embeddings.LayerNorm"}}},
      .inside = {{"attention.qkv", {"attention.self.query", "attention.self.key", "attention.self.value"}},
                 {"attention.projection", {"attention.output.dense"}},
                 {"attention_norm", {"attention.output.LayerNorm"}},
                 {"mlp_in", {"intermediate.dense"}},
                 {"mlp_out", {"output.dense"}},
                 {"mlp_norm", {"output.LayerNorm"}}},
      .bare = {{"transform", {"cls.predictions.transform.dense"}},
               {"transform_norm", {"cls.predictions.transform.LayerNorm"}},
               {"output", {"cls.predictions"}}},
      .biases = false,
      // Copies of the embedding and of the bias, what tells sentences that follow each other, and counts.
      .constant = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias", "cls.seq_relationship.weight",
                   "cls.seq_relationship.bias", "pooler.dense.weight", "pooler.dense.bias", "embeddings.position_ids"}};
}

LayoutSizes sizes_of(const BertConfig& c) {
  return {.n_layer = c.n_layer, .n_head = c.n_head, .n_embd = c.n_embd, .key_channels = c.n_embd};
}

constexpr const char* kOurBias = "output_bias";
constexpr const char* kLayoutBias = "output.bias";  // as if it were a layer's

Tensors renamed(Tensors tensors, const char* from, const char* to) {
  const auto found = tensors.find(from);
  if (found == tensors.end()) return tensors;
  const Tensor tensor = found->second;
  tensors.erase(found);
  tensors[to] = tensor;
  return tensors;
}

/// Old names of a norm's parameters.
Tensors with_new_names(Tensors theirs) {
  Tensors all;
  for (auto& [name, tensor] : theirs) {
    std::string now = name;
    for (const auto& [old, renamed] : {std::pair{".gamma", ".weight"}, std::pair{".beta", ".bias"}}) {
      if (now.ends_with(old)) now.replace(now.size() - std::string_view(old).size(), std::string::npos, renamed);
    }
    all[now] = std::move(tensor);
  }
  return all;
}

Tensors ours(const Json&, const AnyConfig& settings, const Tensors& own, Tensors theirs) {
  const Tensors made = our_tensors(layout(), sizes_of(settings.as<BertConfig>()), renamed(own, kOurBias, kLayoutBias),
                                   with_new_names(std::move(theirs)));
  return renamed(made, kLayoutBias, kOurBias);
}

HuggingFaceModel theirs(const AnyConfig& settings, const Tensors& own) {
  const auto& c = settings.as<BertConfig>();
  const Json config{{"architectures", {"BertForMaskedLM"}},
                    {"model_type", "bert"},
                    {"vocab_size", own.at("token_embedding.weight").size(0)},
                    {"num_hidden_layers", c.n_layer},
                    {"num_attention_heads", c.n_head},
                    {"hidden_size", c.n_embd},
                    {"intermediate_size", c.blocks().inner_channels()},
                    {"max_position_embeddings", c.block_size},
                    {"type_vocab_size", 2},
                    {"layer_norm_eps", c.norm_eps},
                    {"hidden_act", c.mlp == MLPKind::gelu ? "gelu" : "gelu_new"},
                    {"hidden_dropout_prob", c.dropout},
                    {"attention_probs_dropout_prob", c.dropout},
                    {"tie_word_embeddings", true},
                    {"dtype", "float32"},
                    {"torch_dtype", "float32"}};
  return {config, their_tensors(layout(), sizes_of(c), renamed(own, kOurBias, kLayoutBias))};
}

}  // namespace

const HuggingFaceFormat BertImpl::kHuggingFace{kModelTypes, settings_of, ours, theirs};

}  // namespace genzoo
