#include "models/fused_convolution.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/autograd.h>
#include <torch/utils.h>

#include "core/recorded_flops.h"
#include "models/gradients_of_gradients.h"
#include "models/leaf_gradients.h"

namespace genzoo {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr auto kChannelsLast = at::MemoryFormat::ChannelsLast;

/// The images on both sides of a layer.
HalvedImage image_of(const Tensor& x, const Tensor& weight, Direction direction) {
  const int64_t fine_channels = weight.size(1), channels = weight.size(0), rows = x.size(2), columns = x.size(3);
  if (direction == Direction::to_coarse) return {rows, columns, fine_channels, rows / 2, columns / 2, channels};
  return {2 * rows, 2 * columns, fine_channels, rows, columns, channels};
}

constexpr const char* kName = "genzoo::convolution";  // to those who count operators

template <class T>
T* at_or_null(const Tensor& t) {
  return t.defined() ? t.mutable_data_ptr<T>() : nullptr;
}

/// f(T()), T the type of x's elements.
template <class F>
void with_type_of(const Tensor& x, const F& f) {
  if (x.scalar_type() == torch::kBFloat16) {
    f(c10::BFloat16());
  } else {
    f(float());
  }
}

/// x float32 or bfloat16, in which it is computed; weight and bias float32.
class FusedConvolution final : public torch::autograd::Function<FusedConvolution> {
 public:
  static Tensor forward(AutogradContext* ctx, const Tensor& given, const Tensor& weight,
                        const std::optional<Tensor>& given_bias, int64_t direction, double negative_slope) {
    const Tensor bias = given_bias.value_or(Tensor());
    const Tensor x = given.contiguous(kChannelsLast);
    const Tensor y = compute(x, weight, bias, static_cast<Direction>(direction), negative_slope);
    ctx->save_for_backward({given, x.is_same(given) ? Tensor() : x, weight, bias, negative_slope == 1 ? Tensor() : y});
    ctx->saved_data["direction"] = direction;
    ctx->saved_data["negative_slope"] = negative_slope;
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &given = saved[0], &weight = saved[2], &bias = saved[3];
    const Tensor& x = saved[1].defined() ? saved[1] : given;
    const auto direction = static_cast<Direction>(ctx->saved_data["direction"].toInt());
    const double negative_slope = ctx->saved_data["negative_slope"].toDouble();
    variable_list results(5);
    if (at::GradMode::is_enabled()) {
      const auto type = given.scalar_type();
      const Tensor y =
          plain_convolution(given, weight.to(type), bias.defined() ? bias.to(type) : bias, direction, negative_slope);
      results = gradients_with_graph({y}, {gradients[0]}, {given, weight, bias});
      results.resize(5);
      return results;
    }
    const Tensor dy = gradients[0].contiguous(kChannelsLast), kernel = weight.contiguous(kChannelsLast);
    const bool wants_x = ctx->needs_input_grad(0), wants_weight = ctx->needs_input_grad(1);
    if (wants_x) results[0] = at::empty_like(x, kChannelsLast);
    Tensor weight_gradient;
    float weight_share = 0;
    if (wants_weight) {
      auto* slot = LeafGradients::at(weight);
      if (slot && !slot->memory().is_contiguous(kChannelsLast)) slot = nullptr;
      if (!slot) results[1] = at::empty_like(kernel, kChannelsLast);
      weight_gradient = slot ? slot->memory() : results[1];
      weight_share = slot ? slot->beta() : 0;
    }
    const bool wants_bias = bias.defined() && ctx->needs_input_grad(2);
    const Tensor bias_gradient = LeafGradients::place(bias, wants_bias, results[2]);
    with_type_of(x, [&](auto element) {
      using T = decltype(element);
      const ConvolutionPass<T> pass(image_of(x, weight, direction), x.size(0));
      recorded(kName, ((wants_x ? 1 : 0) + (wants_weight ? 1 : 0)) * pass.flops(), [&] {
        pass.backward(
            {direction, kernel.const_data_ptr<float>(), at_or_null<float>(bias), static_cast<float>(negative_slope)},
            x.const_data_ptr<T>(), at_or_null<T>(saved[4]), dy.const_data_ptr<T>(),
            {at_or_null<T>(results[0]), at_or_null<float>(weight_gradient), weight_share,
             wants_bias ? at_or_null<float>(bias_gradient) : nullptr});
      });
    });
    return results;
  }

