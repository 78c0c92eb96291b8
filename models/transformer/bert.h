#pragma once
// BERT: a bidirectional encoder that learns to fill in tokens that were masked,
//
//   loss = mean over masked places t of -log p(x_t | all tokens that were not masked).
//
//   Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers, 2019, https://arxiv.org/abs/1810.04805.
//
// Of a text's places a share is to be filled in, as many in every text and at least one (section 3.1): of these four
// fifths become the mask token, a tenth another token, and a tenth stay as they are. The second task of the paper,
// whether two sentences follow each other, is left out, after Liu et al., RoBERTa, 2019,
// https://arxiv.org/abs/1907.11692, section 4.2. What it learns is no distribution of texts, so it has no likelihood.
//
// Of documents it learns the labels instead: p(label | text) from the mean of what it makes of their tokens, after
// Reimers & Gurevych, Sentence-BERT, 2019, https://arxiv.org/abs/1908.10084, section 3.
//
// Legend: B batch, T tokens, K classes, V rows of the embedding (the vocabulary and, behind it, the mask token where
// the tokenizer has none), C channels (n_embd).

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>

#include "core/config.h"
#include "core/random.h"
#include "data/dataset.h"
#include "models/huggingface.h"
#include "models/layers.h"
#include "models/model.h"
#include "models/transformer/block.h"

namespace genzoo {

struct BertConfig {
  static constexpr const char* kName = "bert";

  int64_t n_layer = 4;
  int64_t n_head = 4;
  int64_t n_embd = 128;
  int64_t n_inner = 0;
  int64_t block_size = 128;
  double dropout = 0.1;
  double norm_eps = 1e-12;
  MLPKind mlp = MLPKind::gelu;
  double mask_share = 0.15;
  int64_t vocab_size = 0;

  void fields(Fields& f);
  BlockConfig blocks() const;
};

/// A text as BERT is shown it while it learns.
struct MaskedText {
  Tensor shown;   ///< (B, T)
  Tensor places;  ///< (B, count), which are to be filled in: count = max(1, share T, rounded), in each text
};

/// Of the chosen places of x (B, T) about four fifths show the mask, a tenth any of `vocabulary` tokens, a tenth what
/// stands there. Devlin et al. (2019), section 3.1.
MaskedText mask_text(const Tensor& x, double share, int64_t mask_token, int64_t vocabulary, Rng& rng);

class BertImpl final : public torch::nn::Module {
 public:
  using Config = BertConfig;
  static constexpr const char* kDoc = "bidirectional encoder that fills in masked tokens";
  static constexpr const char* kPaper = "Devlin et al., 2019, arXiv:1810.04805";
  static constexpr const char* kNoLikelihood =
      "it learns to fill in masked tokens, each given all others, which is no distribution of whole texts";
  static const HuggingFaceFormat kHuggingFace;  ///< models/transformer/bert_huggingface.cpp

  /// Throws UsageError if the data are neither one text nor documents that fit into the context.
  BertImpl(const BertConfig& config, const DataSpec& data, Rng& init);

  /// Logits of every token given all: x (B, T) int64, T at most context() else UsageError -> (B, T, V), at least
  /// float32. All tokens are of the first of two kinds of segment.
  Tensor forward(const Tensor& x);

  /// The loss above over batch.x (B, T), places and masks drawn from `rng`, nats per masked token; term
  /// masked_accuracy: the share of masked tokens that are the likeliest.
  Loss loss(const Batch& batch, Rng& rng, int64_t step);

  /// Fills in x (B, T): the likeliest tokens, or with options.greedy = false drawn ones, one after another, the place
  /// first of which the model is surest. Options of the distribution as in GenerateOptions.
  Tensor fill(const Tensor& x, const GenerateOptions& options, Rng& rng);
  int64_t mask_token() const { return mask_token_; }

  /// Of documents x (B, T): the mean over each one's tokens, its end included, (B, C), and of that the classes, (B, K)
  /// at least float32. The loss is -log p(label | text), nats.
  Tensor features(const Tensor& x);
  Tensor class_logits(const Tensor& x);

  int64_t context() const { return config_.block_size; }

 private:
  /// (B, T) -> (B, T, C); of texts of unequal length that end together and begin at `begins` (B).
  Tensor hidden(const Tensor& x, const Dropout& dropout, const Tensor& begins = {});
  Tensor logits(const Tensor& h);                                  ///< (..., C) -> (..., V)
  Tensor document_means(const Tensor& x, const Dropout& dropout);  ///< (B, C)

  BertConfig config_;
  int64_t vocabulary_;
  int64_t end_token_;   ///< of documents
  int64_t mask_token_;  ///< of one text
  int64_t rows_;        ///< V
  Embedding token_embedding_, position_embedding_;
  Embedding type_embedding_;  ///< of the two kinds of segment
  LayerNorm embedding_norm_;
  BlockStack blocks_;
  // Of one text: what tokens are told by. The weights of the last layer are the token embedding's.
  Linear transform_{nullptr};
  LayerNorm transform_norm_{nullptr};
  Tensor output_bias_;          ///< (V)
  Linear class_head_{nullptr};  ///< of documents: C -> K
};
TORCH_MODULE(Bert);

static_assert(HasLoss<BertImpl> && HasFill<BertImpl> && HasClassify<BertImpl> && HasFeatures<BertImpl>);
static_assert(!HasLogProb<BertImpl> && !HasTokenLogProb<BertImpl> && !HasGenerate<BertImpl>,
              "what fills in is no distribution of texts");

}  // namespace genzoo
