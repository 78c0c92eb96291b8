#pragma once
// Transformer language model: a decoder-only network that reads tokens x_1 ... x_t and predicts x_{t+1},
//
//   log p(x_2 ... x_T | x_1) = sum over t of log p(x_{t+1} | x_1 ... x_t).
//
// Architecture and initialization are by default those of GPT-2: Radford et al., Language Models are Unsupervised
// Multitask Learners, 2019, section 2.3 (layer normalization before each sub-block and after the last one, GELU, tied
// embeddings), after Vaswani et al., Attention Is All You Need, 2017, https://arxiv.org/abs/1706.03762. Settings make
// of it the others of its kind:
//
//            positions  norm        mlp        residual  bias  tied  after
//   GPT-2    learned    layer_norm  gelu_tanh  serial    yes   yes   Radford et al., 2019
//   LLaMA    rotary     rms_norm    swiglu     serial    no    no    Touvron et al., 2023, arXiv:2302.13971
//   GPT-NeoX rotary     layer_norm  gelu       parallel  yes   no    Black et al., 2022, arXiv:2204.06745
//   MPT      alibi      layer_norm  gelu       serial    no    yes   MosaicML, 2023
//
// Legend: B batch, T tokens, V rows of the embedding (the vocabulary, or more), C channels (n_embd).

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "core/config.h"
#include "core/random.h"
#include "data/dataset.h"
#include "models/huggingface.h"
#include "models/layers.h"
#include "models/model.h"
#include "models/transformer/alignment.h"
#include "models/transformer/block.h"
#include "models/transformer/positions.h"

namespace genzoo {

struct TransformerConfig {
  static constexpr const char* kName = "transformer";

  int64_t n_layer = 4;
  int64_t n_head = 4;
  int64_t n_embd = 128;
  int64_t block_size = 128;
  double dropout = 0.0;
  bool bias = true;
  PositionsConfig positions = {};
  int64_t n_kv_head = 0;
  int64_t n_inner = 0;
  Norm norm = Norm::layer_norm;
  double norm_eps = 1e-5;
  MLPKind mlp = MLPKind::gelu_tanh;
  Residual residual = Residual::serial;
  bool tie_weights = true;
  int64_t vocab_size = 0;
  bool recompute = false;

  void fields(Fields& f);  ///< models/transformer/config.cpp

  BlockConfig blocks() const;
};

/// The language model. Only loss() in training mode applies dropout; everything else is the same in both modes.
class TransformerImpl final : public torch::nn::Module {
 public:
  using Config = TransformerConfig;
  static constexpr const char* kDoc = "decoder-only transformer language model, as GPT-2";
  static constexpr const char* kPaper = "Vaswani et al., 2017, arXiv:1706.03762; Radford et al., 2019";
  static const HuggingFaceFormat kHuggingFace;  ///< models/transformer/huggingface.h

  /// Throws UsageError if the data are neither a text, nor pairs of texts or documents that fit into the context.
  TransformerImpl(const TransformerConfig& config, const DataSpec& data, Rng& init);

  /// Logits of the token after each: x (B, T) int64, T at most context() else UsageError -> (B, T, V), at least
  /// float32. With weights of another type than float32 no gradients reach them.
  Tensor forward(const Tensor& x, WeightType weight_type = WeightType::float32);

  /// Mean of -log p(y_t | x_1 ... x_t) over batch and positions, nats per token. batch.y: the next tokens (B, T).
  Loss loss(const Batch& batch, Rng& rng, int64_t step);

  /// Of pairs: the source, its end (not of conversations), and the target as one text, which must fit into the context,
  /// else UsageError. The loss is of the target's tokens alone, up to and with its end. (models/transformer/pairs.cpp)
  Tensor pair_logits(const Tensor& x, const Tensor& y);
  Tensor translate(const Tensor& x, const TranslateOptions& options, Rng& rng);
  /// As in HasSourceGradients: x (B, S), y (B, T) -> (B, S), of the embeddings before they are scaled, if they are.
  Tensor source_gradients(const Tensor& x, const Tensor& y);

  /// Of documents x (B, T), which must fit into the context, else UsageError: what it makes of their ends, (B, C), and
  /// of that the classes, (B, K), at least float32. The loss is -log p(label | text), nats.
  /// (models/transformer/documents.cpp)
  Tensor features(const Tensor& x);
  Tensor class_logits(const Tensor& x);

  /// log p(y_t | x_1 ... x_t): x, y (B, T) -> (B, T), nats.
  Tensor token_log_prob(const Tensor& x, const Tensor& y);

  /// log p(x_2 ... x_T | x_1), exact: x (B, T), T at most context() + 1 -> (B), nats. k and rng have no part in it.
  Tensor log_prob(const Tensor& x, int64_t k, Rng& rng);
  LikelihoodClaim likelihood() const;

  /// What is to be seen inside, of a text of at most context() tokens. (models/transformer/inspect.cpp)
  Tensor next_token_logits(const Tensor& x);  ///< (1, T) -> (T, vocabulary), at least float32
  Tensor token_vectors();                     ///< (vocabulary, C)
  Tensor attention_maps(const Tensor& x);     ///< (1, T) -> (n_layer, H, T, T)
  /// token_log_prob with the output of one head set to zero.
  Tensor token_log_prob_without(const Tensor& x, const Tensor& y, int64_t layer, int64_t head);

  int64_t context() const { return config_.block_size; }