  /// x channels last.
  static Tensor compute(const Tensor& x, const Tensor& weight, const Tensor& bias, Direction direction,
                        double negative_slope) {
    const HalvedImage image = image_of(x, weight, direction);
    const bool coarse = direction == Direction::to_coarse;
    const Tensor y = at::empty({x.size(0), coarse ? image.channels : image.fine_channels,
                                coarse ? image.rows : image.fine_rows, coarse ? image.columns : image.fine_columns},
                               x.options().requires_grad(false).memory_format(kChannelsLast));
    const Tensor kernel = weight.contiguous(kChannelsLast);
    with_type_of(x, [&](auto element) {
      using T = decltype(element);
      const ConvolutionPass<T> pass(image, x.size(0));
      recorded(kName, pass.flops(), [&] {
        pass.forward(
            {direction, kernel.const_data_ptr<float>(), at_or_null<float>(bias), static_cast<float>(negative_slope)},
            x.const_data_ptr<T>(), y.mutable_data_ptr<T>());
      });
    });
    return y;
  }
};

/// Whether it is computed in bfloat16: as LibTorch's autocast would.
bool is_reduced() {
  return at::autocast::is_autocast_enabled(at::kCPU) && at::autocast::get_autocast_dtype(at::kCPU) == torch::kBFloat16;
}

bool fits(const Tensor& x, const Tensor& weight, const Tensor& bias, Direction direction) {
  const auto is_float = [](const Tensor& t) { return t.is_cpu() && t.scalar_type() == torch::kFloat; };
  const bool reduced = is_reduced();
  if (!is_float(x) && !(reduced && x.is_cpu() && x.scalar_type() == torch::kBFloat16)) return false;
  if (!is_float(weight) || (bias.defined() && !is_float(bias)) || x.dim() != 4 || x.numel() == 0) return false;
  if (!reduced && at::autocast::is_autocast_enabled(at::kCPU)) return false;
  const int64_t channels = direction == Direction::to_coarse ? weight.size(1) : weight.size(0);
  if (weight.dim() != 4 || weight.size(2) != 4 || weight.size(3) != 4 || x.size(1) != channels) return false;
  const int64_t outputs = direction == Direction::to_coarse ? weight.size(0) : weight.size(1);
  if (bias.defined() && (!bias.is_contiguous() || bias.numel() != outputs)) return false;
  const HalvedImage image = image_of(x, weight, direction);
  if (image.rows == 0 || image.columns == 0) return false;
  return reduced ? ConvolutionPass<c10::BFloat16>::fits(image.fine_channels, image.channels)
                 : ConvolutionPass<float>::fits(image.fine_channels, image.channels);
}

}  // namespace

Tensor plain_convolution(const Tensor& x, const Tensor& weight, const Tensor& bias, Direction direction,
                         double negative_slope) {
  Tensor y = direction == Direction::to_coarse ? at::conv2d(x, weight, bias, /*stride=*/2, /*padding=*/1)
                                               : at::conv_transpose2d(x, weight, bias, /*stride=*/2, /*padding=*/1);
  if (negative_slope == 1) return y;
  return negative_slope == 0 ? y.relu_() : at::leaky_relu_(y, negative_slope);
}

Tensor fused_convolution(const Tensor& x, const Tensor& weight, const Tensor& bias, Direction direction,
                         double negative_slope) {
  if (!fits(x, weight, bias, direction)) return plain_convolution(x, weight, bias, direction, negative_slope);
  const Tensor rounded = is_reduced() ? x.to(torch::kBFloat16) : x;
  if (!at::GradMode::is_enabled()) {
    return FusedConvolution::compute(rounded.contiguous(kChannelsLast), weight, bias, direction, negative_slope);
  }
  return FusedConvolution::apply(rounded, weight, bias.defined() ? std::optional<Tensor>(bias) : std::nullopt,
                                 static_cast<int64_t>(direction), negative_slope);
}

}  // namespace genzoo
