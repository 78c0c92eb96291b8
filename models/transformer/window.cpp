#include "models/transformer/window.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace genzoo {

TransformerImpl::Window::Window(TransformerImpl& model, int64_t batch, int64_t prompt, const GenerateOptions& options,
                                Tensor begins)
    : model_(model),
      reduced_(model.reduced_weights(options.weight_type)),
      begins_(std::move(begins)),
      begin_(std::max<int64_t>(0, prompt - model.context())) {
  if (begins_.defined() && prompt + options.tokens > model.context()) {
    throw std::logic_error("models/transformer: texts of unequal length that do not fit into the context");
  }
  // A context can be far longer than what is asked for.
  const int64_t most = std::min(model.context(), prompt + options.tokens);
  positions_ = model.position_table(most);
  if (options.cache) caches_ = model.blocks_.make_caches(batch, most);
}

void TransformerImpl::Window::move_to(int64_t n) {
  if (n - begin_ > model_.context()) {
    begin_ = n - (model_.context() + 1) / 2;
    seen_ = 0;
  }
}

int64_t TransformerImpl::Window::room(int64_t n) {
  move_to(n);
  return begin_ + model_.context() - n;
}

Tensor TransformerImpl::Window::logits(const Tensor& tokens, int64_t n, int64_t proposed) {
  // Spares some hundred small operators their preparations for gradients.
  const c10::InferenceMode no_autograd;
  move_to(n);
  seen_ = std::min(seen_, n - 1 - begin_);
  for (LayerCache& cache : caches_) cache.length = seen_;
  const Tensor x = tokens.slice(/*dim=*/1, begin_ + seen_, n + proposed);
  const PositionTable positions =
      begins_.defined() ? positions_.slice(seen_, x.size(1), begins_) : positions_.slice(seen_, x.size(1));
  const Tensor h = model_.hidden(
      x, positions, /*dropout=*/{},
      {.caches = caches_.empty() ? nullptr : &caches_, .reduced = reduced_ ? &reduced_->blocks : nullptr});
  if (!caches_.empty()) seen_ += x.size(1);
  // Of what stands for a token, and of the last positions only.
  const Tensor last = h.narrow(/*dim=*/1, x.size(1) - proposed - 1, proposed + 1).flatten(0, 1);
  return model_.logits(last, reduced_.get()).narrow(/*dim=*/1, 0, model_.vocabulary_);
}

TransformerImpl::Fingerprint TransformerImpl::fingerprint() const {
  Fingerprint all;
  for (const Tensor& p : parameters()) {
    // Weights and their average change places in memory that LibTorch's versions do not know of: so the first value
    // counts, too.
    uint32_t first = 0;
    if (p.is_cpu() && p.nbytes() >= sizeof(first)) std::memcpy(&first, p.const_data_ptr(), sizeof(first));
    all.emplace_back(p.const_data_ptr(), (static_cast<int64_t>(p._version()) << 32) | first);
  }
  return all;
}

std::shared_ptr<const ReducedWeights> TransformerImpl::reduced_weights(WeightType type) {
  if (type == WeightType::float32) return nullptr;
  // Optimizers write to weights without LibTorch's knowledge, but only in training.
  const Fingerprint now = is_training() ? Fingerprint{} : fingerprint();
  if (!is_training() && reduced_ && reduced_->type == type && reduced_of_ == now) return reduced_;
  reduced_.reset();  // before its successor is made: memory
  auto made = std::make_shared<ReducedWeights>();
  made->type = type;
  made->blocks = blocks_.reduced(type);
  made->head = ReducedLinear(output_weight(), /*bias=*/{}, type);
  if (!is_training()) {
    reduced_ = made;
    reduced_of_ = now;
  }
  return made;
}

void TransformerImpl::train(bool on) {
  if (on) reduced_.reset();
  Module::train(on);
}

}  // namespace genzoo
