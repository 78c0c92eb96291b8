#include "models/transformer/transformer.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "core/error.h"
#include "models/decoding.h"
#include "models/fused_cross_entropy.h"

namespace genzoo {
namespace {

int64_t require_vocabulary(const DataSpec& data) {
  if (data.kind != DataKind::tokens || data.vocabulary < 1) {
    throw UsageError(fmt::format(
        "models/transformer: {} has {}; a language model wants text, such as king_james, "
        "tiny_shakespeare or text{}",
        data.dataset, data.describe(), data.kind == DataKind::images ? "; for images take pixel_transformer" : ""));
  }
  return data.vocabulary;
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
      token_embedding_(register_module("token_embedding", Embedding(rows_, config.n_embd, kGPT2InitStd, init))),
      position_embedding_(
          config.positions == Positions::learned
              ? register_module("position_embedding", Embedding(config.block_size, config.n_embd, kGPT2InitStd, init))
              : Embedding(nullptr)),
      blocks_(*this, {config.n_layer, config.n_head, config.n_embd, config.bias, config.recompute}, init) {
  if (!config.tie_weights) {
    head_ = register_module("head", gpt2_linear(config.n_embd, rows_, /*with_bias=*/false, kGPT2InitStd, init));
  }
}

PositionTable TransformerImpl::position_table(int64_t count) const {
  const auto options = token_embedding_->weight.options().requires_grad(false);
  switch (config_.positions) {
    case Positions::learned:
      return {position_embedding_->weight.narrow(/*dim=*/0, 0, count), {}, {}};
    case Positions::sinusoidal:
      return {sinusoidal_positions(count, config_.n_embd, options), {}, {}};
    case Positions::rotary: {
      // Angles in bfloat16 would put distant tokens in the same place.
      const auto dtype = options.dtype() == torch::kDouble ? torch::kDouble : torch::kFloat;
      return rotary_positions(count, config_.n_embd / config_.n_head, options.dtype(dtype));
    }
  }
  throw std::logic_error("models/transformer: unknown kind of positions");
}

Tensor TransformerImpl::hidden(const Tensor& x, const PositionTable& positions, const Dropout& dropout,
                               std::vector<LayerCache>* caches, const ReducedWeights* reduced) {
  Tensor h = token_embedding_->forward(x);  // (B, T, C)
  // Fixed positions have entries of size 1; embeddings are scaled to it. Vaswani et al. (2017), section 3.4.
  if (config_.positions == Positions::sinusoidal) h = h * std::sqrt(static_cast<double>(config_.n_embd));
  if (positions.added.defined()) h = h + positions.added;
  return blocks_.forward(dropout(h), positions, dropout, caches, reduced ? &reduced->blocks : nullptr);
}

Tensor TransformerImpl::logits(const Tensor& h, const ReducedWeights* reduced) {
  if (reduced) return at_least_float32(reduced->head.forward(h));
  return at_least_float32(fused_linear(h, output_weight(), /*bias=*/{}, Activation::none, Result::float32));
}

Tensor TransformerImpl::forward(const Tensor& x, WeightType weight_type) {
  const int64_t T = x.size(1);
  if (T > context()) {
    throw UsageError(
        fmt::format("models/transformer: {} tokens; the model sees at most {} (block_size)", T, context()));
  }
  const auto reduced = reduced_weights(weight_type);
  return logits(hidden(x, position_table(T), /*dropout=*/{}, /*caches=*/nullptr, reduced.get()), reduced.get());
}

Loss TransformerImpl::loss(const Batch& batch, Rng& rng, int64_t /*step*/) {
  const Dropout dropout{config_.dropout, is_training() ? &rng : nullptr};
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
  return {LikelihoodKind::exact, "every token but the first, each given those before it"};
}

}  // namespace genzoo
