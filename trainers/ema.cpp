#include "trainers/ema.h"

#include <torch/nn/module.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>

#include "trainers/named_state.h"

namespace genzoo {

Ema::Ema(Optimizer& optimizer, torch::nn::Module& module, double halflife_images)
    : optimizer_(&optimizer), means_(optimizer.parameters().copy_of_values()), halflife_images_(halflife_images) {
  for (const auto& buffer : module.named_buffers()) {
    buffers_.push_back({buffer.key(), buffer.value(), buffer.value().clone()});
  }
}

void Ema::begin_update(int64_t images, int64_t batch) {
  const double halflife = std::min(halflife_images_, 0.05 * static_cast<double>(images));
  weight_ = 1.0 - std::exp2(-static_cast<double>(batch) / std::max(halflife, 1e-8));
  optimizer_->average_next(means_, weight_);
}

void Ema::end_update() {
  const torch::NoGradGuard no_grad;
  for (auto& buffer : buffers_) {
    if (buffer.mean.is_floating_point()) {
      buffer.mean.lerp_(buffer.live, weight_);
    } else {
      buffer.mean.copy_(buffer.live);
    }
  }
}

void Ema::restart() {
  const torch::NoGradGuard no_grad;
  for (size_t g = 0; g < means_.size(); ++g) means_[g].copy_(optimizer_->parameters().groups()[g].values);
  for (auto& buffer : buffers_) buffer.mean.copy_(buffer.live);
}

NamedTensors Ema::state() const {
  NamedTensors state;
  for (const auto& slice : optimizer_->parameters().slices()) {
    state[slice.name] = FlatParameters::view(means_[slice.group], slice);
  }
  for (const auto& buffer : buffers_) state[buffer.name] = buffer.mean;
  return state;
}

void Ema::load(const NamedTensors& saved) { load_state(state(), saved, "the averaged weights do not fit"); }

void Ema::exchange() {
  const torch::NoGradGuard no_grad;
  const auto swap = [](const Tensor& live, const Tensor& mean) {
    const Tensor before = live.clone();
    live.copy_(mean);
    mean.copy_(before);
  };
  for (size_t g = 0; g < means_.size(); ++g) swap(optimizer_->parameters().groups()[g].values, means_[g]);
  for (const auto& buffer : buffers_) swap(buffer.live, buffer.mean);
}

}  // namespace genzoo
