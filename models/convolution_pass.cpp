#include "models/convolution_pass.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/utils.h>

#include <algorithm>

#include "core/workers.h"

namespace genzoo {
namespace {

/// Rows of a product's left factor that are worth reading the right one for; more of them would leave the cache.
constexpr int64_t kRowsOfGroup = 64;

Tensor floats(int64_t n) { return at::empty({n}, at::TensorOptions(at::kFloat)); }

const LoweredConvolution& lowering(int64_t fine_channels, const Kernels& kernels) {
  return fine_channels % kBlock == 0 ? *kernels.minimal_filtering : *kernels.patches;
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

/// What is to be computed for every image: of what is nullptr nothing.
struct ConvolutionPass::Work {
  const float *fine = nullptr, *coarse = nullptr;          ///< images that products are made of
  float *fine_result = nullptr, *coarse_result = nullptr;  ///< images that products make; one of them at most
  Tensor factors;                                          ///< of the weights, for these
  const float* bias = nullptr;                             ///< of the results
  float negative_slope = 1;

  /// One of the images is the gradient of leaky(z), and that of z is to be taken instead, with the sums of its
  /// channels.
  const float* activated = nullptr;  ///< leaky(z); nullptr if that is the identity
  Direction gradient_of = Direction::to_coarse;
  float slope_before = 1;
  Tensor bias_parts;  ///< (parts, channels), or undefined

  Tensor weight_parts;  ///< (parts, factors to fine), or undefined
  int64_t parts = 1;
};

/// Some images, what they are turned into, and the part of all that they belong to.
struct ConvolutionPass::Group {
  int64_t first, images, part;
  bool begins_part;
  Tensor fine, coarse;  ///< points
  Tensor gradient;      ///< before the activation
};

bool ConvolutionPass::fits(int64_t fine_channels, int64_t channels, const Kernels& kernels) {
  const bool blocks = fine_channels % kBlock == 0 || (fine_channels > 0 && fine_channels < kBlock);
  return kernels.has_block_products && blocks && channels > 0 && channels % kBlock == 0;
}

ConvolutionPass::ConvolutionPass(const HalvedImage& image, int64_t images, const Kernels& kernels)
    : image_(image),
      images_(images),
      kernels_(kernels),
      lowered_(lowering(image.fine_channels, kernels)),
      depth_(lowered_.depth(image.fine_channels)),
      most_rows_(lowered_.rows(/*point=*/0, image.rows, image.columns)) {
  const int64_t for_all_threads = ceil_div(images, at::get_num_threads());
  group_ = std::max<int64_t>(1, std::min(kRowsOfGroup / most_rows_, for_all_threads));
}

double ConvolutionPass::flops() const {
  return 2.0 * 16.0 * static_cast<double>(image_.fine_channels * image_.channels) *
         static_cast<double>(images_ * image_.rows * image_.columns);
}

LoweredConvolution::Rows ConvolutionPass::rows_of(const Tensor& points, int64_t columns, int64_t image,
                                                  int64_t images) const {
  LoweredConvolution::Rows rows{};
  for (int p = 0; p < lowered_.points; ++p) {
    const int64_t of_image = lowered_.rows(p, image_.rows, image_.columns);
    rows.values[p] = points.mutable_data_ptr<float>() + p * images * most_rows_ * columns + image * of_image * kBlock;
    rows.block[p] = images * of_image * kBlock;
  }
  return rows;
}

Tensor ConvolutionPass::factors(const float* weight, Direction direction) const {
  const Tensor packed = floats(lowered_.points * depth_ * image_.channels);
  const bool coarse = direction == Direction::to_coarse;
  const auto pack = coarse ? lowered_.weights_to_coarse : lowered_.weights_to_fine;
  const int64_t block = (coarse ? depth_ : image_.channels) * kBlock;  // of one point
  for_ranges(/*workers=*/nullptr, depth_ * image_.channels, block, [&](int64_t begin, int64_t end) {
    pack(weight, image_.fine_channels, image_.channels, packed.mutable_data_ptr<float>(), begin / block, end / block);
  });
  return packed;
}

void ConvolutionPass::before_activation(const Work& work, const Group& group) const {
  if (!work.activated && !work.bias_parts.defined()) return;
  const bool coarse = work.gradient_of == Direction::to_coarse;
  const int64_t channels = coarse ? image_.channels : image_.fine_channels;
  const int64_t size = coarse ? coarse_size() : fine_size();
  const float* dy = (coarse ? work.coarse : work.fine) + group.first * size;
  float* sums = work.bias_parts.defined() ? work.bias_parts.mutable_data_ptr<float>() + group.part * channels : nullptr;
  const int64_t rows = group.images * size / channels;
  if (work.activated) {
    kernels_.leaky_backward(group.gradient.mutable_data_ptr<float>(), dy, work.activated + group.first * size,
                            work.slope_before, sums, rows, channels);
  } else if (sums && channels == 1) {
    *sums += static_cast<float>(kernels_.sum(dy, rows));
  } else if (sums) {
    kernels_.add_columns(sums, dy, channels, rows, channels);
  }
}

void ConvolutionPass::run_group(const Work& work, const Group& group) const {
  before_activation(work, group);
  const auto images_of = [&](const float* all, int64_t size, Direction side) {
    return work.activated && work.gradient_of == side ? group.gradient.const_data_ptr<float>()
                                                      : all + group.first * size;
  };
  const int64_t n = group.images, channels = image_.channels;
  const auto fine_rows = [&](int64_t i) { return rows_of(group.fine, depth_, i, n); };
  const auto coarse_rows = [&](int64_t i) { return rows_of(group.coarse, channels, i, n); };
  if (work.fine) {
    const float* x = images_of(work.fine, fine_size(), Direction::to_fine);
    for (int64_t i = 0; i < n; ++i) lowered_.from_fine(x + i * fine_size(), image_, fine_rows(i));
  }
  if (work.coarse) {
    const float* x = images_of(work.coarse, coarse_size(), Direction::to_coarse);
    for (int64_t i = 0; i < n; ++i) lowered_.from_coarse(x + i * coarse_size(), image_, coarse_rows(i));
  }

  const LoweredConvolution::Rows fine = fine_rows(0), coarse = coarse_rows(0);
  const int64_t weights = depth_ * channels;  // of a point
  for (int p = 0; p < lowered_.points; ++p) {
    const int64_t rows = fine.block[p] / kBlock;  // none of some points where images are one pixel high or wide
    if (work.weight_parts.defined()) {
      float* sum = work.weight_parts.mutable_data_ptr<float>() + (group.part * lowered_.points + p) * weights;
      kernels_.multiply_transposed_blocks(coarse.values[p], fine.values[p], sum, channels, rows, depth_,
                                          /*add=*/!group.begins_part);
    }
    if (!work.factors.defined()) continue;
    const float* factor = work.factors.const_data_ptr<float>() + p * weights;
    if (work.coarse_result) {
      kernels_.multiply_blocks(fine.values[p], factor, coarse.values[p], rows, depth_, channels);
    } else {
      kernels_.multiply_blocks(coarse.values[p], factor, fine.values[p], rows, channels, depth_);
    }
  }

  for (int64_t i = 0; i < n; ++i) {
    const int64_t image = group.first + i;
    if (work.coarse_result) {
      lowered_.to_coarse(coarse_rows(i), work.bias, work.negative_slope, work.coarse_result + image * coarse_size(),
                         image_);
    }
    if (work.fine_result) {
      lowered_.to_fine(fine_rows(i), work.bias, work.negative_slope, work.fine_result + image * fine_size(), image_);
    }
  }
}

void ConvolutionPass::run(const Work& work) const {
  const int64_t groups = ceil_div(images_, group_);
  at::parallel_for(0, work.parts, 1, [&](int64_t begin, int64_t end) {
    Group group{};
    group.fine = floats(lowered_.points * group_ * most_rows_ * depth_);
    group.coarse = floats(lowered_.points * group_ * most_rows_ * image_.channels);
    if (work.activated) {
      group.gradient = floats(group_ * (work.gradient_of == Direction::to_coarse ? coarse_size() : fine_size()));
    }
    for (group.part = begin; group.part < end; ++group.part) {
      const int64_t first = groups * group.part / work.parts, last = groups * (group.part + 1) / work.parts;
      group.begins_part = true;
      for (int64_t g = first; g < last; ++g) {
        group.first = g * group_;
        group.images = std::min(group_, images_ - group.first);
        run_group(work, group);
        group.begins_part = false;
      }
    }
  });
}

void ConvolutionPass::forward(const Layer& layer, const float* x, float* y) const {
  const bool coarse = layer.direction == Direction::to_coarse;
  Work work;
  (coarse ? work.fine : work.coarse) = x;
  (coarse ? work.coarse_result : work.fine_result) = y;
  work.factors = factors(layer.weight, layer.direction);
  work.bias = layer.bias;
  work.negative_slope = layer.negative_slope;
  work.parts = std::min<int64_t>(at::get_num_threads(), ceil_div(images_, group_));
  run(work);
}

void ConvolutionPass::backward(const Layer& layer, const float* x, const float* y, const float* dy,
                               const Gradients& gradients) const {
  const bool coarse = layer.direction == Direction::to_coarse;
  const int64_t channels = coarse ? image_.channels : image_.fine_channels;  // of y
  Work work;
  work.parts = std::min<int64_t>(at::get_num_threads(), ceil_div(images_, group_));
  (coarse ? work.coarse : work.fine) = dy;
  work.gradient_of = layer.direction;
  work.activated = layer.negative_slope == 1 ? nullptr : y;
  work.slope_before = layer.negative_slope;
  if (gradients.bias) work.bias_parts = at::zeros({work.parts, channels}, at::TensorOptions(at::kFloat));
  if (gradients.weight) {
    (coarse ? work.fine : work.coarse) = x;
    work.weight_parts = floats(work.parts * lowered_.points * depth_ * image_.channels);
  }
  if (gradients.x) {
    work.factors = factors(layer.weight, coarse ? Direction::to_fine : Direction::to_coarse);
    (coarse ? work.fine_result : work.coarse_result) = gradients.x;
  }
  run(work);

  for (int64_t part = 0; gradients.bias && part < work.parts; ++part) {
    kernels_.add(gradients.bias, gradients.bias, work.bias_parts.const_data_ptr<float>() + part * channels, channels);
  }
  if (!gradients.weight) return;
  const int64_t block = image_.channels * kBlock;  // of one point
  for_ranges(/*workers=*/nullptr, depth_ * image_.channels, block, [&](int64_t begin, int64_t end) {
    lowered_.weight_gradient(work.weight_parts.const_data_ptr<float>(), work.parts,
                             lowered_.points * depth_ * image_.channels, image_.fine_channels, image_.channels,
                             gradients.weight_share, gradients.weight, begin / block, end / block);
  });
}

}  // namespace genzoo
