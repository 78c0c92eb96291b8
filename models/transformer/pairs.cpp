// A decoder-only transformer as a model of p(target | source): one text, the source, its end, and then the target, of
// which alone it learns. A conversation's template tells already where an answer begins, so no end stands before it,
// and the text is what any other program makes of such a template. So are language models taught to answer: Radford et
// al. (2018); Ouyang et al. (2022), https://arxiv.org/abs/2203.02155.
//
// Sources are of unequal length; all are moved to the right, so that their targets begin at the same place, and what
// stands before them is not seen.

#include "data/pairs.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/utils.h>

#include <vector>

#include "core/error.h"
#include "models/beam_search.h"
#include "models/decoding.h"
#include "models/source_gradients.h"
#include "models/transformer/alignment.h"
#include "models/transformer/transformer.h"

namespace genzoo {

/// Sources and targets as one text.
struct TransformerImpl::PairText {
  Tensor tokens;   ///< (B, S + T - 1), the targets' last not among them
  int64_t before;  ///< S: the tokens before the targets
  Tensor begins;   ///< (B) int64, of the sources
  PositionTable positions;
};

Aligned TransformerImpl::source_of(const Tensor& x) const {
  Aligned source = align_ends(x, end_token_);
  if (of_chats_) source.tokens = source.tokens.slice(/*dim=*/1, 0, -1);
  return source;
}

TransformerImpl::PairText TransformerImpl::pair_text(const Tensor& x, const Tensor& y) const {
  const Aligned source = source_of(x);
  const int64_t S = source.tokens.size(1), T = y.size(1);
  require_context(S + T - 1);
  return {at::cat({source.tokens, y.narrow(/*dim=*/1, 0, T - 1)}, /*dim=*/1), S, source.begins,
          position_table(S + T - 1).slice(0, S + T - 1, source.begins)};
}

Tensor TransformerImpl::pair_hidden(const Tensor& x, const Tensor& y, const Dropout& dropout) {
  const PairText text = pair_text(x, y);
  return hidden(text.tokens, text.positions, dropout).narrow(/*dim=*/1, text.before - 1, y.size(1));  // (B, T, C)
}

Tensor TransformerImpl::source_gradients(const Tensor& x, const Tensor& y) {
  const torch::AutoGradMode with_graph(true);
  const PairText text = pair_text(x, y);
  const int64_t S = text.before;
  const Tensor embeddings = token_embedding_->forward(text.tokens).detach().requires_grad_();
  const Tensor h = hidden_of(embeddings, text.positions, /*dropout=*/{}).narrow(/*dim=*/1, S - 1, y.size(1));
  const Tensor norms =
      gradient_norms(logits(h).narrow(/*dim=*/2, 0, vocabulary_), y, end_token_, embeddings).narrow(/*dim=*/1, 0, S);
  // Back to where the sources' tokens stood.
  const Tensor place = at::arange(x.size(1), x.options()) + text.begins.unsqueeze(1);  // (B, x.size(1))
  return norms.gather(/*dim=*/1, place.clamp_max(S - 1)).masked_fill(place.ge(S), 0.0);
}

Loss TransformerImpl::pair_loss(const Batch& batch, const Dropout& dropout) {
  const Tensor z = logits(pair_hidden(batch.x, batch.y, dropout)).flatten(0, 1);
  const Tensor nats = at::cross_entropy_loss(z, batch.y.flatten(), /*weight=*/{}, at::Reduction::None);
  const Tensor counted = up_to_end(batch.y, end_token_).flatten().to(nats.scalar_type());
  return {(nats * counted).sum() / counted.sum(), {}};
}

Tensor TransformerImpl::pair_logits(const Tensor& x, const Tensor& y) {
  return logits(pair_hidden(x, y, /*dropout=*/{})).narrow(/*dim=*/2, 0, vocabulary_);
}

Tensor TransformerImpl::translate(const Tensor& x, const TranslateOptions& options, Rng& rng) {
  const torch::NoGradGuard no_grad;
  const Aligned source = source_of(x);
  const int64_t S = source.tokens.size(1), tokens = options.tokens > 0 ? options.tokens : longest_target_;
  require_context(S + tokens - 1);
  const PositionTable positions = position_table(S + tokens - 1);
  std::vector<LayerCache> caches = blocks_.make_caches(x.size(0), S + tokens - 1);
  Tensor begins = source.begins;
  int64_t seen = 0;
  const auto next = [&](const Tensor& origin, const Tensor& last) {
    begins = begins.index_select(/*dim=*/0, origin);
    for (LayerCache& cache : caches) cache.reorder(origin);
    const Tensor input = seen == 0 ? source.tokens.index_select(/*dim=*/0, origin) : last.unsqueeze(1);
    const Tensor h = hidden(input, positions.slice(seen, input.size(1), begins), /*dropout=*/{}, {.caches = &caches});
    seen += input.size(1);
    return logits(h.select(/*dim=*/1, input.size(1) - 1)).narrow(/*dim=*/1, 0, vocabulary_);
  };
  return find_targets({.sources = x.size(0), .tokens = tokens, .end = end_token_, .device = x.device()}, options, next,
                      rng);
}

}  // namespace genzoo
