#include "models/gan/networks.h"

#include <fmt/format.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <algorithm>
#include <string>
#include <utility>

#include "core/error.h"
#include "models/fused_convolution.h"
#include "models/gan/gan.h"

namespace genzoo::gan {
namespace {

constexpr double kInitStd = 0.02;  // Radford et al. (2016), section 4
constexpr Leaky kLeaky{0.2};       // Radford et al. (2016), section 4
constexpr ConvGeometry kHalving{.kernel = 4, .stride = 2, .padding = 1};

/// A square image of side base * 2^levels, 4 <= base <= 7: how often it is halved, and down to what.
struct Pyramid {
  int64_t base = 0;
  int64_t levels = 0;

  explicit Pyramid(const DataSpec& data) : base(data.shape.at(1)) {
    for (; base > 7 && base % 2 == 0; base /= 2) ++levels;
    if (data.shape[1] != data.shape[2] || base < 4 || base > 7 || levels == 0) {
      throw UsageError(
          fmt::format("models/gan: {} has {}; wanted square images of side 4, 5, 6 or 7 times a power of two, such as "
                      "28, 32 or 64; resize or crop them",
                      data.dataset, data.describe()));
    }
  }

  /// Channels at `level` (0: half the image's side) of a network of this width; doubled at each coarser level up to
  /// eightfold, where Radford et al. stop.
  static int64_t channels(int64_t width, int64_t level) { return width << std::min<int64_t>(level, 3); }
};

Tensor normalized(const Tensor& x) { return x / x.norm().clamp_min(1e-12); }

Linear normal_linear(int64_t in, int64_t out, bool bias, Rng& init) {
  Linear layer(in, out, init, bias);
  fill_normal(layer->weight, 0, kInitStd, init);
  if (bias) layer->bias.detach().zero_();
  return layer;
}

BatchNorm normal_batch_norm(int64_t channels, Leaky activation, Rng& init) {
  BatchNorm layer(channels, /*eps=*/1e-5, activation);
  fill_normal(layer->weight, 1, kInitStd, init);
  return layer;
}

/// Has weights from N(0, 0.02^2) and no bias: Conv2d, ConvTranspose2d.
template <class Convolution>
Convolution halving_convolution(int64_t in, int64_t out, bool bias, Leaky activation, Rng& init) {
  ConvGeometry geometry = kHalving;
  geometry.bias = bias;
  Convolution layer(in, out, geometry, init, activation);
  fill_normal(layer->weight, 0, kInitStd, init);
  if (bias) layer->bias.detach().zero_();
  return layer;
}

/// Whether a normalization of activations follows, whose own bias makes the layer's bias idle.
bool normalizes_activations(Norm norm) { return norm == Norm::batch || norm == Norm::layer; }

/// Sequential takes its names as temporaries only.
template <class Layer>
void add(torch::nn::Sequential& layers, std::string name, Layer layer) {
  layers->push_back(std::move(name), std::move(layer));
}

torch::nn::LeakyReLU leaky_relu() {
  return torch::nn::LeakyReLU(torch::nn::LeakyReLUOptions().negative_slope(kLeaky.slope));
}

/// Adds a discriminator's normalization, if it has one, and a leaky ReLU.
void add_norm_and_relu(torch::nn::Sequential& layers, const std::string& place, Norm norm, int64_t channels,
                       Rng& init) {
  if (norm == Norm::batch) {
    add(layers, "norm" + place, normal_batch_norm(channels, kLeaky, init));
    return;
  }
  // One group of all channels: layer normalization over (C, H, W) with a gain and bias for each channel.
  if (norm == Norm::layer) {
    add(layers, "norm" + place, torch::nn::GroupNorm(torch::nn::GroupNormOptions(1, channels)));
  }
  add(layers, "relu" + place, leaky_relu());
}

torch::nn::Sequential image_generator(const GANConfig& config, const DataSpec& data, Rng& init) {
  const Pyramid pyramid(data);
  const int64_t image_channels = data.shape[0];
  int64_t side = pyramid.base;
  int64_t channels = Pyramid::channels(config.generator_width, pyramid.levels - 1);

  torch::nn::Sequential layers;
  add(layers, "project", normal_linear(config.latent_dim, channels * side * side, /*bias=*/false, init));
  add(layers, "grid", torch::nn::Unflatten(torch::nn::UnflattenOptions(1, std::vector{channels, side, side})));
  for (int64_t level = pyramid.levels - 1; level >= 0; --level) {
    add(layers, fmt::format("norm{}", side), normal_batch_norm(channels, Leaky::relu(), init));
    const int64_t out = level > 0 ? Pyramid::channels(config.generator_width, level - 1) : image_channels;
    side *= 2;
    add(layers, fmt::format("up{}", side),
        halving_convolution<ConvTranspose2d>(channels, out, /*bias=*/config.bias && level == 0, Leaky::none(), init));
    channels = out;
  }
  add(layers, "tanh", torch::nn::Tanh());
  return layers;
}

torch::nn::Sequential image_discriminator(const GANConfig& config, const DataSpec& data, Rng& init) {
  const Pyramid pyramid(data);
  const Norm norm = config.discriminator_norm;
  int64_t side = data.shape[1];
  int64_t channels = data.shape[0];

  torch::nn::Sequential layers;
  for (int64_t level = 0; level < pyramid.levels; ++level) {
    const int64_t out = Pyramid::channels(config.discriminator_width, level);
    side /= 2;
    const std::string name = fmt::format("down{}", side);
    const bool normalize = level > 0 && normalizes_activations(norm);
    if (norm == Norm::spectral) {
      add(layers, name, SpectralConv2d(channels, out, kInitStd, config.bias, init));
      add(layers, "relu" + std::to_string(side), leaky_relu());
    } else {
      const Leaky activation = normalize ? Leaky::none() : kLeaky;
      add(layers, name, halving_convolution<Conv2d>(channels, out, config.bias && !normalize, activation, init));
      if (normalize) add_norm_and_relu(layers, std::to_string(side), norm, out, init);
    }
    channels = out;
  }
  add(layers, "flatten", torch::nn::Flatten());
  const int64_t features = channels * side * side;
  if (norm == Norm::spectral) {
    add(layers, "score", SpectralLinear(features, 1, kInitStd, config.bias, init));
  } else {
    add(layers, "score", normal_linear(features, 1, config.bias, init));
  }
  return layers;
}

// The perceptrons keep PyTorch's default initialization: without batch normalization behind them, weights of standard
// deviation 0.02 would shrink their input at each layer, and the generator would start from a single point.

torch::nn::Sequential vector_generator(const GANConfig& config, const DataSpec& data, Rng& init) {
  torch::nn::Sequential layers;
  int64_t in = config.latent_dim;
  for (int64_t i = 0; i < config.hidden_layers; ++i) {
    add(layers, fmt::format("hidden{}", i),
        Linear(in, config.generator_width, init, /*with_bias=*/true, Activation::relu));
    in = config.generator_width;
  }
  add(layers, "out", Linear(in, data.dims(), init));
  return layers;
}

torch::nn::Sequential vector_discriminator(const GANConfig& config, const DataSpec& data, Rng& init) {
  const Norm norm = config.discriminator_norm;
  const auto add_linear = [&](torch::nn::Sequential& layers, const std::string& name, int64_t in, int64_t out) {
    if (norm == Norm::spectral) {
      add(layers, name, SpectralLinear(in, out, kInitStd, /*with_bias=*/true, init));
    } else {
      add(layers, name, Linear(in, out, init));
    }
  };
  torch::nn::Sequential layers;
  int64_t in = data.dims();
  for (int64_t i = 0; i < config.hidden_layers; ++i) {
    add_linear(layers, fmt::format("hidden{}", i), in, config.discriminator_width);
    add_norm_and_relu(layers, std::to_string(i), i > 0 ? norm : Norm::none, config.discriminator_width, init);
    in = config.discriminator_width;
  }
  add_linear(layers, "score", in, 1);
  return layers;
}

[[noreturn]] void refuse(const DataSpec& data) {
  throw UsageError(
      fmt::format("models/gan: {} has {}; it models images and vectors; tokens are discrete, and no gradient reaches "
                  "the generator through them",
                  data.dataset, data.describe()));
}

}  // namespace

SpectralNormImpl::SpectralNormImpl(const Tensor& weight, Rng& init) {
  const torch::NoGradGuard no_grad;
  const Tensor matrix = weight.flatten(1);  // (out, in)
  u = register_buffer("u", normalized(init.normal({matrix.size(0)})));
  v = register_buffer("v", torch::zeros({matrix.size(1)}));
  for (int i = 0; i < 15; ++i) iterate(matrix);  // so that the first passes are close already, as PyTorch does
}

void SpectralNormImpl::iterate(const Tensor& matrix) {
  const torch::NoGradGuard no_grad;
  // Products and sums instead of matrix products, which autocast would round to bfloat16.
  v.copy_(normalized((matrix * u.unsqueeze(1)).sum(/*dim=*/0)));
  u.copy_(normalized((matrix * v.unsqueeze(0)).sum(/*dim=*/1)));
}

Tensor SpectralNormImpl::forward(const Tensor& weight) {
  const Tensor matrix = weight.flatten(1);  // (out, in)
  if (is_training()) iterate(matrix.detach());
  // sigma = u^T W v, differentiable in W, with u and v as constants. The graph keeps their outer product, a tensor of
  // its own, so the next pass may change u and v in place.
  const Tensor sigma = (matrix * at::outer(u, v)).sum();
  return weight / sigma;
}

SpectralLinearImpl::SpectralLinearImpl(int64_t in, int64_t out, double std, bool with_bias, Rng& init)
    : weight(register_parameter("weight", init.normal({out, in}) * std)) {
  if (with_bias) bias = register_parameter("bias", torch::zeros({out}));
  norm = register_module("norm", SpectralNorm(weight, init));
}

Tensor SpectralLinearImpl::forward(const Tensor& x) { return at::linear(x, norm->forward(weight), bias); }

SpectralConv2dImpl::SpectralConv2dImpl(int64_t in, int64_t out, double std, bool with_bias, Rng& init)
    : weight(register_parameter("weight", init.normal({out, in, kHalving.kernel, kHalving.kernel}) * std)) {
  if (with_bias) bias = register_parameter("bias", torch::zeros({out}));
  norm = register_module("norm", SpectralNorm(weight, init));
}

Tensor SpectralConv2dImpl::forward(const Tensor& x) {
  return fused_convolution(x, norm->forward(weight), bias, Direction::to_coarse, /*negative_slope=*/1);
}

torch::nn::Sequential make_generator(const GANConfig& config, const DataSpec& data, Rng& init) {
  if (data.kind == DataKind::images) return image_generator(config, data, init);
  if (data.kind == DataKind::vectors) return vector_generator(config, data, init);
  refuse(data);
}

torch::nn::Sequential make_discriminator(const GANConfig& config, const DataSpec& data, Rng& init) {
  if (data.kind == DataKind::images) return image_discriminator(config, data, init);
  if (data.kind == DataKind::vectors) return vector_discriminator(config, data, init);
  refuse(data);
}

}  // namespace genzoo::gan
