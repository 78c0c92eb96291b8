#pragma once
// The transformer as it was first: an encoder reads the source, a decoder writes the target and looks at both,
//
//   log p(y | x) = sum over t of log p(y_t | y_1 ... y_{t-1}, x).
//
//   Vaswani et al., Attention Is All You Need, 2017, https://arxiv.org/abs/1706.03762
//
// Sinusoidal positions (section 3.5), one embedding for source, target and output, times sqrt(C) at the inputs (section
// 3.4), normalization behind each sub-layer (section 3.1), ReLU (section 3.3), dropout of the embeddings' sum and of
// each sub-layer's output, label smoothing (section 5.4). `norm: before` moves the normalization before the sub-layers:
// Xiong et al. (2020), https://arxiv.org/abs/2002.04745. Not said in the paper and taken from its code,
// tensor2tensor: weights as Glorot & Bengio (2010), embeddings from N(0, 1 / C).
//
// What a decoder is given for the first token is the end token. Positions behind a text's end are hidden.
//
// Legend: B batch, S tokens of the source, T of the target, V vocabulary, C channels (n_embd).

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <vector>

#include "core/config.h"
#include "core/random.h"
#include "data/dataset.h"
#include "models/beam_search.h"
#include "models/layers.h"
#include "models/model.h"
#include "models/transformer/attention.h"
#include "models/transformer/block.h"
#include "models/transformer/cross_attention.h"

namespace genzoo {

struct EncoderDecoderConfig {
  static constexpr const char* kName = "encoder_decoder";

  int64_t n_layer = 2;
  int64_t n_head = 4;
  int64_t n_embd = 128;
  int64_t n_inner = 512;
  NormPlace norm = NormPlace::after;
  double dropout = 0.1;
  double label_smoothing = 0.1;

  void fields(Fields& f) {
    f("n_layer", n_layer, "blocks of the encoder, and as many of the decoder", positive);
    f("n_head", n_head, "attention heads", positive);
    f("n_embd", n_embd, "channels; even, and a multiple of n_head", positive);
    f("n_inner", n_inner, "channels within each block's feed-forward network; the paper's are 4 n_embd", positive);
    f("norm", norm, kNormPlaceNames, "normalization after each sub-layer's sum, as in the paper, or before sub-layers");
    f("dropout", dropout, "share of embeddings and of sub-layers' outputs set to zero in training", fraction);
    f("label_smoothing", label_smoothing,
      "share of the target's probability spread over all tokens, in training; validation and evaluation go without",
      fraction);
    f.require(n_head > 0 && n_embd % n_head == 0, "n_embd", "'n_embd' must be a multiple of 'n_head'");
    f.require(n_embd % 2 == 0, "n_embd",
              "'n_embd' must be even: sinusoidal positions have a sine and a cosine of each frequency");
  }
};

/// A sub-layer's place: what is added to x and where the sum is normalized.
class SublayerImpl final : public torch::nn::Module {
 public:
  SublayerImpl(int64_t n_embd, NormPlace place);

  /// x (B, T, C) and f, which maps such a tensor to another -> (B, T, C).
  template <class F>
  Tensor forward(const Tensor& x, const Dropout& dropout, const F& f) {
    if (place_ == NormPlace::after) return norm_->after_sum(x, dropout(f(x)), Result::float32).normalized;
    return x + dropout(f(norm_->forward(x)));
  }

 private:
  NormPlace place_;
  LayerNorm norm_;
};
TORCH_MODULE(Sublayer);

/// A block of the encoder (without `across`) or of the decoder.
class EncoderDecoderBlockImpl final : public torch::nn::Module {
 public:
  EncoderDecoderBlockImpl(const EncoderDecoderConfig& config, bool decodes, Rng& init);

  /// What the tokens of a source, encoded (B, S, C), are to a block of the decoder.
  KeysValues memory_of(const Tensor& encoded) { return across_->keys_values(encoded); }

