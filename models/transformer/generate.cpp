// Text from the model, one token after another.

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/utils.h>

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "models/decoding.h"
#include "models/text_monitors.h"
#include "models/transformer/window.h"

namespace genzoo {

Tensor TransformerImpl::generate(const Tensor& prompt, const GenerateOptions& options, Rng& rng) {
  check_generate_options(options);
  check_prompt(prompt, options, vocabulary_);
  const torch::NoGradGuard no_grad;
  const int64_t P = prompt.size(1);
  const Tensor begins = begins_of(prompt, options);
  // Each row has a number of accepted tokens of its own, or a window that moves on at a time of its own.
  const bool alone = options.draft.model || (begins.defined() && P + options.tokens > context());
  return alone ? generate_each(prompt, begins, options, rng) : generate_together(prompt, begins, options, rng);
}

Tensor TransformerImpl::generate_together(const Tensor& prompt, const Tensor& begins, const GenerateOptions& options,
                                          Rng& rng) {
  const int64_t B = prompt.size(0), P = prompt.size(1);
  const Tensor tokens = at::empty({B, P + options.tokens}, prompt.options());
  tokens.narrow(/*dim=*/1, 0, P).copy_(prompt);
  Window window(*this, B, P, options, begins);
  Audience audience(options, B);
  for (int64_t n = P; n < P + options.tokens; ++n) {
    const Tensor logits = penalize_repetition(window.logits(tokens, n), tokens.narrow(/*dim=*/1, 0, n), begins,
                                              options.repetition_penalty);  // (B, vocabulary)
    const Tensor next = tokens.select(/*dim=*/1, n);
    next.copy_(options.greedy ? logits.argmax(/*dim=*/1) : rng.categorical(next_token_probabilities(logits, options)));
    if (!audience.hear(next, tokens.select(/*dim=*/1, n - 1))) return tokens.narrow(/*dim=*/1, 0, n + 1);
  }
  return tokens;
}

Tensor TransformerImpl::generate_each(const Tensor& prompt, const Tensor& begins, const GenerateOptions& options,
                                      Rng& rng) {
  const int64_t B = prompt.size(0), P = prompt.size(1);
  Tensor tokens = at::empty({B, P + options.tokens}, prompt.options());
  tokens.narrow(/*dim=*/1, 0, P).copy_(prompt);
  int64_t longest = P;
  for (int64_t i = 0; i < B; ++i) {
    Rng row = rng.row(i);
    GenerateOptions own = options;
    own.prompt_lengths.clear();
    if (options.goes_on) own.goes_on = [&](int64_t, int64_t token) { return options.goes_on(i, token); };
    const int64_t begin = begins.defined() ? begins[i].item<int64_t>() : 0;
    const Tensor text = prompt.narrow(/*dim=*/0, i, 1).slice(/*dim=*/1, begin);
    const Tensor made = options.draft.model ? speculate(require_draft(options), text, own, row)
                                            : generate_together(text, /*begins=*/{}, own, row);
    const Tensor whole = tokens[i].slice(/*dim=*/0, begin);
    whole.narrow(/*dim=*/0, 0, made.size(1)).copy_(made[0]);
    whole.slice(/*dim=*/0, made.size(1)).copy_(made[0].slice(/*dim=*/0, -1));  // a text that has ended repeats its last
    longest = std::max(longest, begin + made.size(1));
  }
  return tokens.narrow(/*dim=*/1, 0, longest);
}

std::vector<Monitor> TransformerImpl::monitors(const Batch& batch, Rng& rng) {
  const EvalMode evaluating(*this);
  return text_monitors({[&](const Tensor& x) { return forward(x); },
                        [&](const Tensor& prompt, const GenerateOptions& o) { return generate(prompt, o, rng); }},
                       vocabulary_, batch);
}

}  // namespace genzoo
