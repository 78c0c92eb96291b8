#include "models/convolution_pass.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/utils.h>

#include <algorithm>
#include <type_traits>

#include "core/bfloat16.h"
#include "core/workers.h"

namespace genzoo {
namespace {

/// Rows of a product's left factor that are worth reading the right one for; more of them would leave the cache.
constexpr int64_t kRowsOfGroup = 64;

using c10::BFloat16;

template <class V>
Tensor room_for(int64_t n) {
  return at::empty({n}, at::TensorOptions(c10::CppTypeToScalarType<V>::value));
}

template <class V>
V* data(const Tensor& t) {
  return t.mutable_data_ptr<V>();
}

/// What there is for images and factors of a type, by names that do not tell it.
struct OfFloats {
  static bool has_products(const Kernels& k) { return k.has_block_products; }
  static const auto& minimal_filtering(const Kernels& k) { return *k.minimal_filtering; }
  static const auto& patches(const Kernels& k) { return *k.patches; }
  static auto multiply(const Kernels& k) { return k.multiply_blocks; }
  static auto multiply_transposed(const Kernels& k) { return k.multiply_transposed_blocks; }
  static auto leaky_backward(const Kernels& k) { return k.leaky_backward; }
  static auto add_columns(const Kernels& k) { return k.add_columns; }
};
struct OfBFloat16 {
  /// With AMX LibTorch's are faster: eight times the speed of float32, where these have twice.
  static bool has_products(const Kernels& k) { return k.has_block_products_16() && !has_library_bfloat16_products(); }
  static const auto& minimal_filtering(const Kernels& k) { return *k.minimal_filtering_16; }
  static const auto& patches(const Kernels& k) { return *k.patches_16; }
  static auto multiply(const Kernels& k) { return k.multiply_blocks_16; }
  static auto multiply_transposed(const Kernels& k) { return k.multiply_transposed_blocks_16; }
  static auto leaky_backward(const Kernels& k) { return k.leaky_backward_16; }
  static auto add_columns(const Kernels& k) { return k.add_columns_16; }
};
template <class T>
using Of = std::conditional_t<std::is_same_v<T, float>, OfFloats, OfBFloat16>;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

/// What is to be computed for every image: of what is nullptr nothing.
template <class T>
struct ConvolutionPass<T>::Work {
  const T *fine = nullptr, *coarse = nullptr;          ///< images that products are made of
  T *fine_result = nullptr, *coarse_result = nullptr;  ///< images that products make; one of them at most
  Tensor factors;                                      ///< of the weights, for these
  const float* bias = nullptr;                         ///< of the results
  float negative_slope = 1;

  /// One of the images is the gradient of leaky(z), and that of z is to be taken instead, with the sums of its
  /// channels.
  const T* activated = nullptr;  ///< leaky(z); nullptr if that is the identity
  Direction gradient_of = Direction::to_coarse;
  float slope_before = 1;
  Tensor bias_parts;  ///< (parts, channels), or undefined