  /// Continues the prompt (B, P) int64, P at least 1, by options.tokens tokens: (B, P + tokens). Row i is drawn from
  /// the stream of row i when `rng` has row streams.
  ///
  /// What the model sees is a window that begins with the last context() tokens of the prompt and grows with the text.
  /// Full, it goes on with the later half of a context, whose positions count from 0 again. So keys and values
  /// are computed anew once in half a context and kept otherwise; with options.cache = false they are computed anew for
  /// every token, and the logits are the same but for rounding.
  ///
  /// With options.draft, speculative sampling: the draft proposes some tokens, one pass of this model judges them all,
  /// and the text has this model's distribution whatever the draft (Leviathan et al., 2023, appendix A.1); greedy, it
  /// is this model's text but for ties. Row by row. A draft sees windows of its own context.
  /// With options.weight_type other than float32, copies of the weights are made, and in evaluation mode kept until the
  /// weights change or training begins.
  /// Prompts of unequal length are continued together while all fit into the context, else one after another; each
  /// text is what it is alone.
  /// Throws UsageError: an empty prompt, tokens outside the vocabulary, a draft together with a repetition penalty,
  /// options that cannot be, a draft that is no transformer of text or has another vocabulary.
  Tensor generate(const Tensor& prompt, const GenerateOptions& options, Rng& rng);

  void train(bool on = true) override;

  /// Whether its text repeats itself, and how sure it is of the next token: models/text_monitors.h.
  std::vector<Monitor> monitors(const Batch& batch, Rng& rng);

 private:
  class Window;  // models/transformer/window.h

  PositionTable position_table(int64_t count) const;
  Aligned source_of(const Tensor& x) const;  ///< what stands before the targets
  struct PairText;
  PairText pair_text(const Tensor& x, const Tensor& y) const;
  Tensor pair_hidden(const Tensor& x, const Tensor& y, const Dropout& dropout);  ///< (B, T, C), of what expects y
  Loss pair_loss(const Batch& batch, const Dropout& dropout);
  Tensor document_ends(const Tensor& x, const Dropout& dropout);  ///< (B, C)
  /// Token x (B, T) to the final norm's output (B, T, C).
  Tensor hidden(const Tensor& x, const PositionTable& positions, const Dropout& dropout, const StackAids& aids = {}) {
    return hidden_of(token_embedding_->forward(x), positions, dropout, aids);
  }
  Tensor hidden_of(Tensor embeddings, const PositionTable& positions, const Dropout& dropout,
                   const StackAids& aids = {});
  /// (V, C), of the layer that gives the logits. Tied by use: one tensor under one name, which gradients reach from
  /// both ends. Press & Wolf (2017).
  Tensor output_weight() const { return head_ ? head_->adapted_weight() : token_embedding_->weight; }
  /// (..., C) -> (..., V), at least float32
  Tensor logits(const Tensor& h, const ReducedWeights* reduced = nullptr);
  /// nullptr for float32. (models/transformer/window.cpp)
  std::shared_ptr<const ReducedWeights> reduced_weights(WeightType type);
  TransformerImpl& require_draft(const GenerateOptions& options) const;
  /// generate(), the prompts beginning at `begins` (B), undefined: all at 0.
  Tensor generate_together(const Tensor& prompt, const Tensor& begins, const GenerateOptions& options, Rng& rng);
  Tensor generate_each(const Tensor& prompt, const Tensor& begins, const GenerateOptions& options, Rng& rng);
  /// generate() of one prompt (1, P) with a draft. (models/transformer/speculate.cpp)
  Tensor speculate(TransformerImpl& draft, const Tensor& prompt, const GenerateOptions& options, Rng& rng);
  void require_context(int64_t tokens) const;

  TransformerConfig config_;
  int64_t vocabulary_;      ///< tokens of the data
  int64_t rows_;            ///< V, of the embedding: vocabulary_ or more
  int64_t end_token_;       ///< of pairs and documents
  bool of_chats_;           ///< pairs are of conversations: no end stands between source and target
  int64_t longest_target_;  ///< of pairs: tokens, its end included; 0: the data are one text
  Embedding token_embedding_;
  Embedding position_embedding_;  ///< learned positions only
  BlockStack blocks_;
  Linear head_{nullptr};        ///< untied only, and not of documents
  Linear class_head_{nullptr};  ///< of documents only: C -> K

  /// What tells whether weights have changed: where they are, and how often they were written to.
  using Fingerprint = std::vector<std::pair<const void*, int64_t>>;
  Fingerprint fingerprint() const;
  std::shared_ptr<const ReducedWeights> reduced_;  ///< the last that were made in evaluation mode
  Fingerprint reduced_of_;                         ///< the weights they are copies of
};
TORCH_MODULE(Transformer);

static_assert(HasLoss<TransformerImpl> && HasTokenLogProb<TransformerImpl> && HasLogProb<TransformerImpl> &&
              HasGenerate<TransformerImpl> && HasMonitors<TransformerImpl> && HasNextTokenLogits<TransformerImpl> &&
              HasAttentionMaps<TransformerImpl>);
static_assert(HasPairLogits<TransformerImpl> && HasTranslate<TransformerImpl> && HasSourceGradients<TransformerImpl>);
static_assert(HasClassify<TransformerImpl> && HasFeatures<TransformerImpl>);
static_assert(!HasSample<TransformerImpl>, "a language model continues a text: it generates");
static_assert(!HasEncode<TransformerImpl> && !HasDecode<TransformerImpl>, "a language model has no latent space");

}  // namespace genzoo
