#include "models/layers.h"

#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/utils.h>

#include <cmath>
#include <stdexcept>

#include "core/error.h"
#include "models/fused_batch_norm.h"
#include "models/fused_convolution.h"
#include "models/fused_embedding.h"

namespace genzoo {
namespace {

/// Uniform in +-1 / sqrt(fan_in).
Tensor uniform_fan_in(at::IntArrayRef size, int64_t fan_in, Rng& init) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(fan_in));
  return init.uniform(size) * (2 * bound) - bound;
}

/// A kernel whose channels lie side by side in memory, so that convolutions and what follows them do, too. Copied, for
/// contiguous() sees no difference where there is one channel, and LibTorch goes by the strides.
Tensor channels_last(const Tensor& kernel) {
  return at::empty(kernel.sizes(), kernel.options().memory_format(at::MemoryFormat::ChannelsLast)).copy_(kernel);
}

/// Whether a convolution leads to an image of half the size, and its transpose to one of twice the size.
bool halves(const ConvGeometry& geometry) {
  return geometry.kernel == 4 && geometry.stride == 2 && geometry.padding == 1;
}

}  // namespace

LinearImpl::LinearImpl(int64_t in, int64_t out, Rng& init, bool with_bias, Activation activation)
    : weight(register_parameter("weight", uniform_fan_in({out, in}, in, init))), activation_(activation) {
  if (with_bias) bias = register_parameter("bias", uniform_fan_in({out}, in, init));
}

LinearImpl::LinearImpl(const Tensor& weight_, const Tensor& bias_) : weight(register_parameter("weight", weight_)) {
  if (bias_.defined()) bias = register_parameter("bias", bias_);
}

Tensor LinearImpl::activated(const Tensor& x, Activation activation, Result result) {
  if (!lora_a.defined()) return fused_linear(x, weight, bias, activation, result);
  const Tensor z = fused_linear(x, weight, bias, Activation::none, result);
  const Tensor update = fused_linear(fused_linear(x, lora_a, {}), lora_b * lora_scale_, {}, Activation::none, result);
  switch (activation) {
    case Activation::none:
      return z + update;
    case Activation::relu:
      return at::relu(z + update);
    case Activation::gelu:
      return at::gelu(z + update, "tanh");
  }
  throw std::logic_error("models/layers: unknown activation");
}

void LinearImpl::adapt(int64_t rank, double scale, Rng& init) {
  lora_a = register_parameter("lora_a", uniform_fan_in({rank, weight.size(1)}, weight.size(1), init).to(weight));
  lora_b = register_parameter("lora_b", at::zeros({weight.size(0), rank}, weight.options().requires_grad(false)));
  lora_scale_ = scale;
  weight.set_requires_grad(false);
  if (bias.defined()) bias.set_requires_grad(false);
}

Tensor LinearImpl::adapted_weight() const {
  if (!lora_a.defined()) return weight;
  // A weight like any other, of the parameters' type; autocast would round the update away before the products do.
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  return at::addmm(weight, lora_b, lora_a, /*beta=*/1, lora_scale_);
}

Tensor Leaky::applied_in_place(const Tensor& z) const {
  Tensor y = z;
  if (slope == 0) return y.relu_();
  return slope == 1 ? y : at::leaky_relu_(y, slope);
}

Conv2dImpl::Conv2dImpl(int64_t in, int64_t out, const ConvGeometry& geometry, Rng& init, Leaky activation)
    : geometry_(geometry), activation_(activation) {
  const int64_t k = geometry.kernel;
  weight = register_parameter("weight", channels_last(uniform_fan_in({out, in, k, k}, in * k * k, init)));
  if (geometry.bias) bias = register_parameter("bias", uniform_fan_in({out}, in * k * k, init));
}

Tensor Conv2dImpl::forward(const Tensor& x) {
  if (halves(geometry_)) return fused_convolution(x, weight, bias, Direction::to_coarse, activation_.slope);
  return activation_.applied_in_place(at::conv2d(x, weight, bias, geometry_.stride, geometry_.padding));
}

ConvTranspose2dImpl::ConvTranspose2dImpl(int64_t in, int64_t out, const ConvGeometry& geometry, Rng& init,
                                         Leaky activation)
    : geometry_(geometry), activation_(activation) {
  const int64_t k = geometry.kernel;
  // PyTorch takes dimension 1 of the transposed weight for its fan-in: out, not in.
  weight = register_parameter("weight", channels_last(uniform_fan_in({in, out, k, k}, out * k * k, init)));
  if (geometry.bias) bias = register_parameter("bias", uniform_fan_in({out}, out * k * k, init));
}

Tensor ConvTranspose2dImpl::forward(const Tensor& x) {
  if (halves(geometry_)) return fused_convolution(x, weight, bias, Direction::to_fine, activation_.slope);
  return activation_.applied_in_place(at::conv_transpose2d(x, weight, bias, geometry_.stride, geometry_.padding));
}

BatchNormImpl::BatchNormImpl(int64_t channels, double eps, Leaky activation)
    : weight(register_parameter("weight", torch::ones({channels}))),
      bias(register_parameter("bias", torch::zeros({channels}))),
      running_mean(register_buffer("running_mean", torch::zeros({channels}))),
      running_var(register_buffer("running_var", torch::ones({channels}))),
      eps_(eps),
      activation_(activation) {}

void require_statistics(const Tensor& x) {
  if (x.numel() > x.size(1)) return;
  throw UsageError("normalization over one value per channel: it needs two examples per shard; raise train.batch_size");
}

Tensor BatchNormImpl::forward(const Tensor& x) {
  if (!is_training()) {
    return activation_.applied_in_place(at::batch_norm(x, weight, bias, running_mean, running_var, /*training=*/false,
                                                       /*momentum=*/0, eps_, /*cudnn_enabled=*/true));
  }
  require_statistics(x);
  const auto [y, moments] = fused_batch_norm(x, weight, bias, eps_, activation_.slope);
  const torch::NoGradGuard no_grad;
  constexpr double kMomentum = 0.1;
  running_mean.lerp_(moments.mean, kMomentum);
  running_var.lerp_(moments.variance, kMomentum);
  return y;
}

LayerNormImpl::LayerNormImpl(int64_t dim, bool with_bias, double eps)
    : weight(register_parameter("weight", torch::ones({dim}))), eps_(eps) {
  if (with_bias) bias = register_parameter("bias", torch::zeros({dim}));
}

NormalizedSum LayerNormImpl::after_sum(const Tensor& x, const Tensor& update, Result result) {
  return fused_layer_norm(x, update, weight, bias, eps_, result);
}

RMSNormImpl::RMSNormImpl(int64_t dim, double eps)
    : weight(register_parameter("weight", torch::ones({dim}))), eps_(eps) {}

NormalizedSum RMSNormImpl::after_sum(const Tensor& x, const Tensor& update, Result /*result*/) {
  const Tensor sum = update.defined() ? x + update : x;
  const Tensor inverse_rms = (sum.square().mean(/*dim=*/-1, /*keepdim=*/true) + eps_).rsqrt();
  return {sum, sum * inverse_rms * weight};
}

EmbeddingImpl::EmbeddingImpl(int64_t count, int64_t dim, double std, Rng& init)
    : weight(register_parameter("weight", init.normal({count, dim}) * std)) {}

Tensor EmbeddingImpl::forward(const Tensor& index) { return embed(weight, index); }

void fill_normal(const Tensor& parameter, double mean, double std, Rng& init) {
  const torch::NoGradGuard no_grad;
  parameter.copy_(init.normal(parameter.sizes()) * std + mean);
}

}  // namespace genzoo
