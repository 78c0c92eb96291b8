// Text from the model: the choice of the next token, and the loop with its cache and sliding window.

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "models/transformer/decoding.h"
#include "models/transformer/transformer.h"

namespace genzoo {

Tensor next_token_probabilities(const Tensor& logits, const GenerateOptions& options) {
  const int64_t V = logits.size(1);
  // On the CPU: a row of logits is small, and CUDA sums cumulatively in no fixed order.
  const Tensor l = logits.to(torch::kCPU, torch::kDouble);
  if (options.greedy) return at::one_hot(l.argmax(/*dim=*/1), V).to(torch::kDouble);

  // The largest becomes 0 first, so that no temperature, however low, makes an infinity of it.
  const Tensor scaled = (l - l.amax(/*dim=*/1, /*keepdim=*/true)) / options.temperature;
  const bool top_k = options.top_k > 0 && options.top_k < V;
  const bool top_p = options.top_p < 1;
  if (!top_k && !top_p) return scaled.softmax(/*dim=*/1);

  auto [sorted, order] = scaled.sort(/*stable=*/true, /*dim=*/1, /*descending=*/true);
  if (top_k) sorted.slice(/*dim=*/1, options.top_k).fill_(-std::numeric_limits<double>::infinity());
  Tensor p = sorted.softmax(/*dim=*/1);
  if (top_p) {
    const Tensor likelier = p.cumsum(/*dim=*/1) - p;  // the probability of all tokens before this one; 0 for the first
    p = p.masked_fill(likelier.ge(options.top_p), 0.0);
    p = p / p.sum(/*dim=*/1, /*keepdim=*/true);
  }
  return at::zeros_like(p).scatter_(/*dim=*/1, order, p);
}

void check_generate_options(const GenerateOptions& o) {
  if (o.tokens < 0) throw UsageError(fmt::format("generate: {} tokens; the number must be at least 0", o.tokens));
  if (!(o.temperature > 0)) {
    throw UsageError(fmt::format(
        "generate: temperature {} must be positive; for the likeliest token always, use greedy", o.temperature));
  }
  if (o.top_k < 0) throw UsageError(fmt::format("generate: top_k {} must be at least 0 (0: all tokens)", o.top_k));
  if (!(o.top_p > 0 && o.top_p <= 1)) throw UsageError(fmt::format("generate: top_p {} must be in (0, 1]", o.top_p));
}

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

std::vector<LayerCache> TransformerImpl::make_caches(int64_t batch) const {
  const Tensor& weight = token_embedding_->weight;
  const auto options =
      weight.options().requires_grad(false).dtype(attention_dtype(weight.scalar_type(), weight.device()));
  std::vector<LayerCache> caches;
  for (int64_t i = 0; i < config_.n_layer; ++i) {
    caches.emplace_back(batch, config_.n_head, context(), config_.n_embd / config_.n_head, options);
  }
  return caches;
}

Tensor TransformerImpl::generate(const Tensor& prompt, const GenerateOptions& options, Rng& rng) {
  check_generate_options(options);
  require_prompt(prompt);
  const torch::NoGradGuard no_grad;
  const int64_t B = prompt.size(0), P = prompt.size(1);
  Tensor tokens = at::empty({B, P + options.tokens}, prompt.options());
  tokens.narrow(/*dim=*/1, 0, P).copy_(prompt);

  const PositionTable positions = position_table(context());
  std::vector<LayerCache> caches = options.cache ? make_caches(B) : std::vector<LayerCache>{};
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
    const Tensor next = logits(h.select(/*dim=*/1, -1));  // (B, V), of the last position only
    tokens.select(/*dim=*/1, n)
        .copy_(options.greedy ? next.argmax(/*dim=*/1) : rng.categorical(next_token_probabilities(next, options)));
    if (options.cache) seen = n - begin;
  }
  return tokens;
}

}  // namespace genzoo
