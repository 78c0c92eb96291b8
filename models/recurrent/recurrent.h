#pragma once
// Recurrent language model: an LSTM or GRU reads tokens x_1 ... x_t and predicts x_{t+1},
//
//   log p(x_2 ... x_T | x_1) = sum over t of log p(x_{t+1} | x_1 ... x_t),
//
// all it knows of the text being a state of fixed size. Mikolov et al., Recurrent neural network based language model,
// 2010; Zaremba et al., Recurrent Neural Network Regularization, 2014, https://arxiv.org/abs/1409.2329 (several layers,
// dropout between them only). Cells and their sources: models/recurrent/cell.h.
//
// Legend: B batch, T tokens, V vocabulary, H hidden.

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <vector>

#include "core/config.h"
#include "core/random.h"
#include "data/dataset.h"
#include "models/layers.h"
#include "models/model.h"
#include "models/recurrent/stack.h"

namespace genzoo {

struct RecurrentConfig {
  static constexpr const char* kName = "recurrent";

  Cell cell = Cell::lstm;
  int64_t n_layer = 2;
  int64_t n_embd = 256;
  int64_t hidden = 256;
  int64_t block_size = 128;
  double dropout = 0.0;
  bool tie_weights = true;

  void fields(Fields& f) {
    f("cell", cell, kCellNames, "what remembers: long short-term memory or gated recurrent unit");
    f("n_layer", n_layer, "cells one upon the other", positive);
    f("n_embd", n_embd, "channels of the token embedding", positive);
    f("hidden", hidden, "channels of each cell's state", positive);
    f("block_size", block_size, "context: tokens of a training window, through which gradients flow", positive);
    f("dropout", dropout, "share of what goes into and comes out of each cell set to zero in training", fraction);
    f("tie_weights", tie_weights, "use the token embedding as the output layer's weights too; wants n_embd = hidden");
    f.require(
        !tie_weights || n_embd == hidden, "tie_weights",
        "'tie_weights' wants an embedding as wide as the state: set 'n_embd' = 'hidden', or 'tie_weights: false'");
  }
};

/// The language model. Only loss() in training mode applies dropout; everything else is the same in both modes.
class RecurrentImpl final : public torch::nn::Module {
 public:
  using Config = RecurrentConfig;
  static constexpr const char* kDoc = "recurrent language model: LSTM or GRU";
  static constexpr const char* kPaper = "Mikolov et al., 2010; Zaremba et al., 2014, arXiv:1409.2329";

  /// Throws UsageError if the data are not tokens.
  RecurrentImpl(const RecurrentConfig& config, const DataSpec& data, Rng& init);

  /// Logits of the token after each: x (B, T) int64, of any length -> (B, T, V), at least float32.
  Tensor forward(const Tensor& x);

  /// Mean of -log p(y_t | x_1 ... x_t) over batch and positions, nats per token. batch.y: the next tokens (B, T).
  Loss loss(const Batch& batch, Rng& rng, int64_t step);

  /// log p(y_t | x_1 ... x_t): x, y (B, T) -> (B, T), nats.
  Tensor token_log_prob(const Tensor& x, const Tensor& y);

  /// log p(x_2 ... x_T | x_1), exact: x (B, T) -> (B), nats. k and rng have no part in it.
  Tensor log_prob(const Tensor& x, int64_t k, Rng& rng);
  LikelihoodClaim likelihood() const;
  int64_t context() const { return config_.block_size; }

  /// What is to be seen inside.
  Tensor next_token_logits(const Tensor& x) { return forward(x).squeeze(0); }  ///< (1, T) -> (T, V)
  Tensor token_vectors() { return token_embedding_->weight.detach(); }         ///< (V, n_embd)

  /// Continues the prompt (B, P) int64, P at least 1, by options.tokens tokens: (B, P + tokens), or fewer when no row
  /// goes on (options.goes_on). Row i is drawn from the stream of row i when `rng` has row streams.
  ///
  /// The state is carried from token to token, so it has read the whole text, however long; with options.cache = false
  /// the text is read anew for every token, and the logits are the same but for rounding.
  /// Throws UsageError: an empty prompt, tokens outside the vocabulary, options that cannot be, a draft, weights in
  /// another type.
  Tensor generate(const Tensor& prompt, const GenerateOptions& options, Rng& rng);

  /// Whether its text repeats itself, and how sure it is of the next token: models/text_monitors.h.
  std::vector<Monitor> monitors(const Batch& batch, Rng& rng);

 private:
  /// Tokens x (B, T), from `start` on.
  StackStates read(const Tensor& x, const StackState& start, Rng* dropout = nullptr);
  /// The state behind texts (B, n), of which row i begins at begins[i]; undefined: all at 0.
  StackState state_behind(const Tensor& texts, const Tensor& begins);
  Tensor output_weight() const { return head_ ? head_->adapted_weight() : token_embedding_->weight; }  ///< (V, H)
  Tensor logits(const Tensor& told) const;  ///< (..., H) -> (..., V), at least float32

  RecurrentConfig config_;
  int64_t vocabulary_;
  Embedding token_embedding_;
  RecurrentStack cells_;
  Linear head_{nullptr};  ///< untied only
};
TORCH_MODULE(Recurrent);

static_assert(HasLoss<RecurrentImpl> && HasTokenLogProb<RecurrentImpl> && HasLogProb<RecurrentImpl> &&
              HasGenerate<RecurrentImpl> && HasMonitors<RecurrentImpl> && HasNextTokenLogits<RecurrentImpl>);
static_assert(!HasSample<RecurrentImpl>, "a language model continues a text: it generates");
static_assert(!HasEncode<RecurrentImpl> && !HasDecode<RecurrentImpl>, "a language model has no latent space");

}  // namespace genzoo
