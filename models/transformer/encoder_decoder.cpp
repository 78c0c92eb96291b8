#include "models/transformer/encoder_decoder.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/utils.h>

#include <cmath>
#include <memory>

#include "core/error.h"
#include "data/pairs.h"
#include "models/decoding.h"
#include "models/source_gradients.h"
#include "models/transformer/positions.h"

namespace genzoo {
namespace {

const DataSpec& require_pairs(const DataSpec& data) {
  if (data.kind == DataKind::pairs) return data;
  throw UsageError(fmt::format(
      "models/encoder_decoder: {} has {}; it makes targets of sources and wants pairs, such as addition or pairs{}",
      data.dataset, data.describe(), data.kind == DataKind::tokens ? "; for text take transformer" : ""));
}

/// Gives a model its blocks, as `name`.0, `name`.1, ...
std::vector<EncoderDecoderBlock> make_blocks(torch::nn::Module& owner, const char* name,
                                             const EncoderDecoderConfig& config, bool decodes, Rng& init) {
  auto list = owner.register_module(name, torch::nn::ModuleList());
  std::vector<EncoderDecoderBlock> blocks;
  for (int64_t i = 0; i < config.n_layer; ++i) {
    blocks.emplace_back(config, decodes, init);
    list->push_back(blocks.back());
  }
  return blocks;
}

/// Of targets y (B, T) what the decoder is given: the end token, and then all but the last.
Tensor shifted(const Tensor& y, int64_t end_token) {
  const Tensor start = at::full({y.size(0), 1}, end_token, y.options());
  return at::cat({start, y.narrow(/*dim=*/1, 0, y.size(1) - 1)}, /*dim=*/1);
}

}  // namespace

SublayerImpl::SublayerImpl(int64_t n_embd, NormPlace place)
    : place_(place), norm_(register_module("norm", LayerNorm(n_embd))) {}

EncoderDecoderBlockImpl::EncoderDecoderBlockImpl(const EncoderDecoderConfig& c, bool decodes, Rng& init)
    : within_place_(register_module("within_place", Sublayer(c.n_embd, c.norm))),
      within_(register_module("within", MultiHeadAttention(c.n_embd, c.n_head, init))),
      inner_place_(register_module("inner_place", Sublayer(c.n_embd, c.norm))),
      inner_in_(register_module("inner_in", glorot_linear(c.n_embd, c.n_inner, c.n_inner, init))),
      inner_out_(register_module("inner_out", glorot_linear(c.n_inner, c.n_embd, c.n_embd, init))) {
  if (!decodes) return;
  across_place_ = register_module("across_place", Sublayer(c.n_embd, c.norm));
  across_ = register_module("across", MultiHeadAttention(c.n_embd, c.n_head, init));
}

Tensor EncoderDecoderBlockImpl::forward(const Tensor& x, const Tensor& visible, const Dropout& dropout,
                                        KeysValues* earlier, const KeysValues* memory, const Tensor& memory_visible) {
  Tensor h = within_place_->forward(x, dropout, [&](const Tensor& z) {
    KeysValues seen = within_->keys_values(z);
    if (earlier) seen = *earlier = earlier->followed_by(seen);
    return within_->forward(z, seen, visible);
  });
  if (memory) {
    h = across_place_->forward(h, dropout,
                               [&](const Tensor& z) { return across_->forward(z, *memory, memory_visible); });
  }
  return inner_place_->forward(h, dropout, [&](const Tensor& z) {
    return inner_out_->activated(inner_in_->activated(z, Activation::relu), Activation::none, Result::float32);
  });
}

EncoderDecoderImpl::EncoderDecoderImpl(const EncoderDecoderConfig& c, const DataSpec& data, Rng& init)
    : config_(c),
      data_(require_pairs(data)),
      token_embedding_(register_module(
          "token_embedding", Embedding(data.vocabulary, c.n_embd, 1 / std::sqrt(static_cast<double>(c.n_embd)), init))),
      encoder_(make_blocks(*this, "encoder", c, /*decodes=*/false, init)),
      decoder_(make_blocks(*this, "decoder", c, /*decodes=*/true, init)) {
  if (c.norm == NormPlace::after) return;
  encoder_norm_ = register_module("encoder_norm", LayerNorm(c.n_embd));
  decoder_norm_ = register_module("decoder_norm", LayerNorm(c.n_embd));
}

Tensor EncoderDecoderImpl::source_visible(const Tensor& x) const {
  return up_to_end(x, data_.end_token).view({x.size(0), 1, 1, x.size(1)});
}

Tensor EncoderDecoderImpl::placed(const Tensor& embeddings, int64_t first_position, const Dropout& dropout) const {
  const auto options = token_embedding_->weight.options().requires_grad(false);
  const int64_t T = embeddings.size(1);
  const Tensor positions =
      sinusoidal_positions(first_position + T, config_.n_embd, options).narrow(/*dim=*/0, first_position, T);
  const double scale = std::sqrt(static_cast<double>(config_.n_embd));
  return dropout(embeddings * scale + positions);
}

Tensor EncoderDecoderImpl::encoded(const Tensor& embeddings, const Tensor& visible, const Dropout& dropout) {
  Tensor h = placed(embeddings, /*first_position=*/0, dropout);
  for (EncoderDecoderBlock& block : encoder_) h = block->forward(h, visible, dropout);
  return encoder_norm_ ? encoder_norm_->forward(h) : h;
}

Tensor EncoderDecoderImpl::decoded(const Tensor& y, const Tensor& source, const Tensor& source_visible,
                                   const Dropout& dropout) {
  const Tensor causal = causal_visibility(y.size(1), y.device());
  Tensor h = placed(token_embedding_->forward(shifted(y, data_.end_token)), /*first_position=*/0, dropout);
  for (EncoderDecoderBlock& block : decoder_) {
    const KeysValues memory = block->memory_of(source);
    h = block->forward(h, causal, dropout, /*earlier=*/nullptr, &memory, source_visible);
  }
  return decoder_norm_ ? decoder_norm_->forward(h) : h;
}

Tensor EncoderDecoderImpl::pair_hidden(const Batch& batch, const Dropout& dropout) {
  const Tensor visible = source_visible(batch.x);
  return decoded(batch.y, encoded(token_embedding_->forward(batch.x), visible, dropout), visible, dropout);
}

Tensor EncoderDecoderImpl::logits(const Tensor& h) {
  return at_least_float32(fused_linear(h, token_embedding_->weight, /*bias=*/{}, Activation::none, Result::float32));
}

Loss EncoderDecoderImpl::loss(const Batch& batch, Rng& rng, int64_t /*step*/) {
  const bool training = is_training();
  const Dropout dropout{config_.dropout, training ? &rng : nullptr};
  const Tensor log_p = logits(pair_hidden(batch, dropout)).log_softmax(/*dim=*/-1);  // (B, T, V)
  const Tensor counts = up_to_end(batch.y, data_.end_token).to(log_p.scalar_type());
  const auto mean = [&](const Tensor& per_token) { return (per_token * counts).sum() / counts.sum(); };
  const Tensor nats = mean(-log_p.gather(/*dim=*/-1, batch.y.unsqueeze(-1)).squeeze(-1));
  if (!training || config_.label_smoothing == 0) return {nats, {}};
  const double share = config_.label_smoothing;
  return {(1 - share) * nats + share * mean(-log_p.mean(/*dim=*/-1)), {{"nats_per_token", nats.detach()}}};
}

Tensor EncoderDecoderImpl::pair_logits(const Tensor& x, const Tensor& y) { return logits(pair_hidden({x, y}, {})); }

Tensor EncoderDecoderImpl::source_gradients(const Tensor& x, const Tensor& y) {
  const torch::AutoGradMode with_graph(true);
  const Tensor embeddings = token_embedding_->forward(x).detach().requires_grad_(), visible = source_visible(x);
  const Tensor z = logits(decoded(y, encoded(embeddings, visible, /*dropout=*/{}), visible, /*dropout=*/{}));
  return gradient_norms(z, y, data_.end_token, embeddings);
}

NextLogits EncoderDecoderImpl::next_logits(const Tensor& x) {
  struct State {
    Tensor visible;                           // (N, 1, 1, S)
    std::vector<KeysValues> memory, earlier;  // one a layer
    int64_t length = 0;
  };
  const auto state = std::make_shared<State>();
  state->visible = source_visible(x);
  const Tensor source = encoded(token_embedding_->forward(x), state->visible, /*dropout=*/{});
  for (EncoderDecoderBlock& block : decoder_) state->memory.push_back(block->memory_of(source));
  state->earlier.resize(decoder_.size());

  return [this, state](const Tensor& origin, const Tensor& last) {
    State& s = *state;
    s.visible = s.visible.index_select(/*dim=*/0, origin);
    Tensor h = placed(token_embedding_->forward(last.unsqueeze(1)), s.length++, /*dropout=*/{});
    for (size_t i = 0; i < decoder_.size(); ++i) {
      s.memory[i] = s.memory[i].rows(origin);
      s.earlier[i] = s.earlier[i].rows(origin);
      h = decoder_[i]->forward(h, /*visible=*/{}, /*dropout=*/{}, &s.earlier[i], &s.memory[i], s.visible);
    }
    return logits(decoder_norm_ ? decoder_norm_->forward(h) : h).select(/*dim=*/1, 0);
  };
}

Tensor EncoderDecoderImpl::translate(const Tensor& x, const TranslateOptions& options, Rng& rng) {
  const torch::NoGradGuard no_grad;
  const TargetsWanted wanted{.sources = x.size(0),
                             .tokens = options.tokens == 0 ? data_.shape[1] : options.tokens,
                             .end = data_.end_token,
                             .device = x.device()};
  return find_targets(wanted, options, next_logits(x), rng);
}

}  // namespace genzoo
