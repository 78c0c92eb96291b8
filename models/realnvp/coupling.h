#pragma once
// The affine coupling layer, and the networks that give it its scale and translation.

#include <cstdint>
#include <memory>
#include <vector>

#include "core/random.h"
#include "models/layers.h"
#include "models/realnvp/flow_layer.h"
#include "models/realnvp/fused_coupling.h"

namespace genzoo {

/// s and t from one network in one pass: the same batch and spatial size out, twice the features or channels, those of
/// the raw s first. With `zero_start` the last layer is zero at first.
class CouplingNetwork : public torch::nn::Module {
 public:
  virtual Tensor forward(const Tensor& x) = 0;
};

/// For vectors: (B, D) -> (B, 2D) through `hidden_layers` layers of ReLU units.
class CouplingMLPImpl final : public CouplingNetwork {
 public:
  CouplingMLPImpl(int64_t dim, int64_t hidden_dim, int64_t hidden_layers, bool zero_start, Rng& init);
  Tensor forward(const Tensor& x) override;
  std::vector<LinearParameters> parameters_in_order() const;

 private:
  std::vector<Linear> layers_;  // "0", "1", ...
};
TORCH_MODULE(CouplingMLP);

/// For images: (B, C, H, W) -> (B, 2C, H, W), a convolution, residual blocks, a convolution.
/// He et al. (2016), "Identity mappings"; without normalization, which so few blocks do without.
///
/// With `fold` = 2 it computes on blocks of 2 x 2 pixels as 4C channels, for a quarter of the work at even H and W.
class CouplingResNetImpl final : public CouplingNetwork {
 public:
  CouplingResNetImpl(int64_t channels, int64_t hidden_dim, int64_t blocks, int64_t fold, bool zero_start, Rng& init);
  Tensor forward(const Tensor& x) override;

 private:
  struct Block {
    Conv2d first{nullptr}, second{nullptr};
  };
  Conv2d input_{nullptr}, output_{nullptr};
  std::vector<Block> blocks_;
  int64_t fold_;
};
TORCH_MODULE(CouplingResNet);

/// Ones where the index of a vector, or row + column of an image, is odd, zeros elsewhere; the reverse when `flip`.
/// event: (D) or (C, H, W); the mask: (D) or (H, W). Dinh et al. (2017), section 3.4.
Tensor checkerboard_mask(at::IntArrayRef event, bool flip);

/// Ones over the first half of the channels, zeros over the others; the reverse when `flip`. (C, 1, 1). The same
/// section.
Tensor channel_mask(at::IntArrayRef event, bool flip);

/// y = b x + (1 - b) (x exp(s(b x)) + t(b x)), b the mask. Dinh et al. (2017), eq. (9); its triangular Jacobian has
/// the log-determinant of eq. (6), the sum of s where b = 0. The inverse, eq. (7)-(8), costs the same.
///
/// s is bounded, s = log_scale_bound * tanh(raw s), which keeps the inverse stable: by a learned factor a channel, or
/// by 1.
class CouplingImpl final : public FlowLayer {
 public:
  CouplingImpl(at::IntArrayRef event, const Tensor& mask, bool learned_scale, std::shared_ptr<CouplingNetwork> network);
  Transformed forward(const Tensor& x) override;
  Tensor inverse(const Tensor& y) override;

  Tensor mask;             ///< broadcastable to the event, a buffer; 1: passes through
  Tensor log_scale_bound;  ///< (D) or (C, 1, 1), ones at first; undefined when it is not learned

 private:
  struct Affine {
    Tensor log_scale, translation;  // the event's size, zero where the mask is 1
  };
  Affine affine(const Tensor& x);

  std::shared_ptr<CouplingNetwork> network_;
  const CouplingMLPImpl* mlp_;  ///< the same, of vectors; else nullptr
  int64_t changed_ = 0;         ///< of vectors: the first dimension that changes
};
TORCH_MODULE(Coupling);

}  // namespace genzoo
