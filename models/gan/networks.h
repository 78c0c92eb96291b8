#pragma once
// The two players' networks: convolutional for images, multilayer perceptrons for vectors.
//
// Images follow Radford et al. (2016), https://arxiv.org/abs/1511.06434: strided convolutions instead of pooling, no
// hidden fully connected layers, ReLU in the generator, leaky ReLU of slope 0.2 in the discriminator, batch
// normalization except at the image, weights from N(0, 0.02^2). Kernels are 4x4 instead of the paper's 5x5: they cover
// every pixel equally often at stride 2, so leave no checkerboard (Odena et al., 2016).
//
// Legend: B batch, Z latent, C image channels, S image side.

#include <torch/nn/modules/container/sequential.h>

#include "core/random.h"
#include "data/dataset.h"
#include "models/layers.h"

namespace genzoo {

struct GANConfig;

namespace gan {

/// Normalization of the discriminator's layers.
enum class Norm {
  none,
  batch,     ///< Ioffe & Szegedy (2015), as in Radford et al. (2016): all hidden layers but the first
  layer,     ///< Ba et al. (2016), as Gulrajani et al. (2017) advise for their penalty: all hidden layers but the first
  spectral,  ///< of the weights, Miyato et al. (2018): every layer
};
inline constexpr const char* kNormNames[] = {"none", "batch", "layer", "spectral"};

/// Divides a weight (out, ...) by an estimate of its largest singular value as a matrix (out, in): Miyato et al.
/// (2018), algorithm 1. Each forward pass in train mode improves the estimate by one power iteration; none in eval
/// mode.
class SpectralNormImpl final : public torch::nn::Module {
 public:
  SpectralNormImpl(const Tensor& weight, Rng& init);
  Tensor forward(const Tensor& weight);

  Tensor u, v;  ///< (out), (in): the singular vectors' estimates, buffers

 private:
  void iterate(const Tensor& matrix);
};
TORCH_MODULE(SpectralNorm);

/// Linear with a spectrally normalized weight: (..., in) -> (..., out).
class SpectralLinearImpl final : public torch::nn::Module {
 public:
  SpectralLinearImpl(int64_t in, int64_t out, double std, bool with_bias, Rng& init);
  Tensor forward(const Tensor& x);

  Tensor weight, bias;  ///< (out, in), (out) or undefined
  SpectralNorm norm{nullptr};
};
TORCH_MODULE(SpectralLinear);

/// Conv2d of kernel 4, stride 2, padding 1 with a spectrally normalized weight: (B, in, S, S) -> (B, out, S/2, S/2).
class SpectralConv2dImpl final : public torch::nn::Module {
 public:
  SpectralConv2dImpl(int64_t in, int64_t out, double std, bool with_bias, Rng& init);
  Tensor forward(const Tensor& x);

  Tensor weight, bias;  ///< (out, in, 4, 4), (out) or undefined
  SpectralNorm norm{nullptr};
};
TORCH_MODULE(SpectralConv2d);

/// z (B, Z) -> images (B, C, S, S) in [-1, 1], or vectors (B, D). Throws UsageError for data it has no network for.
torch::nn::Sequential make_generator(const GANConfig& config, const DataSpec& data, Rng& init);

/// x as the generator makes it -> scores (B, 1). Throws UsageError for data it has no network for.
torch::nn::Sequential make_discriminator(const GANConfig& config, const DataSpec& data, Rng& init);

}  // namespace gan
}  // namespace genzoo
