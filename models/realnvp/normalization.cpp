#include "models/realnvp/normalization.h"

#include <torch/utils.h>

#include <tuple>
#include <vector>

#include "models/layers.h"

namespace genzoo {
namespace {

constexpr double kEps = 1e-5;
constexpr double kMomentum = 0.1;  // of the batch in the running averages, as PyTorch's batch normalization has it

/// (D) -> (D), (C, H, W) -> (C, 1, 1): the size of what there is one of a channel.
std::vector<int64_t> channel_size(at::IntArrayRef event) {
  std::vector<int64_t> size(event.size(), 1);
  size[0] = event[0];
  return size;
}

/// Variance and mean of each channel over the batch and, of images, over the pixels.
std::tuple<Tensor, Tensor> channel_statistics(const Tensor& x) {
  require_statistics(x);
  std::vector<int64_t> dims{0};
  for (int64_t d = 2; d < x.dim(); ++d) dims.push_back(d);
  const auto [variance, mean] = at::var_mean(x, dims, /*correction=*/0, /*keepdim=*/true);
  return {variance.squeeze(0), mean.squeeze(0)};
}

/// The log-determinant (B) of scaling every channel of x by exp(log_scale).
Tensor scaling_log_det(const Tensor& x, const Tensor& log_scale) {
  const int64_t pixels = x[0].numel() / log_scale.numel();
  return (log_scale.sum() * pixels).expand({x.size(0)});
}

}  // namespace

ActNormImpl::ActNormImpl(at::IntArrayRef event)
    : log_scale(register_parameter("log_scale", torch::zeros(channel_size(event)))),
      bias(register_parameter("bias", torch::zeros(channel_size(event)))),
      mean(register_buffer("mean", torch::zeros(channel_size(event)))),
      log_std(register_buffer("log_std", torch::zeros(channel_size(event)))),
      initialized(register_buffer("initialized", torch::zeros({}, torch::kLong))) {}

// On a device without a branch on `initialized`: reading its value would make the host wait at every layer.
void ActNormImpl::initialize(const Tensor& x) {
  if (initialized.is_cpu() && initialized.item<int64_t>() != 0) return;
  const torch::NoGradGuard no_grad;
  const auto [batch_variance, batch_mean] = channel_statistics(x);
  const Tensor done = initialized.to(torch::kBool);
  mean.copy_(at::where(done, mean, batch_mean));
  log_std.copy_(at::where(done, log_std, 0.5 * (batch_variance + kEps).log()));
  initialized.fill_(1);
}

Transformed ActNormImpl::forward(const Tensor& x) {
  if (is_training()) initialize(x);
  const Tensor log_factor = log_scale - log_std;
  return {(x - mean) * log_factor.exp() + bias, scaling_log_det(x, log_factor)};
}

Tensor ActNormImpl::inverse(const Tensor& y) { return (y - bias) * (log_std - log_scale).exp() + mean; }

FlowBatchNormImpl::FlowBatchNormImpl(at::IntArrayRef event)
    : running_mean(register_buffer("running_mean", torch::zeros(channel_size(event)))),
      running_var(register_buffer("running_var", torch::ones(channel_size(event)))) {}

Transformed FlowBatchNormImpl::forward(const Tensor& x) {
  Tensor variance = running_var, mean = running_mean;
  if (is_training()) {
    std::tie(variance, mean) = channel_statistics(x);
    const torch::NoGradGuard no_grad;
    running_mean.lerp_(mean, kMomentum);
    running_var.lerp_(variance, kMomentum);
  }
  const Tensor log_factor = -0.5 * (variance + kEps).log();
  return {(x - mean) * log_factor.exp(), scaling_log_det(x, log_factor)};
}

Tensor FlowBatchNormImpl::inverse(const Tensor& y) { return y * (running_var + kEps).sqrt() + running_mean; }

}  // namespace genzoo
