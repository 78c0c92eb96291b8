#pragma once
// Recurrent encoder-decoder: one LSTM or GRU reads a source text, another writes the target,
//
//   log p(y | x) = sum over t of log p(y_t | x, y_1 ... y_{t-1}), up to and with the first end token.
//
// Sutskever et al., Sequence to Sequence Learning with Neural Networks, 2014, https://arxiv.org/abs/1409.3215; Cho et
// al., 2014, https://arxiv.org/abs/1406.1078; with attention Bahdanau et al., 2015, https://arxiv.org/abs/1409.0473,
// and Luong et al., 2015, https://arxiv.org/abs/1508.04025. Of these the encoder here reads in one direction, and the
// output is one linear layer.
//
// Legend: B pairs, S tokens of the sources, T of the targets, V vocabulary, H hidden.

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <vector>

#include "core/config.h"
#include "core/random.h"
#include "data/dataset.h"
#include "models/layers.h"
#include "models/model.h"
#include "models/recurrent/attention.h"
#include "models/recurrent/stack.h"

namespace genzoo {

enum class AttentionKind { none, bahdanau, luong };
inline constexpr const char* kAttentionKindNames[] = {"none", "bahdanau", "luong"};

enum class DecoderInput {
  previous,  ///< the target token before, at first the end token; the decoder starts from the encoder's state
  state,     ///< the encoder's state, at every step, and nothing of the target; the decoder starts from zeros
};
inline constexpr const char* kDecoderInputNames[] = {"previous", "state"};

struct RecurrentSeq2SeqConfig {
  static constexpr const char* kName = "recurrent_seq2seq";

  Cell cell = Cell::lstm;
  int64_t n_layer = 1;
  int64_t n_embd = 64;
  int64_t hidden = 128;
  AttentionKind attention = AttentionKind::none;
  DecoderInput decoder_input = DecoderInput::previous;
  bool reverse_source = false;
  double dropout = 0.0;

  void fields(Fields& f) {
    f("cell", cell, kCellNames, "what remembers: long short-term memory or gated recurrent unit");
    f("n_layer", n_layer, "cells one upon the other, in encoder and decoder", positive);
    f("n_embd", n_embd, "channels of the token embeddings; 0: tokens enter as they are, one of V inputs each",
      non_negative);
    f("hidden", hidden, "channels of each cell's state", positive);
    f("attention", attention, kAttentionKindNames,
      "over the source: none; bahdanau: additive, what is seen enters the decoder; luong: general, what is seen joins "
      "the decoder's state behind it");
    f("decoder_input", decoder_input, kDecoderInputNames,
      "what the decoder reads: the target token before, or only the encoder's state, at every step");
    f("reverse_source", reverse_source, "read the source backwards, its end still last");
    f("dropout", dropout, "share of what goes into and comes out of each cell set to zero in training", fraction);
    f.require(attention == AttentionKind::none || decoder_input == DecoderInput::previous, "attention",
              "'attention' wants 'decoder_input: previous'");
  }
};

/// The encoder-decoder. Only loss() in training mode applies dropout; everything else is the same in both modes. What
/// stands behind the first end token of a source or target changes nothing.
class RecurrentSeq2SeqImpl final : public torch::nn::Module {
 public:
  using Config = RecurrentSeq2SeqConfig;
  static constexpr const char* kDoc = "recurrent encoder-decoder: LSTM or GRU, with attention or without";
  static constexpr const char* kPaper =
      "Sutskever et al., 2014, arXiv:1409.3215; Bahdanau et al., 2015; Luong et al., 2015";
  static constexpr const char* kNoLikelihood =
      "it has no likelihood of a text alone: what it has is that of a target given its source";

  /// Throws UsageError if the data are not pairs.
  RecurrentSeq2SeqImpl(const RecurrentSeq2SeqConfig& config, const DataSpec& data, Rng& init);

  /// Mean of -log p(y_t | x, y_1 ... y_{t-1}) over all target tokens of the batch up to and with each first end token,
  /// nats per token.
  Loss loss(const Batch& batch, Rng& rng, int64_t step);

  /// Logits of y_t given x and y_1 ... y_{t-1}: x (B, S), y (B, T) int64 -> (B, T, V), at least float32.
  Tensor pair_logits(const Tensor& x, const Tensor& y);

  /// As in HasSourceGradients: x (B, S), y (B, T) -> (B, S). With n_embd 0 of the V inputs of a token.
  Tensor source_gradients(const Tensor& x, const Tensor& y);

  /// The target of each source, by models/beam_search.h: x (B, S) int64 -> (B, tokens), as many tokens as
  /// options.tokens, 0: as the longest target of the data. Throws UsageError for options that cannot be.
  Tensor translate(const Tensor& x, const TranslateOptions& options, Rng& rng);

 private:
  struct Encoded {
    StackState state;         ///< after the source's end
    Annotations annotations;  ///< with attention only
  };
  /// What the decoder has told, the end of each step included.
  struct Decoded {
    Tensor told;  ///< (T, B, H or 2 H), what the output layer reads
    StackState state;
  };

  Encoded encode(const Tensor& x, Rng* dropout = nullptr) {
    return encode_entered(x, enter(source_embedding_, in_reading_order(x, x), dropout), dropout);
  }
  /// entered (S, B, inputs): what stands for the tokens of x, in the order in which they are read.
  Encoded encode_entered(const Tensor& x, const Tensor& entered, Rng* dropout);
  /// Something of each token of x (B, S), in the order in which they are read; twice, and it is as before.
  Tensor in_reading_order(const Tensor& x, const Tensor& of_tokens) const;
  StackState first_state(const Encoded& source) const;
  /// previous (B, T): the target token before each step, of which some may be undefined where decoder_input is state.
  Decoded decode(const Encoded& source, const Tensor& previous, const StackState& start, Rng* dropout = nullptr);
  Decoded decode_with_additive(const Encoded& source, const Tensor& inputs, const StackState& start, Rng* dropout);
  Tensor enter(Embedding& embedding, const Tensor& tokens, Rng* dropout);  ///< (B, T) -> (T, B, inputs)
  Tensor dropped(const Tensor& x, Rng* rng) const { return rng ? rng->dropout(x, config_.dropout) : x; }
  Tensor logits(const Tensor& told) const;  ///< (T, B, ...) -> (B, T, V)
  Tensor before(const Tensor& y) const;     ///< (B, T), the target token before each

  RecurrentSeq2SeqConfig config_;
  int64_t vocabulary_, end_token_, longest_;
  Embedding source_embedding_{nullptr}, target_embedding_{nullptr};
  RecurrentStack encoder_{nullptr}, decoder_{nullptr};
  AdditiveAttention additive_{nullptr};
  GeneralAttention general_{nullptr};
  Linear combination_{nullptr};  ///< luong: tanh of it is what the output layer reads. Luong et al. (2015), eq. (5)
  Linear head_{nullptr};
};
TORCH_MODULE(RecurrentSeq2Seq);

static_assert(HasLoss<RecurrentSeq2SeqImpl> && HasPairLogits<RecurrentSeq2SeqImpl> &&
              HasTranslate<RecurrentSeq2SeqImpl> && HasSourceGradients<RecurrentSeq2SeqImpl>);
static_assert(!HasLogProb<RecurrentSeq2SeqImpl> && !HasGenerate<RecurrentSeq2SeqImpl>, "its texts depend on others");

}  // namespace genzoo
