// Text from counts, one token after another.

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <vector>

#include "core/error.h"
#include "models/decoding.h"
#include "models/ngram/ngram.h"

namespace genzoo {
namespace {

/// Throws UsageError for options that are for networks.
void require_counts_suffice(const GenerateOptions& options) {
  if (options.draft.model) {
    throw UsageError("generate: ngram takes no draft; its own next token costs no more; leave out --draft");
  }
  if (options.weight_type != WeightType::float32) {
    throw UsageError("generate: ngram has counts and no weights to round; leave out --weight-type");
  }
}

}  // namespace

Tensor NgramImpl::generate(const Tensor& prompt, const GenerateOptions& options, Rng& rng) {
  check_generate_options(options);
  require_counts_suffice(options);
  check_prompt(prompt, options, vocabulary_);
  const torch::NoGradGuard no_grad;
  const auto counts = smoothed();
  const int64_t B = prompt.size(0), P = prompt.size(1);
  const Tensor begins = begins_of(prompt, options);
  const Tensor tokens = at::empty({B, P + options.tokens}, at::kLong);
  tokens.narrow(/*dim=*/1, 0, P).copy_(prompt);
  const auto token = tokens.accessor<int64_t, 2>();
  std::vector<SmoothedCounts::Context> contexts(static_cast<size_t>(B), counts->beginning());
  const auto read = [&](int64_t from, int64_t to) {
    for (int64_t i = 0; i < B; ++i) {
      for (int64_t t = from; t < to; ++t) {
        if (t < P && !options.prompt_lengths.empty() && t < P - options.prompt_lengths[static_cast<size_t>(i)])
          continue;
        counts->read(contexts[static_cast<size_t>(i)], static_cast<int32_t>(token[i][t]));
      }
    }
  };

  read(0, P);
  const Tensor p = at::empty({B, vocabulary_}, at::kDouble);
  Audience audience(options, B);
  for (int64_t n = P; n < P + options.tokens; ++n) {
    for (int64_t i = 0; i < B; ++i) {
      counts->distribution(contexts[static_cast<size_t>(i)],
                           {p.mutable_data_ptr<double>() + i * vocabulary_, static_cast<size_t>(vocabulary_)});
    }
    const Tensor logits =
        penalize_repetition(p.log(), tokens.narrow(/*dim=*/1, 0, n), begins, options.repetition_penalty);
    const Tensor next = tokens.select(/*dim=*/1, n);
    next.copy_(options.greedy ? logits.argmax(/*dim=*/1) : rng.categorical(next_token_probabilities(logits, options)));
    if (!audience.hear(next, tokens.select(/*dim=*/1, n - 1))) {
      return tokens.narrow(/*dim=*/1, 0, n + 1).to(prompt.device());
    }
    read(n, n + 1);
  }
  return tokens.to(prompt.device());
}

}  // namespace genzoo
