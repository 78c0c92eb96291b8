// A decoder-only transformer as a model of p(label | text): what it makes of a text's end, from which a language model
// would predict what follows, one linear layer turns into classes. Radford et al., Improving Language Understanding by
// Generative Pre-Training, 2018, section 3.2.

#include <ATen/ATen.h>

#include "data/pairs.h"
#include "models/decoding.h"
#include "models/transformer/transformer.h"

namespace genzoo {

Tensor TransformerImpl::document_ends(const Tensor& x, const Dropout& dropout) {
  require_context(x.size(1));
  const Tensor h = hidden(x, position_table(x.size(1)), dropout);   // (B, T, C)
  const Tensor last = up_to_end(x, end_token_).sum(/*dim=*/1) - 1;  // (B)
  const Tensor rows = last + at::arange(x.size(0), x.options()) * x.size(1);
  return h.flatten(0, 1).index_select(/*dim=*/0, rows);  // (B, C)
}

Tensor TransformerImpl::features(const Tensor& x) { return document_ends(x, /*dropout=*/{}); }

Tensor TransformerImpl::class_logits(const Tensor& x) { return at_least_float32(class_head_->forward(features(x))); }

}  // namespace genzoo