  /// x (B, T, C) -> (B, T, C). `visible`: of the tokens of x; with `earlier`, to which those of x are appended, all of
  /// them. `memory` and what is visible of it are the decoder's.
  Tensor forward(const Tensor& x, const Tensor& visible, const Dropout& dropout, KeysValues* earlier = nullptr,
                 const KeysValues* memory = nullptr, const Tensor& memory_visible = {});

 private:
  Sublayer within_place_;
  MultiHeadAttention within_;
  Sublayer across_place_{nullptr};
  MultiHeadAttention across_{nullptr};
  Sublayer inner_place_;
  Linear inner_in_, inner_out_;
};
TORCH_MODULE(EncoderDecoderBlock);

/// The model of pairs. Only loss() in training mode applies dropout and smoothing; everything else is the same in both
/// modes.
class EncoderDecoderImpl final : public torch::nn::Module {
 public:
  using Config = EncoderDecoderConfig;
  static constexpr const char* kDoc = "encoder-decoder transformer: a target text from a source text";
  static constexpr const char* kPaper = "Vaswani et al., 2017, arXiv:1706.03762";
  static constexpr const char* kNoLikelihood = "its likelihood is that of targets given their sources: pair_log_prob";

  /// Throws UsageError if the data are not pairs.
  EncoderDecoderImpl(const EncoderDecoderConfig& config, const DataSpec& data, Rng& init);

  /// Mean of -log p(y_t | y_<t, x), nats, over all tokens of the batch's targets up to and with their ends; in training
  /// mode smoothed, and then the term nats_per_token is without.
  Loss loss(const Batch& batch, Rng& rng, int64_t step);

  /// Logits of y_t given x and y_1 ... y_{t-1}: x (B, S), y (B, T) int64 -> (B, T, V), at least float32.
  Tensor pair_logits(const Tensor& x, const Tensor& y);

  /// As in HasSourceGradients: x (B, S), y (B, T) -> (B, S), of the embeddings before they are scaled.
  Tensor source_gradients(const Tensor& x, const Tensor& y);

  /// Targets of sources x (B, S): (B, tokens), as find_targets has them; options.tokens 0: the data's longest target.
  /// Keys and values of earlier tokens are kept.
  Tensor translate(const Tensor& x, const TranslateOptions& options, Rng& rng);

  /// The logits behind growing prefixes of targets of x (B, S), which translate() asks for.
  NextLogits next_logits(const Tensor& x);

 private:
  /// Embeddings (B, T, C), scaled and with their positions added.
  Tensor placed(const Tensor& embeddings, int64_t first_position, const Dropout& dropout) const;
  /// Embeddings of sources (B, S, C) -> (B, S, C).
  Tensor encoded(const Tensor& embeddings, const Tensor& visible, const Dropout& dropout);
  /// What the decoder makes of targets y (B, T), given sources, encoded (B, S, C) -> (B, T, C).
  Tensor decoded(const Tensor& y, const Tensor& source, const Tensor& source_visible, const Dropout& dropout);
  Tensor pair_hidden(const Batch& batch, const Dropout& dropout);  ///< -> (B, T, C)
  Tensor logits(const Tensor& h);                                  ///< (..., C) -> (..., V), at least float32
  Tensor source_visible(const Tensor& x) const;

  EncoderDecoderConfig config_;
  DataSpec data_;
  Embedding token_embedding_;  ///< of sources, targets and outputs
  std::vector<EncoderDecoderBlock> encoder_, decoder_;
  LayerNorm encoder_norm_{nullptr}, decoder_norm_{nullptr};  ///< norm: before only
};
TORCH_MODULE(EncoderDecoder);

static_assert(HasLoss<EncoderDecoderImpl> && HasPairLogits<EncoderDecoderImpl> && HasTranslate<EncoderDecoderImpl> &&
              HasSourceGradients<EncoderDecoderImpl>);
static_assert(!HasLogProb<EncoderDecoderImpl> && !HasTokenLogProb<EncoderDecoderImpl> &&
                  !HasGenerate<EncoderDecoderImpl>,
              "a model of targets given sources knows no probability of a text alone");

}  // namespace genzoo
