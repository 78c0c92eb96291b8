#include "trainers/optimizer.h"

#include <torch/nn/module.h>
#include <torch/utils.h>

#include <algorithm>

#include "trainers/named_state.h"

namespace genzoo {
namespace {

constexpr int64_t kSliceAlignment = 64;  // bytes: a cache line, and the widest vector register

int64_t padded(int64_t elements, int64_t element_size) {
  const int64_t unit = kSliceAlignment / element_size;
  return (elements + unit - 1) / unit * unit;
}

/// Euclidean norm of all elements of all tensors. () float32
Tensor norm_of_all(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> norms;
  for (const Tensor& tensor : tensors) norms.push_back(at::linalg_vector_norm(tensor).to(torch::kFloat));
  return norms.size() == 1 ? norms[0] : at::linalg_vector_norm(at::stack(norms));
}

}  // namespace

void AdamWConfig::fields(Fields& f) {
  f("lr", lr, "learning rate at the schedule's top", positive);
  f("beta1", beta1, "decay of the first moment", fraction);
  f("beta2", beta2, "decay of the second moment", fraction);
  f("eps", eps, "added to the root of the second moment", positive);
  f("weight_decay", weight_decay, "decoupled decay of parameters with two or more dimensions", non_negative);
}

void AdamConfig::fields(Fields& f) {
  f("lr", lr, "learning rate at the schedule's top", positive);
  f("beta1", beta1, "decay of the first moment", fraction);
  f("beta2", beta2, "decay of the second moment", fraction);
  f("eps", eps, "added to the root of the second moment", positive);
}

void SGDConfig::fields(Fields& f) {
  f("lr", lr, "learning rate at the schedule's top", positive);
  f("momentum", momentum, "decay of the velocity; 0: plain gradient descent", fraction);
  f("nesterov", nesterov, "Nesterov's look-ahead momentum");
  f("weight_decay", weight_decay, "decay of weight matrices and kernels; gains and biases do not decay", non_negative);
  f.require(!nesterov || momentum > 0, "nesterov", "'nesterov' needs a 'momentum' above 0");
}

double base_lr(const OptimizerConfig& config) {
  return std::visit([](const auto& c) { return c.lr; }, config);
}

FlatParameters::FlatParameters(torch::nn::Module& module) {
  const torch::NoGradGuard no_grad;
  const auto named = module.named_parameters();
  std::vector<int64_t> sizes;
  std::vector<torch::TensorOptions> options;
  for (const auto& item : named) {
    const Tensor& p = item.value();
    TORCH_CHECK(p.is_contiguous(), "parameter ", item.key(), " is not contiguous");
    // Matrices and kernels: a gain or bias of an image's channels has three dimensions, but is called neither.
    const bool decays = p.dim() >= 2 && (item.key() == "weight" || item.key().ends_with(".weight"));
    int64_t g = 0;
    while (g < static_cast<int64_t>(groups_.size()) &&
           (groups_[g].decays != decays || options[g].dtype() != p.options().dtype())) {
      ++g;
    }
    if (g == static_cast<int64_t>(groups_.size())) {
      groups_.push_back({{}, {}, decays});
      sizes.push_back(0);
      options.push_back(p.options().requires_grad(false));
    }
    slices_.push_back({item.key(), g, sizes[g], p.sizes().vec()});
    sizes[g] += padded(p.numel(), p.element_size());
  }
  for (size_t g = 0; g < groups_.size(); ++g) {
    groups_[g].values = torch::zeros({sizes[g]}, options[g]);
    groups_[g].gradients = torch::zeros({sizes[g]}, options[g]);
  }
  for (size_t i = 0; i < slices_.size(); ++i) {
    Tensor p = named[i].value();
    Group& group = groups_[slices_[i].group];
    const Tensor value = view(group.values, slices_[i]);
    value.copy_(p);
    p.set_data(value);
    p.mutable_grad() = view(group.gradients, slices_[i]);
  }
}

Tensor FlatParameters::view(const Tensor& flat, const Slice& slice) {
  return flat.narrow(0, slice.offset, c10::multiply_integers(slice.shape)).view(slice.shape);
}

void FlatParameters::zero_gradients() {
  for (Group& group : groups_) group.gradients.zero_();
}

Tensor FlatParameters::gradient_norm() const {
  std::vector<Tensor> gradients;
  for (const Group& group : groups_) gradients.push_back(group.gradients);
  return norm_of_all(gradients);
}

std::vector<Tensor> FlatParameters::copy_of_values() const {
  std::vector<Tensor> values;
  for (const Group& group : groups_) values.push_back(group.values.clone());
  return values;
}

Tensor FlatParameters::relative_change(const std::vector<Tensor>& before) const {
  // In double: squares of finite weights may be infinite in float32, which would be taken for a divergence.
  const auto square = [](const Tensor& t) { return at::linalg_vector_norm(t, 2, {}, false, torch::kDouble).square(); };
  std::vector<Tensor> changes, weights;
  for (size_t g = 0; g < groups_.size(); ++g) {
    changes.push_back(square(groups_[g].values - before[g]));
    weights.push_back(square(before[g]));
  }
  // Weights that are all zero move infinitely far; so a large number has to do.
  return (at::stack(changes).sum() / at::stack(weights).sum().clamp_min(1e-24)).sqrt().to(torch::kFloat);
}

Optimizer::Optimizer(torch::nn::Module& module, const OptimizerConfig& config) : config_(config), parameters_(module) {
  for (const auto& group : parameters_.groups()) {
    const Tensor first = torch::zeros_like(group.values);
    moments_.push_back({first, std::holds_alternative<SGDConfig>(config_) ? Tensor() : torch::zeros_like(first)});
  }
  const auto& groups = parameters_.groups();
  step_count_ = torch::zeros(
      {}, groups.empty() ? torch::TensorOptions(torch::kFloat) : groups[0].values.options().dtype(torch::kFloat));
}

Tensor Optimizer::clip(double max_norm) {
  const torch::NoGradGuard no_grad;
  const Tensor norm = parameters_.gradient_norm();
  const Tensor factor = (max_norm / (norm + 1e-6)).clamp_max(1.0);
  for (auto& group : parameters_.groups()) group.gradients.mul_(factor);
  return norm;
}

void Optimizer::step(double lr) {
  const torch::NoGradGuard no_grad;
  step_count_.add_(1);
  for (size_t i = 0; i < moments_.size(); ++i) {
    const auto& group = parameters_.groups()[i];
    const std::vector<Tensor> values{group.values}, gradients{group.gradients}, steps{step_count_};
    const std::vector<Tensor> m{moments_[i].first};
    if (const auto* adamw = std::get_if<AdamWConfig>(&config_)) {
      at::_fused_adamw_(values, gradients, m, {moments_[i].second}, {}, steps, lr, adamw->beta1, adamw->beta2,
                        group.decays ? adamw->weight_decay : 0.0, adamw->eps, /*amsgrad=*/false, /*maximize=*/false);
    } else if (const auto* adam = std::get_if<AdamConfig>(&config_)) {
      at::_fused_adam_(values, gradients, m, {moments_[i].second}, {}, steps, lr, adam->beta1, adam->beta2,
                       /*weight_decay=*/0.0, adam->eps, /*amsgrad=*/false, /*maximize=*/false);
    } else {
      const auto& sgd = std::get<SGDConfig>(config_);
      // The velocity begins at zero, so the first step (velocity = gradient) is the same sum as any other. Without
      // momentum the operator takes no velocity.
      at::_fused_sgd_(values, gradients, sgd.momentum > 0 ? m : std::vector<Tensor>{},
                      group.decays ? sgd.weight_decay : 0.0, sgd.momentum, lr,
                      /*dampening=*/0.0, sgd.nesterov, /*maximize=*/false, /*is_first_step=*/false);
    }
  }
}

std::vector<std::pair<const char*, const Tensor*>> Optimizer::moment_names(const Moments& m) const {
  if (std::holds_alternative<SGDConfig>(config_)) return {{"velocity", &m.first}};
  return {{"exp_avg", &m.first}, {"exp_avg_sq", &m.second}};
}

NamedTensors Optimizer::state() const {
  NamedTensors state{{"step", step_count_}};
  for (const auto& slice : parameters_.slices()) {
    for (const auto& [kind, flat] : moment_names(moments_[slice.group])) {
      state[slice.name + "." + kind] = FlatParameters::view(*flat, slice);
    }
  }
  return state;
}

void Optimizer::load(const NamedTensors& saved) { load_state(state(), saved, "the optimizer's state does not fit"); }

}  // namespace genzoo
