#pragma once
// Whether a language model's text degenerates: it repeats itself (Holtzman et al., 2020; Welleck et al., 2020), or its
// next-token distribution is far surer than it may be.

#include <cstdint>
#include <functional>
#include <vector>

#include "models/model.h"

namespace genzoo {

/// A language model, for as long as it is watched.
struct WatchedText {
  std::function<Tensor(const Tensor& x)> logits;  ///< of the token after each: (B, T) -> (B, T, V)
  std::function<Tensor(const Tensor& prompt, const GenerateOptions&)> generate;  ///< (B, P) -> (B, P + tokens)
};

/// The monitors of a model of `vocabulary` tokens, on a batch that it was not trained on: entropy, and of texts long
/// enough repetition and repetition_of_data. The caller has set the model to evaluate.
std::vector<Monitor> text_monitors(const WatchedText& model, int64_t vocabulary, const Batch& batch);

}  // namespace genzoo
