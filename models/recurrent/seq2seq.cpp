#include "models/recurrent/seq2seq.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/utils.h>

#include "core/error.h"
#include "data/pairs.h"
#include "models/beam_search.h"
#include "models/decoding.h"
#include "models/fused_linear.h"
#include "models/source_gradients.h"

namespace genzoo {
namespace {

constexpr double kEmbeddingStd = 0.1;

void require_pairs(const DataSpec& data) {
  if (data.kind == DataKind::pairs && data.shape.size() == 2 && data.end_token >= 0 &&
      data.end_token < data.vocabulary) {
    return;
  }
  throw UsageError(fmt::format(
      "models/recurrent: {} has {}; recurrent_seq2seq wants pairs of texts, such as addition, reverse or pairs{}",
      data.dataset, data.describe(), data.kind == DataKind::tokens ? "; for one text take recurrent" : ""));
}

/// x (B, S) with the `count` (B) int64 first of each row, but for the last of them, in reverse.
Tensor reversed(const Tensor& x, const Tensor& count) {
  const Tensor place = at::arange(x.size(1), count.options()).unsqueeze(0), last = count.unsqueeze(1) - 1;
  return x.gather(/*dim=*/1, at::where(place.lt(last), last - 1 - place, place));
}

}  // namespace

RecurrentSeq2SeqImpl::RecurrentSeq2SeqImpl(const RecurrentSeq2SeqConfig& config, const DataSpec& data, Rng& init)
    : config_(config), vocabulary_(data.vocabulary), end_token_(data.end_token) {
  require_pairs(data);
  longest_ = data.shape[1];
  const int64_t H = config.hidden, entering = config.n_embd > 0 ? config.n_embd : vocabulary_;
  const bool feeds = config.decoder_input == DecoderInput::previous;
  const bool additive = config.attention == AttentionKind::bahdanau, general = config.attention == AttentionKind::luong;
  if (config.n_embd > 0) {
    source_embedding_ = register_module("source_embedding", Embedding(vocabulary_, config.n_embd, kEmbeddingStd, init));
    if (feeds) {
      target_embedding_ =
          register_module("target_embedding", Embedding(vocabulary_, config.n_embd, kEmbeddingStd, init));
    }
  }
  encoder_ = register_module("encoder", RecurrentStack(StackShape{config.cell, config.n_layer, entering, H}, init));
  const int64_t decoder_inputs = (feeds ? entering : H) + (additive ? H : 0);
  decoder_ =
      register_module("decoder", RecurrentStack(StackShape{config.cell, config.n_layer, decoder_inputs, H}, init));
  if (additive) additive_ = register_module("attention", AdditiveAttention(H, init));
  if (general) {
    general_ = register_module("attention", GeneralAttention(H, init));
    combination_ = register_module("combination", Linear(2 * H, H, init, /*with_bias=*/false));
  }
  head_ = register_module("head", Linear(additive ? 2 * H : H, vocabulary_, init));
}

Tensor RecurrentSeq2SeqImpl::enter(Embedding& embedding, const Tensor& tokens, Rng* dropout) {
  const Tensor by_step = tokens.t().contiguous();
  if (embedding) return dropped(embedding->forward(by_step), dropout);
  const Tensor one_hot = by_step.unsqueeze(2).eq(at::arange(vocabulary_, by_step.options()));
  return dropped(one_hot.to(head_->weight.scalar_type()), dropout);
}

Tensor RecurrentSeq2SeqImpl::in_reading_order(const Tensor& x, const Tensor& of_tokens) const {
  if (!config_.reverse_source) return of_tokens;
  return reversed(of_tokens, up_to_end(x, end_token_).sum(/*dim=*/1));
}

RecurrentSeq2SeqImpl::Encoded RecurrentSeq2SeqImpl::encode_entered(const Tensor& x, const Tensor& entered,
                                                                   Rng* dropout) {
  const Tensor there = up_to_end(x, end_token_), absent = there.logical_not();
  const Tensor count = there.sum(/*dim=*/1);
  const StackStates states = encoder_->forward(entered, encoder_->start(x.size(0)), config_.dropout, dropout);
  Encoded source{states.after(count - 1), {}};
  if (config_.attention != AttentionKind::none) {
    const Tensor values = states.told().transpose(0, 1);
    source.annotations = additive_ ? additive_->annotate(values, absent) : general_->annotate(values, absent);
  }
  return source;
}

StackState RecurrentSeq2SeqImpl::first_state(const Encoded& source) const {
  return config_.decoder_input == DecoderInput::previous ? source.state : decoder_->start(source.state[0].h.size(0));
}

Tensor RecurrentSeq2SeqImpl::before(const Tensor& y) const {
  const Tensor first = at::full({y.size(0), 1}, end_token_, y.options());
  return at::cat({first, y.slice(/*dim=*/1, 0, y.size(1) - 1)}, /*dim=*/1);
}

RecurrentSeq2SeqImpl::Decoded RecurrentSeq2SeqImpl::decode(const Encoded& source, const Tensor& previous,
                                                           const StackState& start, Rng* dropout) {
  Tensor inputs;
  if (config_.decoder_input == DecoderInput::previous) {
    inputs = enter(target_embedding_, previous, dropout);
  } else {
    inputs = dropped(source.state.back().h, dropout).unsqueeze(0).expand({previous.size(1), -1, -1});
  }
  if (additive_) return decode_with_additive(source, inputs, start, dropout);
  const StackStates states = decoder_->forward(inputs, start, config_.dropout, dropout);
  Tensor told = states.told();
  if (general_) {
    const Tensor seen = general_->forward(told.transpose(0, 1), source.annotations).transpose(0, 1);
    told = combination_->forward(at::cat({seen, told}, /*dim=*/2)).tanh();
  }
  return {dropped(told, dropout), states.last()};
}

RecurrentSeq2SeqImpl::Decoded RecurrentSeq2SeqImpl::decode_with_additive(const Encoded& source, const Tensor& inputs,
                                                                         const StackState& start, Rng* dropout) {
  StackState state = start;
  std::vector<Tensor> told;
  for (int64_t t = 0; t < inputs.size(0); ++t) {
    const Tensor seen = additive_->forward(state.back().h.unsqueeze(1), source.annotations).transpose(0, 1);
    state =
        decoder_->forward(at::cat({inputs.narrow(/*dim=*/0, t, 1), seen}, /*dim=*/2), state, config_.dropout, dropout)
            .last();
    told.push_back(at::cat({state.back().h, seen[0]}, /*dim=*/1));
  }
  return {dropped(at::stack(told), dropout), state};
}

Tensor RecurrentSeq2SeqImpl::logits(const Tensor& told) const {
  return at_least_float32(
      fused_linear(told.transpose(0, 1), head_->adapted_weight(), head_->bias, Activation::none, Result::float32));
}

Tensor RecurrentSeq2SeqImpl::pair_logits(const Tensor& x, const Tensor& y) {
  const Encoded source = encode(x);
  return logits(decode(source, before(y), first_state(source)).told);
}

Tensor RecurrentSeq2SeqImpl::source_gradients(const Tensor& x, const Tensor& y) {
  const torch::AutoGradMode with_graph(true);
  const Tensor entered =
      enter(source_embedding_, in_reading_order(x, x), /*dropout=*/nullptr).detach().requires_grad_();
  const Encoded source = encode_entered(x, entered, /*dropout=*/nullptr);
  const Tensor z = logits(decode(source, before(y), first_state(source)).told);
  return in_reading_order(x, gradient_norms(z, y, end_token_, entered).t().contiguous());
}

Loss RecurrentSeq2SeqImpl::loss(const Batch& batch, Rng& rng, int64_t /*step*/) {
  Rng* dropout = is_training() ? &rng : nullptr;
  const Encoded source = encode(batch.x, dropout);
  const Tensor z = logits(decode(source, before(batch.y), first_state(source), dropout).told);
  const Tensor costs = at::cross_entropy_loss(z.flatten(0, 1), batch.y.flatten(), /*weight=*/{}, at::Reduction::None);
  const Tensor counts = up_to_end(batch.y, end_token_).flatten().to(costs.scalar_type());
  return {(costs * counts).sum() / counts.sum(), {}};
}

Tensor RecurrentSeq2SeqImpl::translate(const Tensor& x, const TranslateOptions& options, Rng& rng) {
  const torch::NoGradGuard no_grad;
  Encoded source = encode(x);
  StackState state = first_state(source);
  const NextLogits next = [&](const Tensor& origin, const Tensor& last) {
    if (origin.size(0) != state[0].h.size(0) || !origin.equal(at::arange(origin.size(0), origin.options()))) {
      state = state_of(state, origin);
      source.state = state_of(source.state, origin);
      if (source.annotations.values.defined()) source.annotations = source.annotations.of(origin);
    }
    const Decoded decoded = decode(source, last.unsqueeze(1), state);
    state = decoded.state;
    return logits(decoded.told).squeeze(1);
  };
  const TargetsWanted wanted{.sources = x.size(0),
                             .tokens = options.tokens > 0 ? options.tokens : longest_,
                             .end = end_token_,
                             .device = x.device()};
  return find_targets(wanted, options, next, rng);
}

}  // namespace genzoo
