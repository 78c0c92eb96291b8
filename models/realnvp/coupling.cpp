#include "models/realnvp/coupling.h"

#include <torch/utils.h>

#include <string>
#include <utility>

namespace genzoo {
namespace {

constexpr ConvGeometry kSameSize{.kernel = 3, .padding = 1};
constexpr ConvGeometry kPointwise{.kernel = 1};

/// A coupling whose network ends in zeros is the identity: deep flows start from there (Kingma & Dhariwal, 2018).
template <class Layer>
void zero(const Layer& layer) {
  const torch::NoGradGuard no_grad;
  layer->weight.zero_();
  layer->bias.zero_();
}

}  // namespace

CouplingMLPImpl::CouplingMLPImpl(int64_t dim, int64_t hidden_dim, int64_t hidden_layers, bool zero_start, Rng& init) {
  for (int64_t i = 0; i <= hidden_layers; ++i) {
    const int64_t in = i == 0 ? dim : hidden_dim, out = i == hidden_layers ? 2 * dim : hidden_dim;
    layers_.push_back(register_module(std::to_string(i), Linear(in, out, init)));
  }
  // What a coupling's mask leaves of the inputs is every second one: with the weights of an input together in memory,
  // the product with these alone needs no copy of them.
  const torch::NoGradGuard no_grad;
  Tensor& first = layers_.front()->weight;
  first.set_data(first.t().contiguous().t());
  if (zero_start) zero(layers_.back());
}

Tensor CouplingMLPImpl::forward(const Tensor& x) {
  Tensor h = x;
  for (Linear& layer : layers_)
    h = layer->activated(h, &layer == &layers_.back() ? Activation::none : Activation::relu);
  return h;
}

std::vector<LinearParameters> CouplingMLPImpl::parameters_in_order() const {
  std::vector<LinearParameters> parameters;
  for (const Linear& layer : layers_) parameters.push_back({layer->adapted_weight(), layer->bias});
  return parameters;
}

CouplingResNetImpl::CouplingResNetImpl(int64_t channels, int64_t hidden_dim, int64_t blocks, int64_t fold,
                                       bool zero_start, Rng& init)
    : fold_(fold) {
  input_ = register_module("input", Conv2d(fold * fold * channels, hidden_dim, kSameSize, init));
  for (int64_t i = 0; i < blocks; ++i) {
    const std::string name = "block" + std::to_string(i);
    blocks_.push_back({register_module(name + "_first", Conv2d(hidden_dim, hidden_dim, kSameSize, init)),
                       register_module(name + "_second", Conv2d(hidden_dim, hidden_dim, kSameSize, init))});
  }
  output_ = register_module("output", Conv2d(hidden_dim, 2 * fold * fold * channels, kPointwise, init));
  if (zero_start) zero(output_);
}

Tensor CouplingResNetImpl::forward(const Tensor& x) {
  Tensor h = input_->forward(at::pixel_unshuffle(x, fold_));
  for (auto& [first, second] : blocks_) {
    h = h + second->forward(first->forward(h.relu()).relu());
  }
  return at::pixel_shuffle(output_->forward(h.relu()), fold_);
}

Tensor checkerboard_mask(at::IntArrayRef event, bool flip) {
  Tensor index = torch::arange(event.back());
  if (event.size() == 3) index = index + torch::arange(event[1]).unsqueeze(1);
  return (index % 2 == (flip ? 0 : 1)).to(torch::kFloat);
}

Tensor channel_mask(at::IntArrayRef event, bool flip) {
  const Tensor channel = torch::arange(event[0]).view({-1, 1, 1});
  return ((channel < event[0] / 2) != flip).to(torch::kFloat);
}

CouplingImpl::CouplingImpl(at::IntArrayRef event, const Tensor& mask_, bool learned_scale,
                           std::shared_ptr<CouplingNetwork> network)
    : mask(register_buffer("mask", mask_)),
      network_(register_module("network", std::move(network))),
      mlp_(dynamic_cast<const CouplingMLPImpl*>(network_.get())) {
  if (mlp_) changed_ = mask[0].item<float>() == 0 ? 0 : 1;
  if (!learned_scale) return;
  std::vector<int64_t> size(event.size(), 1);
  size[0] = event[0];
  log_scale_bound = register_parameter("log_scale_bound", torch::ones(size));
}

CouplingImpl::Affine CouplingImpl::affine(const Tensor& x) {
  // The sums over pixels stay in x's precision when autocast lowers the network's.
  const auto raw = network_->forward(mask * x).to(x.scalar_type()).chunk(2, /*dim=*/1);
  const Tensor changed = 1 - mask;
  const Tensor bounded = raw[0].tanh();
  return {changed * (log_scale_bound.defined() ? log_scale_bound * bounded : bounded), changed * raw[1]};
}

Transformed CouplingImpl::forward(const Tensor& x) {
  if (mlp_ && fits_fused_coupling(x)) {
    return fused_coupling(x, changed_, mask, log_scale_bound, mlp_->parameters_in_order());
  }
  const auto [log_scale, translation] = affine(x);
  return {x * log_scale.exp() + translation, log_scale.flatten(1).sum(1)};
}

Tensor CouplingImpl::inverse(const Tensor& y) {
  const auto [log_scale, translation] = affine(y);  // of y's masked part, which is x's
  return (y - translation) * (-log_scale).exp();
}

}  // namespace genzoo
