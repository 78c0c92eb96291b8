#include "models/decoding.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <limits>

#include "core/error.h"

namespace genzoo {

Tensor at_least_float32(const Tensor& logits) {
  return logits.scalar_type() == torch::kDouble ? logits : logits.to(torch::kFloat);
}

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

}  // namespace genzoo
