#include "models/transformer/bert.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "data/tokenizers/tokenizer.h"
#include "models/class_head.h"
#include "models/decoding.h"
#include "models/transformer/alignment.h"

namespace genzoo {
namespace {

const DataSpec& require_text(const BertConfig& config, const DataSpec& data) {
  const bool documents = data.kind == DataKind::documents && data.classes > 1;
  if ((data.kind != DataKind::tokens && !documents) || data.vocabulary < 1) {
    throw UsageError(
        fmt::format("models/bert: {} has {}; it fills in text, such as king_james, tiny_shakespeare or text, or tells "
                    "classes of documents apart",
                    data.dataset, data.describe()));
  }
  if (documents) require_documents_fit(data, config.block_size, "bert");
  return data;
}

/// Rows of the embedding: one for each token and one for the mask, or more.
int64_t require_rows(const BertConfig& config, const DataSpec& data, int64_t mask_token) {
  const int64_t least = std::max(data.vocabulary, mask_token + 1);
  if (config.vocab_size == 0) return least;
  if (config.vocab_size >= least) return config.vocab_size;
  throw UsageError(fmt::format("models/bert: vocab_size {}; {} has {} and a mask; take 0, or at least {}",
                               config.vocab_size, data.dataset, data.describe(), least));
}

/// The tokenizer's own mask, or a row behind the vocabulary. Of documents nothing is masked.
int64_t mask_of(const DataSpec& data) {
  if (data.kind == DataKind::documents) return -1;
  if (data.tokenizer.empty()) return data.vocabulary;
  return tokenizer_from_json(data.tokenizer)->find("[MASK]").value_or(data.vocabulary);
}

}  // namespace

void BertConfig::fields(Fields& f) {
  f("n_layer", n_layer, "blocks of attention and MLP", positive);
  f("n_head", n_head, "attention heads", positive);
  f("n_embd", n_embd, "channels; a multiple of n_head", positive);
  f("n_inner", n_inner, "channels within an MLP; 0: 4 n_embd", non_negative);
  f("block_size", block_size, "context: tokens the model sees", positive);
  f("dropout", dropout, "share of embeddings, attention weights and updates set to zero in training", fraction);
  f("norm_eps", norm_eps, "added to the variance, before the root", positive);
  f("mlp", mlp, std::span(kMLPNames).first(2), "what an MLP computes between its linear layers");
  f("mask_share", mask_share, "share of the tokens that are to be filled in while it learns",
    Range{0, 1, true, true, "in (0, 1)"});
  f("vocab_size", vocab_size,
    "rows of the token embedding, at least the data's vocabulary and the mask; 0: as many. Those beyond stand for no "
    "token",
    non_negative);
  f.require(n_head > 0 && n_embd % n_head == 0, "n_embd", "'n_embd' must be a multiple of 'n_head'");
}

BlockConfig BertConfig::blocks() const {
  return {.n_layer = n_layer,
          .n_head = n_head,
          .n_embd = n_embd,
          .n_inner = n_inner,
          .norm_eps = norm_eps,
          .norm_place = NormPlace::after,
          .causal = false,
          .mlp = mlp};
}

BertImpl::BertImpl(const BertConfig& c, const DataSpec& data, Rng& init)
    : config_(c),
      vocabulary_(require_text(c, data).vocabulary),
      end_token_(data.end_token),
      mask_token_(mask_of(data)),
      rows_(require_rows(c, data, mask_token_)),
      token_embedding_(register_module("token_embedding", Embedding(rows_, c.n_embd, kGPT2InitStd, init))),
      position_embedding_(register_module("position_embedding", Embedding(c.block_size, c.n_embd, kGPT2InitStd, init))),
      type_embedding_(register_module("type_embedding", Embedding(2, c.n_embd, kGPT2InitStd, init))),
      embedding_norm_(register_module("embedding_norm", LayerNorm(c.n_embd, /*with_bias=*/true, c.norm_eps))),
      blocks_(*this, c.blocks(), init) {
  if (data.kind == DataKind::documents) {
    class_head_ =
        register_module(kClassHead, gpt2_linear(c.n_embd, data.classes, /*with_bias=*/true, kGPT2InitStd, init));
    return;
  }
  transform_ = register_module("transform", gpt2_linear(c.n_embd, c.n_embd, /*with_bias=*/true, kGPT2InitStd, init));
  transform_norm_ = register_module("transform_norm", LayerNorm(c.n_embd, /*with_bias=*/true, c.norm_eps));
  output_bias_ = register_parameter("output_bias", at::zeros({rows_}));
}

Tensor BertImpl::hidden(const Tensor& x, const Dropout& dropout, const Tensor& begins) {
  const int64_t T = x.size(1);
  if (T > context()) {
    throw UsageError(fmt::format("models/bert: {} tokens; the model sees at most {} (block_size)", T, context()));
  }
  const PositionTable all{.added = position_embedding_->weight.narrow(/*dim=*/0, 0, T) + type_embedding_->weight[0]};
  const PositionTable own = begins.defined() ? all.slice(0, T, begins) : all;
  const Tensor h =
      embedding_norm_->after_sum(token_embedding_->forward(x), own.added.expand({x.size(0), T, -1}), Result::float32)
          .normalized;  // (B, T, C)
  return blocks_.forward(dropout(h), {.begins = own.begins}, dropout);
}

Tensor BertImpl::document_means(const Tensor& x, const Dropout& dropout) {
  const Aligned texts = align_ends(x, end_token_);
  const Tensor h = hidden(texts.tokens, dropout, texts.begins);
  const Tensor within = at::arange(x.size(1), x.options()).ge(texts.begins.unsqueeze(1));  // (B, T)
  const Tensor weights = within.to(torch::kFloat) / within.sum(/*dim=*/1, /*keepdim=*/true);
  return at::where(within.unsqueeze(2), h * weights.unsqueeze(2), 0.0).sum(/*dim=*/1);
}

Tensor BertImpl::features(const Tensor& x) { return document_means(x, /*dropout=*/{}); }

Tensor BertImpl::class_logits(const Tensor& x) { return at_least_float32(class_head_->forward(features(x))); }

Tensor BertImpl::logits(const Tensor& h) {
  const bool by_kernel = config_.mlp == MLPKind::gelu_tanh;
  const Tensor z = transform_->activated(h, by_kernel ? Activation::gelu : Activation::none);
  const Tensor made =
      transform_norm_->forward((by_kernel ? z : at::gelu(z)).to(torch::promoteTypes(z.scalar_type(), at::kFloat)));
  return at_least_float32(
      fused_linear(made, token_embedding_->weight, output_bias_, Activation::none, Result::float32));
}

Tensor BertImpl::forward(const Tensor& x) { return logits(hidden(x, /*dropout=*/{})); }

MaskedText mask_text(const Tensor& x, double share, int64_t mask_token, int64_t vocabulary, Rng& rng) {
  const int64_t B = x.size(0), T = x.size(1);
  // As many in each text, so that sizes do not depend on draws, and every text counts.
  const auto count = std::max<int64_t>(1, std::llround(share * static_cast<double>(T)));
  const auto real = at::TensorOptions(x.device()).dtype(torch::kFloat);
  const Tensor order = rng.uniform_like(at::empty({B, T}, real));
  const Tensor places = std::get<1>(order.topk(count, /*dim=*/1));  // (B, count)
  const Tensor how = rng.uniform_like(at::empty({B, count}, real));
  const Tensor others = rng.integers(vocabulary, {B, count}).to(x.device()), there = x.gather(/*dim=*/1, places);
  const Tensor mask = at::full({}, mask_token, x.options());
  return {x.scatter(/*dim=*/1, places, at::where(how.lt(0.8), mask, at::where(how.ge(0.9), others, there))), places};
}

Loss BertImpl::loss(const Batch& batch, Rng& rng, int64_t /*step*/) {
  const Tensor& x = batch.x;
  if (class_head_) {
    const Dropout dropout{config_.dropout, is_training() ? &rng : nullptr};
    return class_loss(at_least_float32(class_head_->forward(dropout(document_means(x, dropout)))), batch.y);
  }
  const MaskedText text = mask_text(x, config_.mask_share, mask_token_, vocabulary_, rng);
  const Dropout dropout{config_.dropout, is_training() ? &rng : nullptr};
  const Tensor h = hidden(text.shown, dropout), y = x.gather(/*dim=*/1, text.places).flatten();
  const Tensor rows = text.places + at::arange(x.size(0), x.options()).unsqueeze(1) * x.size(1);
  const Tensor z = logits(h.flatten(0, 1).index_select(/*dim=*/0, rows.flatten()));  // (B count, V)
  const Tensor right = z.detach().argmax(/*dim=*/1).eq(y).to(torch::kFloat).mean();
  return {at::cross_entropy_loss(z, y), {{"masked_accuracy", right}}};
}

Tensor BertImpl::fill(const Tensor& x, const GenerateOptions& options, Rng& rng) {
  check_generate_options(options);
  const torch::NoGradGuard no_grad;
  Tensor filled = x.clone();
  const int64_t most = filled.eq(mask_token_).sum(/*dim=*/1).max().item<int64_t>();
  for (int64_t n = 0; n < most; ++n) {
    const Tensor open = filled.eq(mask_token_);  // (B, T)
    const Tensor log_p = forward(filled).narrow(/*dim=*/2, 0, vocabulary_).clone();
    if (mask_token_ < vocabulary_) log_p.select(/*dim=*/2, mask_token_).fill_(-std::numeric_limits<float>::infinity());
    const Tensor surest =
        std::get<0>(log_p.log_softmax(/*dim=*/2).max(/*dim=*/2)).masked_fill(open.logical_not(), -INFINITY);
    const Tensor place = surest.argmax(/*dim=*/1, /*keepdim=*/true);  // (B, 1)
    const Tensor there =
        log_p.gather(1, place.unsqueeze(2).expand({-1, 1, vocabulary_})).squeeze(1);  // (B, vocabulary)
    const Tensor token = options.greedy ? there.argmax(/*dim=*/1)
                                        : rng.categorical(next_token_probabilities(there, options)).to(x.device());
    const Tensor changed = filled.scatter(/*dim=*/1, place, token.unsqueeze(1));
    filled = at::where(open, changed, filled);  // rows with nothing open stay
  }
  return filled;
}

}  // namespace genzoo
