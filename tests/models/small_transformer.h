// Small transformers whose mistakes show.
#pragma once

#include <string>
#include <vector>

#include "core/random.h"
#include "models/transformer/transformer.h"
#include "tests/support.h"

namespace genzoo {

inline constexpr int64_t kVocabulary = 11;

inline DataSpec text_spec(int64_t vocabulary = kVocabulary) {
  DataSpec spec;
  spec.dataset = "letters";
  spec.kind = DataKind::tokens;
  spec.vocabulary = vocabulary;
  spec.token_unit = "char";
  return spec;
}

inline TransformerConfig small_transformer(PositionsConfig positions = LearnedPositions{}) {
  TransformerConfig config{.n_layer = 2, .n_head = 2, .n_embd = 16, .block_size = 8};
  config.positions = std::move(positions);
  return config;
}

/// A transformer with a setting of its own, and what it is called.
struct KindOfTransformer {
  std::string name;
  TransformerConfig config;
};

/// Each kind of positions, and the architectures that settings make.
inline std::vector<KindOfTransformer> kinds_of_transformer() {
  std::vector<KindOfTransformer> kinds = {{"learned", small_transformer()},
                                          {"sinusoidal", small_transformer(SinusoidalPositions{})},
                                          {"rotary", small_transformer(RotaryPositions{})},
                                          {"alibi", small_transformer(AlibiPositions{})}};
  TransformerConfig llama = small_transformer(RotaryPositions{});
  llama.n_head = 4;
  llama.n_kv_head = 2;
  llama.n_inner = 24;
  llama.norm = Norm::rms_norm;
  llama.mlp = MLPKind::swiglu;
  llama.bias = llama.tie_weights = false;
  kinds.push_back({"llama", llama});
  TransformerConfig neox = small_transformer(RotaryPositions{.share = 0.5});
  neox.mlp = MLPKind::gelu;
  neox.residual = Residual::parallel;
  neox.tie_weights = false;
  kinds.push_back({"neox", neox});
  TransformerConfig mpt = small_transformer(AlibiPositions{});
  mpt.n_embd = 24;
  mpt.n_head = 3;
  mpt.mlp = MLPKind::gelu;
  mpt.bias = false;
  kinds.push_back({"mpt", mpt});
  return kinds;
}

/// A model in double with weights ten times those of a fresh one, so that attention is far from uniform and mistakes
/// show.
inline Transformer sharp_model(const TransformerConfig& config, const DataSpec& spec = text_spec(), uint64_t seed = 1) {
  Rng init = Rng::for_batch(seed, Purpose::initialization, 0);
  Transformer model(config, spec, init);
  const torch::NoGradGuard no_grad;
  for (Tensor& p : model->parameters()) p.dim() == 2 ? p.mul_(10) : p.add_(init.normal(p.sizes()), 0.1);
  model->to(torch::kDouble);
  return model;
}

inline Rng draws(uint64_t seed = 2) { return Rng::for_batch(seed, Purpose::loss, 0); }

inline Tensor random_tokens(at::IntArrayRef size, int64_t vocabulary = kVocabulary) {
  return Rng::for_batch(3, Purpose::batch, 0).integers(vocabulary, size);
}

/// Checks that each of five texts is what it is alone, from its own stream, and that they are not all the same.
inline void check_own_streams(Transformer& model, const GenerateOptions& options) {
  const Tensor prompt = random_tokens({1, 3});
  Rng five = Rng::for_rows(7, Purpose::sample, 0, 5);
  const Tensor texts = model->generate(prompt.expand({5, -1}), options, five);
  for (int64_t i = 0; i < 5; ++i) {
    Rng one = Rng::for_rows(7, Purpose::sample, static_cast<uint64_t>(i), 1);
    CHECK(model->generate(prompt, options, one).equal(texts.slice(0, i, i + 1)));
  }
  CHECK_FALSE(texts[0].equal(texts[1]));
}

}  // namespace genzoo
