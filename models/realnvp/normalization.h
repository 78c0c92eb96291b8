#pragma once
// Normalization as a layer of a flow: one shift and scale a channel (of a vector: a dimension), with its
// log-determinant. An event is (D), or (C, H, W) with C shifts and scales.

#include "models/realnvp/flow_layer.h"

namespace genzoo {

/// Activation normalization: y = (x - mean) / std * exp(log_scale) + bias. Kingma & Dhariwal (2018), section 3.1.
///
/// mean and std are those of the first batch met in training mode, and fixed from then on; until then 0 and 1. They are
/// buffers and not parameters, so that what is averaged, decayed or sharded with the parameters stays the optimizer's
/// alone.
class ActNormImpl final : public FlowLayer {
 public:
  explicit ActNormImpl(at::IntArrayRef event);
  Transformed forward(const Tensor& x) override;
  Tensor inverse(const Tensor& y) override;

  Tensor log_scale, bias;  ///< (D) or (C, 1, 1); zeros at first
  Tensor mean, log_std;    ///< the same size, buffers
  Tensor initialized;      ///< () int64 buffer: whether mean and log_std have been set

 private:
  void initialize(const Tensor& x);
};
TORCH_MODULE(ActNorm);

/// Batch normalization without the learned affine part: y = (x - mean) / sqrt(variance + eps).
/// Dinh et al. (2017), section 3.7 and appendix E.
///
/// In training mode mean and variance are the batch's, the log-determinant is that of the map with them held fixed, and
/// the running averages move towards them; in eval mode, and for the inverse always, they are the running averages.
class FlowBatchNormImpl final : public FlowLayer {
 public:
  explicit FlowBatchNormImpl(at::IntArrayRef event);
  Transformed forward(const Tensor& x) override;
  Tensor inverse(const Tensor& y) override;

  Tensor running_mean, running_var;  ///< (D) or (C, 1, 1), buffers
};
TORCH_MODULE(FlowBatchNorm);

}  // namespace genzoo
