#include "trainers/ema.h"

#include <torch/nn/module.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>

#include "trainers/named_state.h"

namespace genzoo {

Ema::Ema(const FlatParameters& parameters, torch::nn::Module& module, double halflife_images)
    : parameters_(&parameters), halflife_images_(halflife_images) {
  for (const auto& group : parameters.groups()) flats_.push_back({"", group.values, group.values.clone()});
  for (const auto& buffer : module.named_buffers()) {
    buffers_.push_back({buffer.key(), buffer.value(), buffer.value().clone()});
  }
}

void Ema::update(int64_t images, int64_t batch) {
  const torch::NoGradGuard no_grad;
  const double halflife = std::min(halflife_images_, 0.05 * static_cast<double>(images));
  const double weight = 1.0 - std::exp2(-static_cast<double>(batch) / std::max(halflife, 1e-8));
  for (auto& flat : flats_) flat.mean.lerp_(flat.live, weight);
  for (auto& buffer : buffers_) {
    if (buffer.mean.is_floating_point()) {
      buffer.mean.lerp_(buffer.live, weight);
    } else {
      buffer.mean.copy_(buffer.live);
    }
  }
}

NamedTensors Ema::state() const {
  NamedTensors state;
  for (const auto& slice : parameters_->slices()) {
    state[slice.name] = FlatParameters::view(flats_[slice.group].mean, slice);
  }
  for (const auto& buffer : buffers_) state[buffer.name] = buffer.mean;
  return state;
}

void Ema::load(const NamedTensors& saved) { load_state(state(), saved, "the averaged weights do not fit"); }

void Ema::exchange() {
  const torch::NoGradGuard no_grad;
  const auto swap = [](const Averaged& pair) {
    const Tensor live = pair.live.clone();
    pair.live.copy_(pair.mean);
    pair.mean.copy_(live);
  };
  std::ranges::for_each(flats_, swap);
  std::ranges::for_each(buffers_, swap);
}

}  // namespace genzoo
