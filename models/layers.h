#pragma once
// The layers every family builds from. They compute what torch::nn's layers of the same name compute and name their
// parameters alike, but draw their initial values from an explicit Rng (torch::nn's constructors draw from LibTorch's
// default generator).
//
// Default initialization, as in PyTorch: weights and biases uniform in +-1 / sqrt(fan_in).

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>

#include "core/random.h"
#include "models/fused_layer_norm.h"
#include "models/fused_linear.h"

namespace genzoo {

/// y = x W^T + b over the last dimension: (..., in) -> (..., out).
///
/// Adapted, W is W_0 + scale B A, of which A and B alone learn: a low-rank update (LoRA). Hu et al. (2022),
/// https://arxiv.org/abs/2106.09685, eq. (3).
class LinearImpl final : public torch::nn::Module {
 public:
  /// forward() ends with the activation.
  LinearImpl(int64_t in, int64_t out, Rng& init, bool with_bias = true, Activation activation = Activation::none);
  /// With given initial values: weight (out, in), bias (out) or undefined.
  LinearImpl(const Tensor& weight, const Tensor& bias);
  Tensor forward(const Tensor& x) { return activated(x, activation_); }
  Tensor activated(const Tensor& x, Activation activation, Result result = Result::as_products);  ///< activation(y)

  /// Adds an update of a rank, which is zero at first: A is drawn uniformly in +-1 / sqrt(in), B is zero. Weight and
  /// bias do not learn from now on.
  void adapt(int64_t rank, double scale, Rng& init);
  Tensor adapted_weight() const;  ///< (out, in): W

  Tensor weight;          ///< (out, in): W_0
  Tensor bias;            ///< (out), or undefined
  Tensor lora_a, lora_b;  ///< A (rank, in) and B (out, rank), or undefined

 private:
  Activation activation_ = Activation::none;
  double lora_scale_ = 0.0;
};
TORCH_MODULE(Linear);

/// Geometry of a square convolution.
struct ConvGeometry {
  int64_t kernel = 3;
  int64_t stride = 1;
  int64_t padding = 0;
  bool bias = true;
};

/// The slope below zero of the activation that a layer ends with: leaky(z) is z above zero and slope z below.
struct Leaky {
  double slope = 1;

  static constexpr Leaky none() { return {1}; }
  static constexpr Leaky relu() { return {0}; }
  Tensor applied_in_place(const Tensor& z) const;
};

/// (B, in, H, W) -> (B, out, H', W').
class Conv2dImpl final : public torch::nn::Module {
 public:
  Conv2dImpl(int64_t in, int64_t out, const ConvGeometry& geometry, Rng& init, Leaky activation = Leaky::none());
  Tensor forward(const Tensor& x);

  Tensor weight;  ///< (out, in, K, K), channels last
  Tensor bias;    ///< (out), or undefined

 private:
  ConvGeometry geometry_;
  Leaky activation_;
};
TORCH_MODULE(Conv2d);

/// The transpose of a convolution: (B, in, H, W) -> (B, out, (H - 1) stride - 2 padding + K, ...).
class ConvTranspose2dImpl final : public torch::nn::Module {
 public:
  ConvTranspose2dImpl(int64_t in, int64_t out, const ConvGeometry& geometry, Rng& init,
                      Leaky activation = Leaky::none());
  Tensor forward(const Tensor& x);

  Tensor weight;  ///< (in, out, K, K), channels last
  Tensor bias;    ///< (out), or undefined

 private:
  ConvGeometry geometry_;
  Leaky activation_;
};
TORCH_MODULE(ConvTranspose2d);

/// Throws UsageError when x (B, C, ...) has one value of each channel, whose variance would be 0.
void require_statistics(const Tensor& x);

/// Batch normalization over every dimension but the second. Ioffe & Szegedy (2015). Running statistics with momentum
/// 0.1 stand in for the batch's in eval mode.
class BatchNormImpl final : public torch::nn::Module {
 public:
  explicit BatchNormImpl(int64_t channels, double eps = 1e-5, Leaky activation = Leaky::none());
  Tensor forward(const Tensor& x);  ///< (B, C) or (B, C, H, W), same size out

  Tensor weight, bias;               ///< (C)
  Tensor running_mean, running_var;  ///< (C), buffers

 private:
  double eps_;
  Leaky activation_;
};
TORCH_MODULE(BatchNorm);

/// What normalizes the last dimension.
class NormImpl : public torch::nn::Module {
 public:
  Tensor forward(const Tensor& x) { return after_sum(x, {}).normalized; }  ///< (..., dim)
  /// Of x + update, with the sum; update may be undefined, then the sum is x. Where autocast computes in bfloat16 what
  /// is normalized is rounded for the product that it is made for, unless float32 is asked for: as a residual stream.
  virtual NormalizedSum after_sum(const Tensor& x, const Tensor& update, Result result = Result::as_products) = 0;
};

/// Layer normalization. Ba et al. (2016), https://arxiv.org/abs/1607.06450.
class LayerNormImpl final : public NormImpl {
 public:
  explicit LayerNormImpl(int64_t dim, bool with_bias = true, double eps = 1e-5);
  /// See fused_layer_norm.
  NormalizedSum after_sum(const Tensor& x, const Tensor& update, Result result = Result::as_products) override;

  Tensor weight;  ///< (dim)
  Tensor bias;    ///< (dim), or undefined

 private:
  double eps_;
};
TORCH_MODULE(LayerNorm);

/// x / sqrt(mean(x^2) + eps) weight: without centering and bias. Zhang & Sennrich (2019),
/// https://arxiv.org/abs/1910.07467, eq. (4).
class RMSNormImpl final : public NormImpl {
 public:
  explicit RMSNormImpl(int64_t dim, double eps = 1e-5);
  NormalizedSum after_sum(const Tensor& x, const Tensor& update, Result result = Result::as_products) override;

  Tensor weight;  ///< (dim)

 private:
  double eps_;
};
TORCH_MODULE(RMSNorm);

/// A table of vectors: indices (...) int64 -> (..., dim). Drawn from N(0, std^2).
class EmbeddingImpl final : public torch::nn::Module {
 public:
  EmbeddingImpl(int64_t count, int64_t dim, double std, Rng& init);
  Tensor forward(const Tensor& index);

  Tensor weight;  ///< (count, dim)
};
TORCH_MODULE(Embedding);

/// Replaces a parameter's values by draws from N(mean, std^2), in place and without a graph.
void fill_normal(const Tensor& parameter, double mean, double std, Rng& init);

}  // namespace genzoo
