// Speculative sampling: several tokens a pass, from the same distribution. Leviathan, Kalman & Matias, Fast Inference
// from Transformers via Speculative Decoding, 2023, https://arxiv.org/abs/2211.17192, algorithm 1; Chen et al.,
// Accelerating Large Language Model Decoding with Speculative Sampling, 2023, https://arxiv.org/abs/2302.01318.

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "models/decoding.h"
#include "models/transformer/window.h"

namespace genzoo {
namespace {

/// Accepts a token drawn from q with probability min(1, p / q): p, q (1, V), double; token (1).
bool accepts(const Tensor& p, const Tensor& q, const Tensor& token, Rng& rng) {
  const Tensor index = token.to(torch::kCPU).unsqueeze(1);
  const Tensor u = rng.uniform_like(at::empty({1}, p.options())).to(torch::kCPU);
  return u.item<double>() * q.gather(/*dim=*/1, index).item<double>() < p.gather(/*dim=*/1, index).item<double>();
}

/// What a token is drawn from whose proposal was refused: max(0, p - q), not normalized. (1, V)
Tensor residual(const Tensor& p, const Tensor& q) {
  const Tensor r = (p - q).clamp_min(0);
  return r.sum().item<double>() > 0 ? r : p;  // nothing left: p and q differ by rounding only
}

}  // namespace

TransformerImpl& TransformerImpl::require_draft(const GenerateOptions& options) const {
  const Draft& draft = options.draft;
  auto* model = draft.model->as<TransformerImpl>();
  if (!model) {
    throw UsageError(
        "generate: the draft model is no transformer of text; give a smaller transformer trained on the same data");
  }
  if (model->vocabulary_ != vocabulary_) {
    throw UsageError(
        fmt::format("generate: the draft model knows {} tokens, this model {}; give a draft with the same tokenizer",
                    model->vocabulary_, vocabulary_));
  }
  if (options.repetition_penalty != 1) {
    throw UsageError(fmt::format(
        "generate: repetition_penalty {} with a draft, whose proposals are judged without it; leave out one "
        "of them",
        options.repetition_penalty));
  }
  if (draft.tokens < 1) {
    throw UsageError(
        fmt::format("generate: {} tokens of the draft at a time; the number must be at least 1, or leave "
                    "out the draft",
                    draft.tokens));
  }
  return *model;
}

Tensor TransformerImpl::speculate(TransformerImpl& draft, const Tensor& prompt, const GenerateOptions& options,
                                  Rng& rng) {
  const int64_t P = prompt.size(1);
  const Tensor tokens = at::empty({1, P + options.tokens}, prompt.options());
  tokens.narrow(/*dim=*/1, 0, P).copy_(prompt);
  Window window(*this, 1, P, options), ahead(draft, 1, P, options);
  SpeculationCounts unwanted;
  SpeculationCounts& counts = options.draft.counts ? *options.draft.counts : unwanted;
  const int64_t end = tokens.size(1);
  for (int64_t n = P; n < end;) {
    // Judging all of them gives one token more.
    const int64_t proposed = std::min({options.draft.tokens, window.room(n), ahead.room(n), end - n - 1});
    std::vector<Tensor> q;
    for (int64_t i = 0; i < proposed; ++i) {
      q.push_back(next_token_probabilities(ahead.logits(tokens, n + i), options));
      tokens.select(/*dim=*/1, n + i).copy_(rng.categorical(q.back()));
    }
    const Tensor p = next_token_probabilities(window.logits(tokens, n, proposed), options);  // (proposed + 1, V)
    const auto of = [&](int64_t i) { return p.narrow(/*dim=*/0, i, 1); };
    int64_t accepted = 0;
    while (accepted < proposed &&
           accepts(of(accepted), q[static_cast<size_t>(accepted)], tokens.select(/*dim=*/1, n + accepted), rng)) {
      ++accepted;
    }
    const Tensor last = accepted < proposed ? residual(of(accepted), q[static_cast<size_t>(accepted)]) : of(accepted);
    tokens.select(/*dim=*/1, n + accepted).copy_(rng.categorical(last));
    counts.proposed += proposed;
    counts.accepted += accepted;
    counts.passes += 1;
    for (const int64_t after = n + accepted + 1; n < after; ++n) {
      if (options.goes_on && !options.goes_on(0, tokens[0][n].item<int64_t>()))
        return tokens.narrow(/*dim=*/1, 0, n + 1);
    }
  }
  return tokens;
}

}  // namespace genzoo
