// Text from the model, one token after another.

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/error.h"
#include "models/decoding.h"
#include "models/text_monitors.h"
#include "models/transformer/window.h"

namespace genzoo {

void TransformerImpl::require_prompt(const Tensor& prompt) const {
  if (prompt.dim() != 2 || prompt.size(1) < 1) {
    throw UsageError("generate: the prompt is empty; the model continues a text of at least one token");
  }
  if (prompt.size(0) == 0) return;
  const int64_t low = prompt.min().item<int64_t>(), high = prompt.max().item<int64_t>();
  if (low < 0 || high >= vocabulary_) {
    throw UsageError(fmt::format("generate: the prompt has token {}; the model knows 0 to {}", low < 0 ? low : high,
                                 vocabulary_ - 1));
  }
}

Tensor TransformerImpl::generate(const Tensor& prompt, const GenerateOptions& options, Rng& rng) {
  check_generate_options(options);
  require_prompt(prompt);
  const torch::NoGradGuard no_grad;
  const int64_t B = prompt.size(0), P = prompt.size(1);
  Tensor tokens = at::empty({B, P + options.tokens}, prompt.options());
  tokens.narrow(/*dim=*/1, 0, P).copy_(prompt);
  if (options.draft.model) {
    TransformerImpl& draft = require_draft(options.draft);
    for (int64_t i = 0; i < B; ++i) {  // each row has a number of accepted tokens of its own
      Rng row = rng.row(i);
      speculate(draft, tokens.narrow(/*dim=*/0, i, 1), P, options, row);
    }
    return tokens;
  }
  Window window(*this, B, P, options);
  for (int64_t n = P; n < P + options.tokens; ++n) {
    const Tensor next = window.logits(tokens, n);  // (B, vocabulary)
    tokens.select(/*dim=*/1, n)
        .copy_(options.greedy ? next.argmax(/*dim=*/1) : rng.categorical(next_token_probabilities(next, options)));
  }
  return tokens;
}

std::vector<Monitor> TransformerImpl::monitors(const Batch& batch, Rng& rng) {
  const EvalMode evaluating(*this);
  return text_monitors({[&](const Tensor& x) { return forward(x); },
                        [&](const Tensor& prompt, const GenerateOptions& o) { return generate(prompt, o, rng); }},
                       vocabulary_, batch);
}

}  // namespace genzoo
