#include "models/recurrent/recurrent.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/error.h"
#include "models/decoding.h"
#include "models/fused_cross_entropy.h"
#include "models/fused_linear.h"
#include "models/text_monitors.h"

namespace genzoo {
namespace {

constexpr double kEmbeddingStd = 0.1;  // of the size of states, which the same weights are multiplied with when tied

int64_t require_vocabulary(const DataSpec& data) {
  if (data.kind != DataKind::tokens || data.vocabulary < 1) {
    throw UsageError(fmt::format(
        "models/recurrent: {} has {}; a language model wants text, such as king_james, tiny_shakespeare or text{}",
        data.dataset, data.describe(), data.kind == DataKind::pairs ? "; for pairs take recurrent_seq2seq" : ""));
  }
  return data.vocabulary;
}

/// Throws UsageError for options that are a transformer's.
void require_possible(const GenerateOptions& options) {
  if (options.draft.model) {
    throw UsageError("generate: a recurrent model takes no draft; it reads one token after another; leave out --draft");
  }
  if (options.weight_type != WeightType::float32) {
    throw UsageError("generate: a recurrent model reads its weights as they are; leave out --weight-type");
  }
}

}  // namespace

RecurrentImpl::RecurrentImpl(const RecurrentConfig& config, const DataSpec& data, Rng& init)
    : config_(config),
      vocabulary_(require_vocabulary(data)),
      token_embedding_(register_module("token_embedding", Embedding(vocabulary_, config.n_embd, kEmbeddingStd, init))),
      cells_(register_module(
          "cells", RecurrentStack(StackShape{config.cell, config.n_layer, config.n_embd, config.hidden}, init))) {
  if (!config.tie_weights) {
    head_ = register_module("head", Linear(config.hidden, vocabulary_, init, /*with_bias=*/false));
  }
}

StackStates RecurrentImpl::read(const Tensor& x, const StackState& start, Rng* dropout) {
  Tensor inputs = token_embedding_->forward(x.t().contiguous());  // (T, B, C): each step's in one piece
  if (dropout) inputs = dropout->dropout(inputs, config_.dropout);
  return cells_->forward(inputs, start, config_.dropout, dropout);
}

Tensor RecurrentImpl::logits(const Tensor& told) const {
  return at_least_float32(fused_linear(told, output_weight(), /*bias=*/{}, Activation::none, Result::float32));
}

Tensor RecurrentImpl::forward(const Tensor& x) {
  return logits(read(x, cells_->start(x.size(0))).told().transpose(0, 1));
}

Loss RecurrentImpl::loss(const Batch& batch, Rng& rng, int64_t /*step*/) {
  Rng* dropout = is_training() ? &rng : nullptr;
  Tensor told = read(batch.x, cells_->start(batch.size()), dropout).told();
  if (dropout) told = dropout->dropout(told, config_.dropout);
  return {linear_cross_entropy(told, output_weight(), batch.y.t()), {}};
}

Tensor RecurrentImpl::token_log_prob(const Tensor& x, const Tensor& y) {
  const Tensor z = forward(x).flatten(0, 1);
  return -at::cross_entropy_loss(z, y.flatten(), /*weight=*/{}, at::Reduction::None).view(y.sizes());
}

Tensor RecurrentImpl::log_prob(const Tensor& x, int64_t /*k*/, Rng& /*rng*/) {
  const int64_t T = x.size(1);
  if (T < 2) return at::zeros({x.size(0)}, token_embedding_->weight.options().requires_grad(false));
  return token_log_prob(x.slice(/*dim=*/1, 0, T - 1), x.slice(/*dim=*/1, 1, T)).sum(/*dim=*/1);
}

LikelihoodClaim RecurrentImpl::likelihood() const {
  return {LikelihoodKind::exact, "every token but the first, each given those before it"};
}

StackState RecurrentImpl::state_behind(const Tensor& texts, const Tensor& begins) {
  const StackState start = cells_->start(texts.size(0));
  if (!begins.defined()) return read(texts, start).last();
  // Moved to the left, texts begin together; what stands behind a shorter one comes too late to matter.
  const int64_t n = texts.size(1);
  const Tensor places = at::arange(n, texts.options()).unsqueeze(0) + begins.unsqueeze(1);
  return read(texts.gather(/*dim=*/1, places.clamp_max(n - 1)), start).after(n - 1 - begins);
}

Tensor RecurrentImpl::generate(const Tensor& prompt, const GenerateOptions& options, Rng& rng) {
  check_generate_options(options);
  require_possible(options);
  check_prompt(prompt, options, vocabulary_);
  const torch::NoGradGuard no_grad;
  const int64_t B = prompt.size(0), P = prompt.size(1);
  const Tensor begins = begins_of(prompt, options);
  const Tensor tokens = at::empty({B, P + options.tokens}, prompt.options());
  tokens.narrow(/*dim=*/1, 0, P).copy_(prompt);
  Audience audience(options, B);
  StackState state;
  for (int64_t n = P; n < P + options.tokens; ++n) {
    const Tensor text = tokens.narrow(/*dim=*/1, 0, n);
    state = n > P && options.cache ? read(text.slice(/*dim=*/1, n - 1), state).last() : state_behind(text, begins);
    const Tensor z = penalize_repetition(logits(state.back().h), text, begins, options.repetition_penalty);
    const Tensor next = tokens.select(/*dim=*/1, n);
    next.copy_(options.greedy ? z.argmax(/*dim=*/1) : rng.categorical(next_token_probabilities(z, options)));
    if (!audience.hear(next, tokens.select(/*dim=*/1, n - 1))) return tokens.narrow(/*dim=*/1, 0, n + 1);
  }
  return tokens;
}

std::vector<Monitor> RecurrentImpl::monitors(const Batch& batch, Rng& rng) {
  const EvalMode evaluating(*this);
  return text_monitors({[&](const Tensor& x) { return forward(x); },
                        [&](const Tensor& prompt, const GenerateOptions& o) { return generate(prompt, o, rng); }},
                       vocabulary_, batch);
}

}  // namespace genzoo
