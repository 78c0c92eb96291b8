#include "models/leaf_gradients.h"

#include <torch/utils.h>

#include <algorithm>
#include <utility>

namespace genzoo {
namespace {

thread_local LeafGradients* active = nullptr;

}  // namespace

const Tensor& LeafGradients::Slot::zeroed() {
  if (std::exchange(fresh_, false)) {
    const torch::NoGradGuard no_grad;
    gradient_.zero_();
  }
  return gradient_;
}

LeafGradients::LeafGradients(const std::vector<Tensor>& leaves) {
  for (const Tensor& leaf : leaves) {
    auto slot = std::make_shared<Slot>(leaf.grad());
    slots_[leaf.unsafeGetTensorImpl()] = slot.get();
    std::optional<unsigned> hook;  // runs before autograd adds to grad()
    if (leaf.requires_grad()) hook = leaf.register_hook([slot](const Tensor& /*gradient*/) { slot->zeroed(); });
    leaves_.push_back({leaf, hook, std::move(slot)});
  }
}

LeafGradients::~LeafGradients() {
  for (const Leaf& leaf : leaves_) {
    if (leaf.hook) leaf.tensor.remove_hook(*leaf.hook);
  }
}

void LeafGradients::start() {
  for (const Leaf& leaf : leaves_) {
    leaf.slot->fresh_ = true;
    if (!leaf.hook) leaf.slot->zeroed();  // was frozen then, and may not be now
  }
}

bool LeafGradients::claim() {
  const auto is_fresh = [](const Leaf& leaf) { return leaf.slot->fresh_; };
  if (!std::all_of(leaves_.begin(), leaves_.end(), is_fresh)) return false;
  for (const Leaf& leaf : leaves_) leaf.slot->fresh_ = false;
  return true;
}

void LeafGradients::finish() {
  for (const Leaf& leaf : leaves_) leaf.slot->zeroed();
}

LeafGradients::Slot* LeafGradients::at(const Tensor& leaf) {
  if (!active) return nullptr;
  const auto found = active->slots_.find(leaf.unsafeGetTensorImpl());
  return found == active->slots_.end() ? nullptr : found->second;
}

Tensor LeafGradients::place(const Tensor& leaf, bool wanted, Tensor& result) {
  if (!wanted) return {};
  if (Slot* slot = at(leaf)) return slot->zeroed();
  result = torch::zeros_like(leaf, leaf.options().requires_grad(false));
  return result;
}

LeafGradients::Scope::Scope(LeafGradients& gradients) : before_(std::exchange(active, &gradients)) {}
LeafGradients::Scope::~Scope() { active = before_; }

}  // namespace genzoo
