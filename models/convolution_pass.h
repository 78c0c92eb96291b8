#pragma once
// The passes of a convolution with a 4x4 kernel, stride 2 and padding 1, in both directions, by this processor's
// kernels.

#include <torch/types.h>

#include <cstdint>

#include "core/kernels/kernels.h"

namespace genzoo {

using torch::Tensor;

/// Which way a layer leads between the two images.
enum class Direction {
  to_coarse,  ///< a convolution
  to_fine,    ///< a transposed one
};

/// Passes over a batch of images of T, float or bfloat16, channels last in memory; weights (channels, fine_channels, 4,
/// 4), channels last too, that is (channels, 4, 4, fine_channels), and biases in float32, and so are their gradients.
/// In bfloat16 the factors of products are rounded, and results; sums are float32.
///
/// A few images at a time, so that what is between images and products stays in the second-level cache, on LibTorch's
/// threads. Their number does not change a bit of a result, but for the gradients of weights and bias, whose parts are
/// added in order.
template <class T>
class ConvolutionPass final {
 public:
  ConvolutionPass(const HalvedImage& image, int64_t images, const Kernels& kernels = genzoo::kernels());

  /// Whether these channels make whole blocks, and this processor has the products, and nothing faster: in bfloat16, no
  /// AMX.
  static bool fits(int64_t fine_channels, int64_t channels, const Kernels& kernels = genzoo::kernels());

  /// What a layer computes, and where it puts it.
  struct Layer {
    Direction direction;
    const float* weight;
    const float* bias;     ///< (channels of the output), or nullptr
    float negative_slope;  ///< y = leaky(z): z above 0 and negative_slope z below
  };
  void forward(const Layer& layer, const T* x, T* y) const;

  /// Where gradients go; nullptr: not wanted.
  struct Gradients {
    T* x;
    float* weight;
    float weight_share;  ///< of what was there: 0 or 1
    float* bias;         ///< is added to
  };
  /// From dy, the gradient of y; y only matters where the layer has a negative_slope.
  void backward(const Layer& layer, const T* x, const T* y, const T* dy, const Gradients& gradients) const;

  /// Multiplications and additions of one pass if each output's patch is multiplied with each kernel.
  double flops() const;

 private:
  struct Work;
  struct Group;
  void run(const Work& work) const;
  void run_group(const Work& work, const Group& group) const;
  void before_activation(const Work& work, const Group& group) const;
  void multiply(const Work& work, const Group& group) const;
  template <class V>
  PointRows<V> rows_of(const Tensor& points, int64_t columns, int64_t image, int64_t images) const;
  Tensor factors(const float* weight, Direction direction) const;
  int64_t fine_size() const { return image_.fine_rows * image_.fine_columns * image_.fine_channels; }
  int64_t coarse_size() const { return image_.rows * image_.columns * image_.channels; }

  HalvedImage image_;
  int64_t images_;
  const Kernels& kernels_;
  const LoweredConvolution<T>& lowered_;
  int64_t depth_;      ///< columns of a patch
  int64_t most_rows_;  ///< of an image, at the point that has most
  int64_t group_;      ///< images at a time
};

extern template class ConvolutionPass<float>;
extern template class ConvolutionPass<c10::BFloat16>;

}  // namespace genzoo
