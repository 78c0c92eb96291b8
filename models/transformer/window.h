#pragma once
// What a transformer sees of texts while it continues them.

#include <memory>
#include <vector>

#include "models/transformer/transformer.h"

namespace genzoo {

/// The window of generate() over texts that end at the same place, with the keys and values that are kept of it.
///
/// Legend: B texts, V tokens of the vocabulary.
class TransformerImpl::Window final {
 public:
  /// Of texts whose prompts end after `prompt` tokens and begin at `begins` (B) int64, undefined: all at 0. Texts of
  /// unequal length must fit into the context whole, else std::logic_error.
  Window(TransformerImpl& model, int64_t batch, int64_t prompt, const GenerateOptions& options, Tensor begins = {});

  /// How many tokens behind the first n the window takes in before it moves on.
  int64_t room(int64_t n);

  /// Logits of the tokens n ... n + proposed, each given those before it: tokens (B, at least n + proposed) ->
  /// (B (proposed + 1), V). proposed is at most room(n). Tokens from n - 1 on may be others than in the call before; of
  /// earlier ones what is known is kept.
  Tensor logits(const Tensor& tokens, int64_t n, int64_t proposed = 0);

 private:
  void move_to(int64_t n);

  TransformerImpl& model_;
  std::shared_ptr<const ReducedWeights> reduced_;
  PositionTable positions_;
  Tensor begins_;
  std::vector<LayerCache> caches_;  ///< none, or one a layer
  int64_t begin_;                   ///< its first token
  int64_t seen_ = 0;                ///< how many of its tokens are in the caches
};

}  // namespace genzoo
