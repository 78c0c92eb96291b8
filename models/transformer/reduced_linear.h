#pragma once
// Linear layers whose weights are kept in fewer bits, for text that is generated token by token: there a product takes
// as long as its weights take to be read.

#include <vector>

#include "models/linear_pass.h"
#include "models/model.h"

namespace genzoo {

/// A linear layer with a rounded copy of its weights. Inputs, sums, bias and outputs keep their type: weight-only
/// quantization. Without gradients.
class ReducedLinear final {
 public:
  ReducedLinear() = default;
  /// weight (out, in), bias (out) or undefined, floating-point. bfloat16 rounds to the nearest; int8 to whole numbers
  /// times max |w| / 127 of each output, symmetric, without a zero point (Jacob et al., 2018, section 2.1, with Z = 0).
  /// Throws std::logic_error for float32, which reduces nothing.
  ReducedLinear(const Tensor& weight, const Tensor& bias, WeightType type);

  /// activation(x W^T + b): x (..., in) -> (..., out), in x's type. Few rows of float32 on the CPU by the kernels of
  /// this processor, others by LibTorch's operators on weight().
  Tensor forward(const Tensor& x, Activation activation = Activation::none) const;

  /// The rounded weights as numbers (out, in), in the type of those that were given.
  Tensor weight() const;

 private:
  void quantize(const Tensor& weight);  ///< to int8
  void by_kernels(const Tensor& x, const Tensor& y, Activation activation) const;

  Tensor stored_;  ///< (out, in), bfloat16 or int8, contiguous
  Tensor scale_;   ///< (out) float32; int8 only
  Tensor bias_;    ///< (out), or undefined
  torch::ScalarType type_ = torch::kFloat;
};

/// The linear layers of one block of a transformer.
struct ReducedBlock {
  ReducedLinear qkv, projection, mlp_in, mlp_out;
};

/// Those of a whole transformer.
struct ReducedWeights {
  WeightType type = WeightType::float32;
  std::vector<ReducedBlock> blocks;
  ReducedLinear head;
};

}  // namespace genzoo
