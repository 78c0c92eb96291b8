#include "trainers/optimizer.h"

#include <torch/nn/module.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>

#include "core/kernels/kernels.h"
#include "core/workers.h"
#include "trainers/named_state.h"

namespace genzoo {
namespace {

constexpr int64_t kSliceAlignment = 64;  // bytes: a cache line, and the widest vector register

int64_t padded(int64_t elements, int64_t element_size) {
  const int64_t unit = kSliceAlignment / element_size;
  return (elements + unit - 1) / unit * unit;
}

/// The parameters that learn, by name.
torch::OrderedDict<std::string, Tensor> learning(const torch::nn::Module& module) {
  torch::OrderedDict<std::string, Tensor> some;
  for (const auto& item : module.named_parameters()) {
    if (item.value().requires_grad()) some.insert(item.key(), item.value());
  }
  return some;
}

/// Whether the kernels can work on it; else LibTorch's operators do.
bool for_kernels(const Tensor& t) { return t.is_cpu() && t.scalar_type() == torch::kFloat; }

/// Where LibTorch's operators read a learning rate: as a number in the device's memory, which CUDA's kernels take as
/// float32 without a wait. (On the CPU they read it as the number it is.) Undefined when the kernels update all groups.
Tensor rate_for_operators(const std::vector<FlatParameters::Group>& groups, bool adam) {
  for (const auto& group : groups) {
    if (adam && for_kernels(group.values)) continue;
    return torch::zeros({}, group.values.options().dtype(group.values.is_cpu() ? torch::kDouble : torch::kFloat));
  }
  return {};
}

/// Sum of the squares of all elements, in double. On the CPU over blocks of a fixed size added in order, so that the
/// number of threads does not change its bits. ()
Tensor sum_of_squares(const Tensor& t, Workers* workers) {
  if (!for_kernels(t)) return at::linalg_vector_norm(t).to(torch::kDouble).square();
  constexpr int64_t kBlock = 1 << 15;
  const int64_t n = t.numel();
  std::vector<double> sums(static_cast<size_t>((n + kBlock - 1) / kBlock));
  const auto* x = t.const_data_ptr<float>();
  for_ranges(workers, n, kBlock, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += kBlock) {
      sums[static_cast<size_t>(i / kBlock)] = kernels().sum_of_squares(x + i, std::min(kBlock, end - i));
    }
  });
  double sum = 0;
  for (const double block : sums) sum += block;
  return at::scalar_tensor(sum, torch::kDouble);
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
  const auto named = learning(module);
  std::vector<int64_t> sizes;
  std::vector<torch::TensorOptions> options;
  for (const auto& item : named) {
    const Tensor& p = item.value();
    TORCH_CHECK(p.is_non_overlapping_and_dense(), "parameter ", item.key(), " has gaps in memory");
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
    slices_.push_back({item.key(), g, sizes[g], p.sizes().vec(), p.strides().vec()});
    sizes[g] += padded(p.numel(), p.element_size());
  }
  for (size_t g = 0; g < groups_.size(); ++g) {
    groups_[g].values = torch::zeros({sizes[g]}, options[g]);
  }
  for (size_t i = 0; i < slices_.size(); ++i) {
    Tensor p = named[i].value();
    Group& group = groups_[slices_[i].group];
    const Tensor value = view(group.values, slices_[i]);
    value.copy_(p);
    p.set_data(value);
  }
  // Only now, when the memory of the original values can serve again.
  for (Group& group : groups_) group.gradients = torch::zeros_like(group.values);
  for (size_t i = 0; i < slices_.size(); ++i) {
    named[i].value().mutable_grad() = view(groups_[slices_[i].group].gradients, slices_[i]);
  }
  leaves_ = std::make_unique<LeafGradients>(named.values());
}

FlatParameters::FlatParameters(torch::nn::Module& replica, const FlatParameters& original)
    : groups_(original.groups_), slices_(original.slices_) {
  const torch::NoGradGuard no_grad;
  for (Group& group : groups_) group.gradients = torch::zeros_like(group.gradients);
  const auto named = learning(replica);
  TORCH_CHECK(named.size() == slices_.size(), "a replica has ", named.size(), " parameters, wanted ", slices_.size());
  for (size_t i = 0; i < slices_.size(); ++i) {
    TORCH_CHECK(named[i].key() == slices_[i].name, "a replica has ", named[i].key(), ", wanted ", slices_[i].name);
    Tensor p = named[i].value();
    p.set_data(view(groups_[slices_[i].group].values, slices_[i]));
    p.mutable_grad() = view(groups_[slices_[i].group].gradients, slices_[i]);
  }
  leaves_ = std::make_unique<LeafGradients>(named.values());
}

Tensor FlatParameters::view(const Tensor& flat, const Slice& slice) {
  return flat.as_strided(slice.shape, slice.strides, flat.storage_offset() + slice.offset);
}

void FlatParameters::start_gradients() {
  // Elsewhere one operator a buffer is cheaper than one a parameter.
  if (groups_.empty() || groups_[0].gradients.is_cpu()) {
    leaves_->start();
  } else {
    zero_gradients();
  }
}

void FlatParameters::finish_gradients() { leaves_->finish(); }

void FlatParameters::zero_gradients() {
  for (Group& group : groups_) group.gradients.zero_();
}

