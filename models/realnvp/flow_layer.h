#pragma once
// What a flow is made of: invertible maps that know their log-determinant. The fitting direction, forward, leads from
// data to noise; the inverse samples.
//
// Legend: B batch, D dimensions of a vector, C channels, H rows, W columns. Events are (D) or (C, H, W).

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace genzoo {

using torch::Tensor;

/// y = f(x) and what the change of variables adds to log p(y): log p(x) = log p(y) + log_det.
/// Dinh et al. (2017), eq. (3).
struct Transformed {
  Tensor y;        ///< (B, ...)
  Tensor log_det;  ///< (B), log |det dy/dx|
};

/// An invertible map of each example of a batch.
class FlowLayer : public torch::nn::Module {
 public:
  virtual Transformed forward(const Tensor& x) = 0;
  virtual Tensor inverse(const Tensor& y) = 0;  ///< in eval mode inverse(forward(x).y) = x
};

/// Layers one after another; children named "0", "1", ... in the order of the fitting direction.
class FlowSequenceImpl final : public FlowLayer {
 public:
  void push_back(std::shared_ptr<FlowLayer> layer);
  Transformed forward(const Tensor& x) override;
  Tensor inverse(const Tensor& y) override;

 private:
  std::vector<std::shared_ptr<FlowLayer>> layers_;
};
TORCH_MODULE(FlowSequence);

/// (B, C, H, W) -> (B, 4C, H/2, W/2): each 2 x 2 block of pixels becomes four groups of channels, in the order top
/// left, top right, bottom left, bottom right, so that the first half of the channels is the upper row of each block.
/// Dinh et al. (2017), section 3.6, figure 3.
class SqueezeImpl final : public FlowLayer {
 public:
  Transformed forward(const Tensor& x) override;
  Tensor inverse(const Tensor& y) override;
};
TORCH_MODULE(Squeeze);

/// Pixels as real numbers, (0, levels) -> R: y = logit(alpha + (1 - 2 alpha) x / levels). alpha keeps the logit finite
/// at both ends. Dinh et al. (2017), section 4.1, whose formula has 1 - alpha; 1 - 2 alpha treats both ends alike.
class LogitImpl final : public FlowLayer {
 public:
  LogitImpl(int64_t levels, double alpha) : scale_((1 - 2 * alpha) / static_cast<double>(levels)), alpha_(alpha) {}
  Transformed forward(const Tensor& x) override;
  Tensor inverse(const Tensor& y) override;

 private:
  double scale_, alpha_;
};
TORCH_MODULE(Logit);

}  // namespace genzoo
