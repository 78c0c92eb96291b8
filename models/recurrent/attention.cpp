#include "models/recurrent/attention.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

namespace genzoo {
namespace {

/// scores (B, T, S) -> (B, T, H)
Tensor weighted_mean(const Tensor& scores, const Annotations& annotations) {
  const Tensor absent = annotations.absent.unsqueeze(1);
  const Tensor weights = scores.masked_fill(absent, -std::numeric_limits<double>::infinity()).softmax(/*dim=*/2);
  return weights.bmm(annotations.values);
}

Tensor uniform(int64_t size, Rng& init) {
  const double bound = 1 / std::sqrt(static_cast<double>(size));
  return init.uniform({size}) * (2 * bound) - bound;
}

}  // namespace

Annotations Annotations::of(const Tensor& rows) const {
  return {values.index_select(/*dim=*/0, rows), keys.index_select(/*dim=*/0, rows),
          absent.index_select(/*dim=*/0, rows)};
}

AdditiveAttentionImpl::AdditiveAttentionImpl(int64_t hidden, Rng& init)
    : query_(register_module("query", Linear(hidden, hidden, init, /*with_bias=*/false))),
      key_(register_module("key", Linear(hidden, hidden, init))),
      score_(register_parameter("score", uniform(hidden, init))) {}

Annotations AdditiveAttentionImpl::annotate(const Tensor& values, const Tensor& absent) {
  return {values, key_->forward(values), absent};
}

Tensor AdditiveAttentionImpl::forward(const Tensor& states, const Annotations& annotations) {
  const Tensor compared = query_->forward(states).unsqueeze(2) + annotations.keys.unsqueeze(1);  // (B, T, S, H)
  return weighted_mean(compared.tanh().matmul(score_), annotations);
}

GeneralAttentionImpl::GeneralAttentionImpl(int64_t hidden, Rng& init)
    : key_(register_module("key", Linear(hidden, hidden, init, /*with_bias=*/false))) {}

Annotations GeneralAttentionImpl::annotate(const Tensor& values, const Tensor& absent) {
  return {values, key_->forward(values), absent};
}

Tensor GeneralAttentionImpl::forward(const Tensor& states, const Annotations& annotations) {
  return weighted_mean(states.bmm(annotations.keys.transpose(1, 2)), annotations);
}

}  // namespace genzoo