Tensor FlatParameters::gradient_norm(Workers* workers) const {
  Tensor sum;
  for (const Group& group : groups_) {
    const Tensor squares = sum_of_squares(group.gradients, workers);
    sum = sum.defined() ? sum + squares : squares;
  }
  return sum.sqrt().to(torch::kFloat);
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
  rate_on_device_ = rate_for_operators(groups, !std::holds_alternative<SGDConfig>(config_));
  if (rate_on_device_.defined() && !rate_on_device_.is_cpu())
    average_weight_on_device_ = torch::zeros_like(rate_on_device_);
}

Tensor Optimizer::clip(double max_norm, Workers* workers) {
  const torch::NoGradGuard no_grad;
  const Tensor norm = parameters_.gradient_norm(workers);
  const Tensor factor = (max_norm / (norm + 1e-6)).clamp_max(1.0);
  if (norm.is_cpu() && !std::holds_alternative<SGDConfig>(config_)) {
    gradient_scale_ = factor.item<double>();  // with the pass that updates
  } else {
    for (auto& group : parameters_.groups()) group.gradients.mul_(factor);
  }
  return norm;
}

void Optimizer::average_next(const std::vector<Tensor>& means, double weight) {
  TORCH_CHECK(means.size() == parameters_.groups().size(), "averages of ", means.size(), " groups, wanted ",
              parameters_.groups().size());
  means_ = means;
  average_weight_ = weight;
  if (average_weight_on_device_.defined()) average_weight_on_device_.fill_(weight);
}

void Optimizer::move_average(size_t group) {
  if (means_.empty()) return;
  const Tensor& values = parameters_.groups()[group].values;
  if (average_weight_on_device_.defined()) {
    means_[group].lerp_(values, average_weight_on_device_.to(values.scalar_type()));
  } else {
    means_[group].lerp_(values, average_weight_);
  }
}

void Optimizer::adam_step(size_t index, double weight_decay, const AdamConfig& config, Workers* workers) {
  const auto& group = parameters_.groups()[index];
  const Moments& moments = moments_[index];
  if (!for_kernels(group.values)) {
    if (gradient_scale_ != 1.0) group.gradients.mul_(gradient_scale_);
    at::_fused_adamw_({group.values}, {group.gradients}, {moments.first}, {moments.second}, {}, {step_count_},
                      rate_on_device_, config.beta1, config.beta2, weight_decay, config.eps, /*amsgrad=*/false,
                      /*maximize=*/false);
    move_average(index);
    return;
  }
  const double steps = step_count_.item<double>();
  const AdamStep step{.lr = static_cast<float>(rate_),
                      .beta1 = static_cast<float>(config.beta1),
                      .beta2 = static_cast<float>(config.beta2),
                      .eps = static_cast<float>(config.eps),
                      .weight_decay = static_cast<float>(weight_decay),
                      .bias_correction1 = static_cast<float>(1 - std::pow(config.beta1, steps)),
                      .bias_correction2 = static_cast<float>(1 - std::pow(config.beta2, steps)),
                      .gradient_scale = static_cast<float>(gradient_scale_),
                      .average_weight = static_cast<float>(average_weight_)};
  auto* value = group.values.mutable_data_ptr<float>();
  auto* first = moments.first.mutable_data_ptr<float>();
  auto* second = moments.second.mutable_data_ptr<float>();
  auto* mean = means_.empty() ? nullptr : means_[index].mutable_data_ptr<float>();
  const auto* gradient = group.gradients.const_data_ptr<float>();
  for_ranges(workers, group.values.numel(), kSliceAlignment, [&](int64_t begin, int64_t end) {
    kernels().adam(value + begin, gradient + begin, first + begin, second + begin, mean ? mean + begin : nullptr,
                   end - begin, step);
  });
}

void Optimizer::step(double lr, Workers* workers) {
  set_rate(lr);
  apply(workers);
}

void Optimizer::set_rate(double lr) {
  const torch::NoGradGuard no_grad;
  rate_ = lr;
  if (rate_on_device_.defined()) rate_on_device_.fill_(lr);
}

void Optimizer::apply(Workers* workers) {
  const torch::NoGradGuard no_grad;
  step_count_.add_(1);
  for (size_t i = 0; i < moments_.size(); ++i) {
    const auto& group = parameters_.groups()[i];
    if (const auto* adamw = std::get_if<AdamWConfig>(&config_)) {
      adam_step(i, group.decays ? adamw->weight_decay : 0.0, {adamw->lr, adamw->beta1, adamw->beta2, adamw->eps},
                workers);
    } else if (const auto* adam = std::get_if<AdamConfig>(&config_)) {
      adam_step(i, /*weight_decay=*/0.0, *adam, workers);
    } else {
      const auto& sgd = std::get<SGDConfig>(config_);
      // The velocity begins at zero, so the first step (velocity = gradient) is the same sum as any other. Without
      // momentum the operator takes no velocity.
      at::_fused_sgd_({group.values}, {group.gradients},
                      sgd.momentum > 0 ? std::vector<Tensor>{moments_[i].first} : std::vector<Tensor>{},
                      group.decays ? sgd.weight_decay : 0.0, sgd.momentum, rate_on_device_,
                      /*dampening=*/0.0, sgd.nesterov, /*maximize=*/false, /*is_first_step=*/false);
      move_average(i);
    }
  }
  gradient_scale_ = 1.0;
  means_.clear();
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
