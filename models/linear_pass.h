#pragma once
// The forward and the backward pass of a linear layer with its activation, by this processor's kernels: what nodes of
// the graph that fuse one or several layers are made of. Everything is float32, contiguous, on the CPU.

#include <torch/types.h>

namespace genzoo {

using torch::Tensor;

enum class Activation {
  none,
  relu,
  gelu,  ///< the tanh form. Hendrycks & Gimpel (2016)
};

/// While it lives, backward passes of this thread add the gradients of layers' weights to the weights' grad() in the
/// product that computes them, instead of handing them to autograd, which would add them in another pass over memory.
/// For a backward pass from a loss, whose gradients all go there anyway.
class GradientsInPlace final {
 public:
  GradientsInPlace();
  ~GradientsInPlace();
  GradientsInPlace(const GradientsInPlace&) = delete;
  GradientsInPlace& operator=(const GradientsInPlace&) = delete;

  static bool active();

 private:
  bool before_;
};

/// activation(x W^T + b) of rows x (N, in), weight (out, in), bias (out) or undefined. `weight` may have rows that are
/// not next to each other.
struct LinearPass {
  /// Into y (N, out), whose rows need not be next to each other when there is no activation and no bias. Returns what
  /// backward() is to be given as `kept` in case of GELU: its slopes, unless they are not wanted.
  static Tensor forward(Tensor y, const Tensor& x, const Tensor& weight, const Tensor& bias, Activation activation,
                        bool with_slope);

  struct Wanted {
    bool x, weight, bias;
  };
  struct Gradients {
    Tensor x, weight, bias;  ///< undefined when not wanted, or added to grad() already
  };
  /// From dy (N, out). kept: of ReLU y itself, of GELU what forward() returned.
  static Gradients backward(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& bias,
                            const Tensor& kept, Activation activation, Wanted wanted);

  /// The gradient of z = x W^T + b from that of y; adds its columns to `bias_gradient` unless that is undefined.
  static Tensor before_activation(const Tensor& dy, const Tensor& kept, const Tensor& bias_gradient,
                                  Activation activation);

  /// Whether the gradient of this leaf may be added to its grad() right away.
  static bool takes_in_place(const Tensor& leaf);
};

}  // namespace genzoo
