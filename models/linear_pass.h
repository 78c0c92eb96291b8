#pragma once
// The forward and the backward pass of a linear layer with its activation, by this processor's kernels: what nodes of
// the graph that fuse one or several layers are made of. Everything is on the CPU and contiguous, parameters and their
// gradients float32.
//
// Rows are float32 or bfloat16. In bfloat16 only the factors of products are rounded: their sums, biases, activations
// and the gradients of parameters are float32.

#include <torch/types.h>

#include <optional>

#include "core/matrix_product.h"

namespace genzoo {

using torch::Tensor;

enum class Activation {
  none,
  relu,
  gelu,  ///< the tanh form. Hendrycks & Gimpel (2016)
};

/// activation(x W^T + b) of rows x (N, in), weight (out, in), bias (out) or undefined. `weight` may have rows, or
/// columns, that are not next to each other.
struct LinearPass {
  /// Into y (N, out), in x's type or float32, whose rows need not be next to each other. Returns what
  /// backward() is to be given as `kept` in case of GELU: its slopes, unless they are not wanted.
  static Tensor forward(const Tensor& y, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        Activation activation, bool with_slope);

  struct Wanted {
    bool x, weight, bias;
  };
  struct Gradients {
    Tensor x, weight, bias;  ///< undefined when not wanted, or written to their LeafGradients already
  };
  /// From dy (N, out), in y's type. kept: of ReLU y itself, of GELU what forward() returned. The gradient of x comes in
  /// x_type, that of rows that were rounded from float32 without being rounded itself.
  static Gradients backward(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& bias,
                            const Tensor& kept, Activation activation, Wanted wanted, torch::ScalarType x_type);

  /// The gradient of z = x W^T + b from that of y = activation(z), in `type`; adds its columns to `bias_gradient`
  /// unless that is undefined.
  static Tensor before_activation(const Tensor& dy, const Tensor& kept, const Tensor& bias_gradient,
                                  Activation activation, torch::ScalarType type);

  /// Products with the same right factor w (in, out), for rows of the type of `rows`.
  class Product final {
   public:
    Product(const Tensor& rows, const Tensor& w);
    /// y (N, out) = x w, float32 or, rounded, bfloat16.
    void operator()(const Tensor& x, const Tensor& y) const { finished(x, y, {}, {}, Activation::none); }
    /// y = activation(x w + bias), and its slopes unless undefined.
    void finished(const Tensor& x, const Tensor& y, const Tensor& slope, const Tensor& bias,
                  Activation activation) const;

   private:
    std::optional<PackedFactor> packed_;
    Tensor w_;  ///< where there are no products by blocks
  };

  /// c = alpha a b + beta c, c float32, a and b both float32 or both bfloat16 (M, K), (K, N).
  static void multiply(const Tensor& a, const Tensor& b, const Tensor& c, float alpha = 1, float beta = 0);

  /// x (..., in) as rows (N, in) of products, rounded to bfloat16 if `reduced`.
  static Tensor rows_of(const Tensor& x, bool reduced);

  /// t as a factor of products with `rows`: rounded to bfloat16 if they are.
  static Tensor factor(const Tensor& t, const Tensor& rows);

  /// Adds alpha a b to the gradient of `leaf`: to its LeafGradients, or in a new tensor that is returned.
  static Tensor add_product(const Tensor& leaf, const Tensor& a, const Tensor& b, float alpha = 1);
};

}  // namespace genzoo