  Tensor weight_parts;  ///< (parts, factors to fine), or undefined
  int64_t parts = 1;
};

/// Some images, what they are turned into, and the part of all that they belong to.
template <class T>
struct ConvolutionPass<T>::Group {
  int64_t first, images, part;
  bool begins_part;
  Tensor fine, coarse;              ///< points of images
  Tensor sums;                      ///< points of results; in float32 in the place of that image's
  Tensor fine_pairs, coarse_pairs;  ///< one point, paired for the gradient of weights; undefined in float32
  Tensor gradient;                  ///< before the activation
};

template <class T>
bool ConvolutionPass<T>::fits(int64_t fine_channels, int64_t channels, const Kernels& kernels) {
  const bool blocks = fine_channels % kBlock == 0 || (fine_channels > 0 && fine_channels < kBlock);
  return Of<T>::has_products(kernels) && blocks && channels > 0 && channels % kBlock == 0;
}

template <class T>
ConvolutionPass<T>::ConvolutionPass(const HalvedImage& image, int64_t images, const Kernels& kernels)
    : image_(image),
      images_(images),
      kernels_(kernels),
      lowered_(image.fine_channels % kBlock == 0 ? Of<T>::minimal_filtering(kernels) : Of<T>::patches(kernels)),
      depth_(lowered_.depth(image.fine_channels)),
      most_rows_(lowered_.rows(/*point=*/0, image.rows, image.columns)) {
  const int64_t for_all_threads = ceil_div(images, at::get_num_threads());
  group_ = std::max<int64_t>(1, std::min(kRowsOfGroup / most_rows_, for_all_threads));
}

template <class T>
double ConvolutionPass<T>::flops() const {
  return 2.0 * 16.0 * static_cast<double>(image_.fine_channels * image_.channels) *
         static_cast<double>(images_ * image_.rows * image_.columns);
}

template <class T>
template <class V>
PointRows<V> ConvolutionPass<T>::rows_of(const Tensor& points, int64_t columns, int64_t image, int64_t images) const {
  PointRows<V> rows{};
  for (int p = 0; p < lowered_.points; ++p) {
    const int64_t of_image = lowered_.rows(p, image_.rows, image_.columns);
    rows.values[p] = data<V>(points) + p * images * most_rows_ * columns + image * of_image * kBlock;
    rows.block[p] = images * of_image * kBlock;
  }
  return rows;
}

template <class T>
Tensor ConvolutionPass<T>::factors(const float* weight, Direction direction) const {
  const Tensor packed = room_for<T>(lowered_.points * depth_ * image_.channels);
  const bool coarse = direction == Direction::to_coarse;
  const auto pack = coarse ? lowered_.weights_to_coarse : lowered_.weights_to_fine;
  const int64_t block = (coarse ? depth_ : image_.channels) * kBlock;  // of one point
  for_ranges(/*workers=*/nullptr, depth_ * image_.channels, block, [&](int64_t begin, int64_t end) {
    pack(weight, image_.fine_channels, image_.channels, data<T>(packed), begin / block, end / block);
  });
  return packed;
}

template <class T>
void ConvolutionPass<T>::before_activation(const Work& work, const Group& group) const {
  if (!work.activated && !work.bias_parts.defined()) return;
  const bool coarse = work.gradient_of == Direction::to_coarse;
  const int64_t channels = coarse ? image_.channels : image_.fine_channels;
  const int64_t size = coarse ? coarse_size() : fine_size();
  const T* dy = (coarse ? work.coarse : work.fine) + group.first * size;
  float* sums = work.bias_parts.defined() ? data<float>(work.bias_parts) + group.part * channels : nullptr;
  const int64_t rows = group.images * size / channels;
  if (work.activated) {
    Of<T>::leaky_backward(kernels_)(data<T>(group.gradient), dy, work.activated + group.first * size, work.slope_before,
                                    sums, rows, channels);
  } else {
    Of<T>::add_columns(kernels_)(sums, dy, channels, rows, channels);
  }
}

template <class T>
void ConvolutionPass<T>::multiply(const Work& work, const Group& group) const {
  const int64_t n = group.images, channels = image_.channels, weights = depth_ * channels;  // of a point
  const PointRows<T> fine = rows_of<T>(group.fine, depth_, 0, n), coarse = rows_of<T>(group.coarse, channels, 0, n);
  for (int p = 0; p < lowered_.points; ++p) {
    const int64_t rows = fine.block[p] / kBlock;  // none of some points where images are one pixel high or wide
    if (work.weight_parts.defined()) {
      float* sum = data<float>(work.weight_parts) + (group.part * lowered_.points + p) * weights;
      const T *left = coarse.values[p], *right = fine.values[p];
      if constexpr (std::is_same_v<T, BFloat16>) {
        kernels_.pair_rows_16(left, rows, channels, data<T>(group.coarse_pairs));
        kernels_.pair_rows_16(right, rows, depth_, data<T>(group.fine_pairs));
        left = data<T>(group.coarse_pairs);
        right = data<T>(group.fine_pairs);
      }
      Of<T>::multiply_transposed(kernels_)(left, right, sum, channels, rows, depth_, /*add=*/!group.begins_part);
    }
    if (!work.factors.defined()) continue;
    const T* factor = data<T>(work.factors) + p * weights;
    if (work.coarse_result) {
      const PointRows<float> sums = rows_of<float>(group.sums, channels, 0, n);
      Of<T>::multiply(kernels_)(fine.values[p], factor, sums.values[p], rows, depth_, channels);
    } else {
      const PointRows<float> sums = rows_of<float>(group.sums, depth_, 0, n);
      Of<T>::multiply(kernels_)(coarse.values[p], factor, sums.values[p], rows, channels, depth_);
    }
  }
}

template <class T>
void ConvolutionPass<T>::run_group(const Work& work, const Group& group) const {
  before_activation(work, group);
  const auto images_of = [&](const T* all, int64_t size, Direction side) {
    return work.activated && work.gradient_of == side ? data<T>(group.gradient) : all + group.first * size;
  };
  const int64_t n = group.images, channels = image_.channels;
  if (work.fine) {
    const T* x = images_of(work.fine, fine_size(), Direction::to_fine);
    for (int64_t i = 0; i < n; ++i) {
      lowered_.from_fine(x + i * fine_size(), image_, rows_of<T>(group.fine, depth_, i, n));
    }
  }
  if (work.coarse) {
    const T* x = images_of(work.coarse, coarse_size(), Direction::to_coarse);
    for (int64_t i = 0; i < n; ++i) {
      lowered_.from_coarse(x + i * coarse_size(), image_, rows_of<T>(group.coarse, channels, i, n));
    }
  }
  multiply(work, group);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t image = group.first + i;
    if (work.coarse_result) {
      lowered_.to_coarse(rows_of<float>(group.sums, channels, i, n), work.bias, work.negative_slope,
                         work.coarse_result + image * coarse_size(), image_);
    }
    if (work.fine_result) {
      lowered_.to_fine(rows_of<float>(group.sums, depth_, i, n), work.bias, work.negative_slope,
                       work.fine_result + image * fine_size(), image_);
    }
  }
}

template <class T>
void ConvolutionPass<T>::run(const Work& work) const {
  const int64_t groups = ceil_div(images_, group_);
  at::parallel_for(0, work.parts, 1, [&](int64_t begin, int64_t end) {
    Group group{};
    const int64_t rows = group_ * most_rows_, all_rows = lowered_.points * rows;
    group.fine = room_for<T>(all_rows * depth_);
    group.coarse = room_for<T>(all_rows * image_.channels);
    if constexpr (std::is_same_v<T, float>) {
      group.sums = work.coarse_result ? group.coarse : group.fine;
    } else {
      if (work.factors.defined()) {
        group.sums = room_for<float>(all_rows * (work.coarse_result ? image_.channels : depth_));
      }
      if (work.weight_parts.defined()) {
        group.fine_pairs = room_for<T>((rows + 1) * depth_);
        group.coarse_pairs = room_for<T>((rows + 1) * image_.channels);
      }
    }
    if (work.activated) {
      group.gradient = room_for<T>(group_ * (work.gradient_of == Direction::to_coarse ? coarse_size() : fine_size()));
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

template <class T>
void ConvolutionPass<T>::forward(const Layer& layer, const T* x, T* y) const {
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

template <class T>
void ConvolutionPass<T>::backward(const Layer& layer, const T* x, const T* y, const T* dy,
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
    work.weight_parts = room_for<float>(work.parts * lowered_.points * depth_ * image_.channels);
  }
  if (gradients.x) {
    work.factors = factors(layer.weight, coarse ? Direction::to_fine : Direction::to_coarse);
    (coarse ? work.fine_result : work.coarse_result) = gradients.x;
  }
  run(work);

  for (int64_t part = 0; gradients.bias && part < work.parts; ++part) {
    kernels_.add(gradients.bias, gradients.bias, data<float>(work.bias_parts) + part * channels, channels);
  }
  if (!gradients.weight) return;
  const int64_t block = image_.channels * kBlock;  // of one point
  for_ranges(/*workers=*/nullptr, depth_ * image_.channels, block, [&](int64_t begin, int64_t end) {
    lowered_.weight_gradient(data<float>(work.weight_parts), work.parts, lowered_.points * depth_ * image_.channels,
                             image_.fine_channels, image_.channels, gradients.weight_share, gradients.weight,
                             begin / block, end / block);
  });
}

template class ConvolutionPass<float>;
template class ConvolutionPass<BFloat16>;

}  // namespace genzoo
