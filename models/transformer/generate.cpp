// Text from the model: the loop with its cache and sliding window.

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "models/transformer/decoding.h"
#include "models/transformer/transformer.h"

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

  const PositionTable positions = position_table(context());
  std::vector<LayerCache> caches = options.cache ? blocks_.make_caches(B, context()) : std::vector<LayerCache>{};
  int64_t begin = std::max<int64_t>(0, P - context());  // the window is tokens begin ... n - 1
  int64_t seen = 0;                                     // of the window, how many are in the cache
  for (int64_t n = P; n < P + options.tokens; ++n) {
    if (n - begin > context()) {
      begin = n - (context() + 1) / 2;
      seen = 0;
      for (LayerCache& cache : caches) cache.length = 0;
    }
    const Tensor x = tokens.slice(/*dim=*/1, begin + seen, n);
    const Tensor h = hidden(x, positions.slice(seen, x.size(1)), /*dropout=*/{}, options.cache ? &caches : nullptr);
    // Of the last position only, and of what stands for a token. (B, vocabulary)
    const Tensor next = logits(h.select(/*dim=*/1, -1)).narrow(/*dim=*/1, 0, vocabulary_);
    tokens.select(/*dim=*/1, n)
        .copy_(options.greedy ? next.argmax(/*dim=*/1) : rng.categorical(next_token_probabilities(next, options)));
    if (options.cache) seen = n - begin;
  }
  return tokens;
}

}  // namespace genzoo
