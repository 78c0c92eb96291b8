#include "models/decoding.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
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

Tensor penalize_repetition(const Tensor& logits, const Tensor& texts, const Tensor& begins, double penalty) {
  if (penalty == 1) return logits;
  const int64_t V = logits.size(1);
  Tensor tokens = texts;
  if (begins.defined()) {
    const Tensor before = at::arange(texts.size(1), texts.options()).lt(begins.to(texts.device()).unsqueeze(1));
    tokens = tokens.masked_fill(before, V);  // stands for no token
  }
  const Tensor stands = at::zeros({logits.size(0), V + 1}, logits.options().dtype(torch::kBool));
  const Tensor repeated = stands.scatter(/*dim=*/1, tokens, true).narrow(/*dim=*/1, 0, V);
  return at::where(repeated, at::where(logits.gt(0), logits / penalty, logits * penalty), logits);
}

void check_generate_options(const GenerateOptions& o) {
  if (o.tokens < 0) throw UsageError(fmt::format("generate: {} tokens; the number must be at least 0", o.tokens));
  if (!(o.temperature > 0)) {
    throw UsageError(fmt::format(
        "generate: temperature {} must be positive; for the likeliest token always, use greedy", o.temperature));
  }
  if (o.top_k < 0) throw UsageError(fmt::format("generate: top_k {} must be at least 0 (0: all tokens)", o.top_k));
  if (!(o.repetition_penalty > 0)) {
    throw UsageError(fmt::format("generate: repetition_penalty {} must be positive (1: none)", o.repetition_penalty));
  }
  if (!(o.top_p > 0 && o.top_p <= 1)) throw UsageError(fmt::format("generate: top_p {} must be in (0, 1]", o.top_p));
}

void check_prompt(const Tensor& prompt, const GenerateOptions& options, int64_t vocabulary) {
  if (prompt.dim() != 2 || prompt.size(1) < 1) {
    throw UsageError("generate: the prompt is empty; the model continues a text of at least one token");
  }
  const auto& lengths = options.prompt_lengths;
  if (!lengths.empty() && static_cast<int64_t>(lengths.size()) != prompt.size(0)) {
    throw UsageError(fmt::format("generate: {} prompt lengths for {} prompts", lengths.size(), prompt.size(0)));
  }
  for (const int64_t length : lengths) {
    if (length >= 1 && length <= prompt.size(1)) continue;
    throw UsageError(
        fmt::format("generate: a prompt of {} tokens; the longest has {}, and the model continues a text "
                    "of at least one",
                    length, prompt.size(1)));
  }
  if (prompt.size(0) == 0) return;
  const int64_t low = prompt.min().item<int64_t>(), high = prompt.max().item<int64_t>();
  if (low < 0 || high >= vocabulary) {
    throw UsageError(fmt::format("generate: the prompt has token {}; the model knows 0 to {}", low < 0 ? low : high,
                                 vocabulary - 1));
  }
}

Tensor begins_of(const Tensor& prompt, const GenerateOptions& options) {
  const int64_t P = prompt.size(1);
  if (std::ranges::all_of(options.prompt_lengths, [P](int64_t length) { return length == P; })) return {};
  return P - at::tensor(options.prompt_lengths, torch::kLong).to(prompt.device());
}

bool Audience::hear(const Tensor& next, const Tensor& last) {
  if (!goes_on_) return true;
  const Tensor tokens = next.to(torch::kCPU).contiguous();
  bool any = false;
  for (size_t row = 0; row < going_.size(); ++row) {
    const auto i = static_cast<int64_t>(row);
    if (!going_[row]) {
      next[i].copy_(last[i]);
      continue;
    }
    going_[row] = goes_on_(i, tokens.const_data_ptr<int64_t>()[row]);
    any = any || going_[row];
  }
  return any;
}

}  // namespace genzoo
