// Small recurrent models whose mistakes show.
#pragma once

#include "core/random.h"
#include "models/recurrent/recurrent.h"
#include "models/recurrent/seq2seq.h"
#include "tests/support.h"

namespace genzoo {

inline constexpr int64_t kLetters = 7, kEnd = 6;

inline DataSpec letters_spec(int64_t vocabulary = kLetters) {
  DataSpec spec;
  spec.dataset = "letters";
  spec.kind = DataKind::tokens;
  spec.vocabulary = vocabulary;
  spec.token_unit = "char";
  return spec;
}

inline DataSpec letter_pairs_spec(int64_t vocabulary = kLetters, int64_t source = 6, int64_t target = 5) {
  DataSpec spec = letters_spec(vocabulary);
  spec.dataset = "letters by pairs";
  spec.kind = DataKind::pairs;
  spec.shape = {source, target};
  spec.end_token = vocabulary - 1;
  return spec;
}

/// A model in double with weights three times those of a fresh one, so that what it says is far from uniform.
template <class Model>
Model sharp_model(const typename Model::Impl::Config& config, const DataSpec& spec, uint64_t seed = 1) {
  Rng init = Rng::for_batch(seed, Purpose::initialization, 0);
  Model model(config, spec, init);
  const torch::NoGradGuard no_grad;
  for (Tensor& p : model->parameters()) p.mul_(3);
  model->to(torch::kDouble);
  return model;
}

inline Rng noise(uint64_t seed = 2) { return Rng::for_batch(seed, Purpose::loss, 0); }

inline Tensor random_tokens(at::IntArrayRef size, int64_t vocabulary = kLetters, uint64_t seed = 3) {
  return Rng::for_batch(seed, Purpose::batch, 0).integers(vocabulary, size);
}

/// (rows, longest) tokens, each text ended and filled up; lengths 1 ... longest in turn.
inline Tensor random_texts(int64_t rows, int64_t longest, int64_t vocabulary = kLetters, uint64_t seed = 4) {
  const Tensor texts = random_tokens({rows, longest}, vocabulary - 1, seed);
  for (int64_t i = 0; i < rows; ++i) texts[i].slice(0, i % longest).fill_(vocabulary - 1);
  return texts;
}

}  // namespace genzoo
