#include "models/transformer/transformer.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "core/error.h"
#include "models/class_head.h"
#include "models/decoding.h"
#include "models/fused_cross_entropy.h"

namespace genzoo {
namespace {

int64_t require_vocabulary(const DataSpec& data) {
  if (!data.has_tokens() || data.vocabulary < 1 || (data.kind == DataKind::documents && data.classes < 2)) {
    throw UsageError(fmt::format(
        "models/transformer: {} has {}; a language model wants text, such as king_james, "
        "tiny_shakespeare or text{}",
        data.dataset, data.describe(), data.kind == DataKind::images ? "; for images take pixel_transformer" : ""));
  }
  return data.vocabulary;
}

/// The longest target of pairs; 0 of what has none.
int64_t require_fit(const TransformerConfig& config, const DataSpec& data) {
  if (data.kind == DataKind::documents) require_documents_fit(data, config.block_size, "transformer");
  if (data.kind != DataKind::pairs) return 0;
  const int64_t together = data.shape[0] + data.shape[1] - 1;
  if (together <= config.block_size) return data.shape[1];
  throw UsageError(fmt::format(
      "models/transformer: block_size {}; source and target of {} ({}) have up to {} tokens together; take at least as "
      "many",
      config.block_size, data.dataset, data.describe(), together));
}

/// Rows of the embedding.
int64_t require_rows(const TransformerConfig& config, const DataSpec& data) {
  if (config.vocab_size == 0) return data.vocabulary;
  if (config.vocab_size >= data.vocabulary) return config.vocab_size;
  throw UsageError(fmt::format("models/transformer: vocab_size {}; {} has {}; take 0, or at least {}",
                               config.vocab_size, data.dataset, data.describe(), data.vocabulary));
}

}  // namespace

TransformerImpl::TransformerImpl(const TransformerConfig& config, const DataSpec& data, Rng& init)
    : config_(config),
      vocabulary_(require_vocabulary(data)),
      rows_(require_rows(config, data)),
      end_token_(data.end_token),
      of_chats_(!data.chat.empty()),
      longest_target_(require_fit(config, data)),
      token_embedding_(register_module("token_embedding", Embedding(rows_, config.n_embd, kGPT2InitStd, init))),
      position_embedding_(
          std::holds_alternative<LearnedPositions>(config.positions)
              ? register_module("position_embedding", Embedding(config.block_size, config.n_embd, kGPT2InitStd, init))
              : Embedding(nullptr)),
      blocks_(*this, config.blocks(), init) {
  if (data.kind == DataKind::documents) {
    class_head_ =
        register_module(kClassHead, gpt2_linear(config.n_embd, data.classes, /*with_bias=*/true, kGPT2InitStd, init));
  } else if (!config.tie_weights) {
    head_ = register_module("head", gpt2_linear(config.n_embd, rows_, /*with_bias=*/false, kGPT2InitStd, init));
  }
}

PositionTable TransformerImpl::position_table(int64_t count) const {
  const auto options = token_embedding_->weight.options().requires_grad(false);
  // Angles in bfloat16 would put distant tokens in the same place.
  const auto exact = options.dtype(options.dtype() == torch::kDouble ? torch::kDouble : torch::kFloat);
  struct Make {
    const TransformerImpl& model;
    int64_t count;
    const torch::TensorOptions &options, &exact;

    PositionTable operator()(const LearnedPositions&) const {
      return {.added = model.position_embedding_->weight.narrow(/*dim=*/0, 0, count)};
    }
    PositionTable operator()(const SinusoidalPositions&) const {
      return {.added = sinusoidal_positions(count, model.config_.n_embd, options)};
    }
    PositionTable operator()(const RotaryPositions& rotary) const {
      return rotary_positions(count, model.config_.n_embd / model.config_.n_head, exact, rotary);
    }
    PositionTable operator()(const AlibiPositions& alibi) const {
      return alibi_positions(model.config_.n_head, exact, alibi);
    }
  };
  return std::visit(Make{*this, count, options, exact}, config_.positions);
}

Tensor TransformerImpl::hidden_of(Tensor h, const PositionTable& positions, const Dropout& dropout,
                                  const StackAids& aids) {
  // Fixed positions have entries of size 1; embeddings are scaled to it. Vaswani et al. (2017), section 3.4.
  if (std::holds_alternative<SinusoidalPositions>(config_.positions)) {
    h = h * std::sqrt(static_cast<double>(config_.n_embd));
  }
  if (positions.added.defined()) h = h + positions.added;
  return blocks_.forward(dropout(h), positions, dropout, aids);
}

Tensor TransformerImpl::logits(const Tensor& h, const ReducedWeights* reduced) {
  if (reduced) return at_least_float32(reduced->head.forward(h));
  return at_least_float32(fused_linear(h, output_weight(), /*bias=*/{}, Activation::none, Result::float32));
}

void TransformerImpl::require_context(int64_t tokens) const {
  if (tokens <= context()) return;
  throw UsageError(
      fmt::format("models/transformer: {} tokens; the model sees at most {} (block_size)", tokens, context()));
}

Tensor TransformerImpl::forward(const Tensor& x, WeightType weight_type) {
  require_context(x.size(1));
  const auto reduced = reduced_weights(weight_type);
  const StackAids aids{.reduced = reduced ? &reduced->blocks : nullptr};
  return logits(hidden(x, position_table(x.size(1)), /*dropout=*/{}, aids), reduced.get());
}

Loss TransformerImpl::loss(const Batch& batch, Rng& rng, int64_t /*step*/) {
  const Dropout dropout{config_.dropout, is_training() ? &rng : nullptr};
  if (longest_target_ > 0) return pair_loss(batch, dropout);
  if (class_head_) {
    return class_loss(at_least_float32(class_head_->forward(dropout(document_ends(batch.x, dropout)))), batch.y);
  }
  const Tensor h = hidden(batch.x, position_table(batch.x.size(1)), dropout);
  return {linear_cross_entropy(h, output_weight(), batch.y), {}};
}

Tensor TransformerImpl::token_log_prob(const Tensor& x, const Tensor& y) {
  const Tensor z = forward(x).flatten(0, 1);
  return -at::cross_entropy_loss(z, y.flatten(), /*weight=*/{}, at::Reduction::None).view(y.sizes());
}

Tensor TransformerImpl::log_prob(const Tensor& x, int64_t /*k*/, Rng& /*rng*/) {
  const int64_t T = x.size(1);
  if (T < 2) return at::zeros({x.size(0)}, token_embedding_->weight.options().requires_grad(false));
  return token_log_prob(x.slice(/*dim=*/1, 0, T - 1), x.slice(/*dim=*/1, 1, T)).sum(/*dim=*/1);
}

LikelihoodClaim TransformerImpl::likelihood() const {
  if (longest_target_ > 0) return {std::nullopt, "its likelihood is of targets given their sources"};
  if (class_head_) return {std::nullopt, "it tells classes of texts apart: p(label | text)"};
  return {LikelihoodKind::exact, "every token but the first, each given those before it"};
}

}  // namespace genzoo
