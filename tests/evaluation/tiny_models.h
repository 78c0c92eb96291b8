// Untrained models as the evaluation takes them, and small data sets made by hand.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/text.h"
#include "evaluation/evaluate.h"
#include "tests/trainers/tiny_experiment.h"

namespace genzoo::tiny {

inline constexpr const char* kImageVae = "{vae: {latent_dim: 2, network: {mlp: {hidden: [8]}}}}";
inline constexpr const char* kBitVae = "{vae: {latent_dim: 2, network: {mlp: {hidden: [8]}}, likelihood: bernoulli}}";
inline constexpr const char* kImageFlow = "{realnvp: {couplings: 1, scales: 1, hidden_dim: 4, normalization: none}}";

inline constexpr const char* kVerse = "in the beginning god created the heaven and the earth\n";

/// Random images (N, 1, 4, 4) of so many levels.
inline Tensor pixels(int64_t n, int64_t levels, uint64_t seed = 0) {
  Rng rng = Rng::for_batch(seed, Purpose::synthetic_data, 0);
  return rng.integers(levels, {n, 1, 4, 4}).to(torch::kByte);
}

inline Dataset images(int64_t levels, int64_t n) {
  Dataset dataset;
  dataset.spec.dataset = "images";
  dataset.spec.kind = DataKind::images;
  dataset.spec.shape = {1, 4, 4};
  dataset.spec.levels = levels;
  dataset.train.x = dataset.validation.x = pixels(n, levels, 1);
  dataset.test.x = pixels(n, levels, 2);
  return dataset;
}

inline Dataset points(int64_t n) {
  Rng rng = Rng::for_batch(5, Purpose::synthetic_data, 0);
  Dataset dataset;
  dataset.spec.dataset = "points";
  dataset.spec.shape = {2};
  dataset.train.x = dataset.validation.x = rng.normal({n, 2});
  dataset.test.x = rng.normal({n, 2});
  return dataset;
}

/// Characters; without a test split.
inline Dataset verses() {
  std::string text;
  for (int i = 0; i < 20; ++i) text += kVerse;
  return make_text_dataset("verses", text, CharacterTokens{}, 0.5, "verses");
}

/// A model whose weights are moved away from their initial values, where many of its outputs are zero.
inline LoadedModel loaded(const std::string& model, const DataSpec& spec) {
  LoadedModel loaded;
  loaded.path = "tiny.safetensors";
  loaded.config = experiment(model, kPoints);
  loaded.spec = spec;
  loaded.step = 7;
  loaded.model = make_model(loaded.config.model, spec, 0);
  loaded.model.module->eval();
  const torch::NoGradGuard no_grad;
  Rng rng = Rng::for_batch(9, Purpose::initialization, 0);
  for (Tensor& parameter : loaded.model.module->parameters()) parameter.add_(rng.normal_like(parameter), 0.1);
  return loaded;
}

}  // namespace genzoo::tiny
