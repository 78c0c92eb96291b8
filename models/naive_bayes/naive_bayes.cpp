#include "models/naive_bayes/naive_bayes.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <tuple>

#include "core/error.h"
#include "models/class_head.h"

namespace genzoo {
namespace {

void require_documents(const DataSpec& data) {
  if (data.kind == DataKind::documents && data.classes >= 2 && data.end_token == data.vocabulary - 1) return;
  throw UsageError(fmt::format("models/naive_bayes: {} has {}; wanted texts with labels, such as documents or verses",
                               data.dataset, data.describe()));
}

/// The sum of the weights (V + 1, K) of each row's tokens (B, T): (B, K).
Tensor summed_weights(const Tensor& weights, const Tensor& x) {
  const Tensor offsets = at::arange(x.size(0), x.options()) * x.size(1);
  constexpr int64_t kSum = 0;
  return std::get<0>(at::embedding_bag(weights, x.flatten(), offsets, /*scale_grad_by_freq=*/false, kSum));
}

}  // namespace

NaiveBayesImpl::NaiveBayesImpl(const NaiveBayesConfig& config, const DataSpec& data, Rng& /*init*/)
    : config_(config), end_token_(data.end_token), classes_(data.classes) {
  require_documents(data);
  token_counts_ = register_buffer("token_counts", at::zeros({end_token_, classes_}, at::kLong));
  class_counts_ = register_buffer("class_counts", at::zeros({classes_}, at::kLong));
}

void NaiveBayesImpl::require_within(const Tensor& numbers, int64_t count, const char* what) const {
  if (numbers.numel() == 0) return;
  const int64_t low = numbers.min().item<int64_t>(), high = numbers.max().item<int64_t>();
  if (low >= 0 && high < count) return;
  throw UsageError(fmt::format("models/naive_bayes: the texts have {} {}; the model knows 0 to {}", what,
                               low < 0 ? low : high, count - 1));
}

/// The tokens that count, the end in place of those that do not: (B, T).
Tensor NaiveBayesImpl::events_of(const Tensor& x) const {
  if (config_.events == EventModel::multinomial) return x;
  // Each token of a text once.
  const Tensor sorted = std::get<0>(x.sort(/*dim=*/1));
  const Tensor repeated = sorted.slice(/*dim=*/1, 1).eq(sorted.slice(/*dim=*/1, 0, -1));
  Tensor events = sorted.clone();
  events.slice(/*dim=*/1, 1).masked_fill_(repeated, end_token_);
  return events;
}

Terms NaiveBayesImpl::fit(const Examples& training) {
  if (!training.y.defined() || training.y.dim() != 1 || training.x.dim() != 2 || training.x.size(0) == 0 ||
      training.y.size(0) != training.x.size(0)) {
    throw UsageError("models/naive_bayes: it learns from texts that each have one label; these do not");
  }
  const Tensor x = training.x.to(class_counts_.device(), at::kLong), y = training.y.to(class_counts_.device());
  require_within(x, end_token_ + 1, "token");
  require_within(y, classes_, "label");
  const Tensor texts = at::bincount(y, /*weights=*/{}, classes_);
  if (config_.prior_alpha == 0 && texts.eq(0).any().item<bool>()) {
    throw UsageError(
        "models/naive_bayes: a class has no text to learn from, and with prior_alpha 0 it could never be; give more "
        "texts, or a positive prior_alpha");
  }
  const Tensor places = events_of(x) * classes_ + y.unsqueeze(/*dim=*/1);  // in (V + 1, K), the ends' last
  const Tensor counts = at::bincount(places.flatten(), /*weights=*/{}, (end_token_ + 1) * classes_);
  token_counts_.copy_(counts.view({end_token_ + 1, classes_}).narrow(/*dim=*/0, 0, end_token_));
  class_counts_.copy_(texts);
  Loss loss = class_loss(class_logits(x), y);
  loss.terms["loss"] = loss.total;
  return loss.terms;
}

Tensor NaiveBayesImpl::class_logits(const Tensor& x) {
  require_within(x, end_token_ + 1, "token");
  const Tensor counts = token_counts_.to(at::kDouble) + config_.alpha, texts = class_counts_.to(at::kDouble);
  const bool counted = config_.prior_alpha > 0 || class_counts_.any().item<bool>();
  const Tensor prior = counted ? texts + config_.prior_alpha : at::ones_like(texts);
  Tensor logits = (prior / prior.sum()).log();  // (K)
  Tensor weights;                               // (V, K)
  if (config_.events == EventModel::multinomial) {
    weights = counts.log() - counts.sum(/*dim=*/0).log();
  } else {
    const Tensor p = counts / (texts + 2 * config_.alpha);
    logits = logits + at::log1p(-p).sum(/*dim=*/0);
    weights = p.log() - at::log1p(-p);
  }
  const Tensor ended = at::constant_pad_nd(weights, {0, 0, 0, 1});  // an end says nothing
  return logits + summed_weights(ended, events_of(x.to(at::kLong)));
}

}  // namespace genzoo
