#include "models/transformer/reduced_linear.h"

#include <ATen/ATen.h>
#include <torch/utils.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "core/kernels/kernels.h"
#include "core/workers.h"
#include "models/fused_linear.h"

namespace genzoo {
namespace {

constexpr int64_t kFewRows = 4 * Kernels::kRowsAtOnce;  // beyond, a whole matrix product is faster

/// Outputs of a thread begin at a new cache line of y.
constexpr int64_t kLine = 16;

}  // namespace

ReducedLinear::ReducedLinear(const Tensor& weight, const Tensor& bias, WeightType type)
    : bias_(bias.defined() ? bias.detach() : bias), type_(weight.scalar_type()) {
  const torch::NoGradGuard no_grad;
  switch (type) {
    case WeightType::bfloat16:
      stored_ = weight.detach().to(torch::kBFloat16).contiguous();
      return;
    case WeightType::int8:
      quantize(weight.detach());
      return;
    case WeightType::float32:
      break;
  }
  throw std::logic_error("models/transformer: weights of float32 are not reduced");
}

void ReducedLinear::quantize(const Tensor& weight) {
  const int64_t out = weight.size(0);
  const auto on_device = at::TensorOptions(weight.device());
  stored_ = at::empty(weight.sizes(), on_device.dtype(torch::kChar));
  scale_ = at::empty({out}, on_device.dtype(torch::kFloat));
  constexpr int64_t kOutputsAtOnce = 256;  // small enough for what is between to stay in the processor's caches
  for (int64_t first = 0; first < out; first += kOutputsAtOnce) {
    const int64_t count = std::min(kOutputsAtOnce, out - first);
    const Tensor w = weight.narrow(/*dim=*/0, first, count).to(torch::kFloat);
    const Tensor scale = w.abs().amax(/*dim=*/1) / 127;
    // An output of zeros has the scale 0, by which nothing can be divided.
    const Tensor divisor = at::where(scale.gt(0), scale, at::ones_like(scale)).unsqueeze(1);
    scale_.narrow(/*dim=*/0, first, count).copy_(scale);
    stored_.narrow(/*dim=*/0, first, count).copy_((w / divisor).round_());
  }
}

Tensor ReducedLinear::weight() const {
  const Tensor w = stored_.to(scale_.defined() ? torch::kFloat : type_);
  return scale_.defined() ? w.mul_(scale_.unsqueeze(1)).to(type_) : w;
}

void ReducedLinear::by_kernels(const Tensor& x, const Tensor& y, Activation activation) const {
  const int64_t out = stored_.size(0), in = stored_.size(1), rows = x.size(0);
  const auto* inputs = x.const_data_ptr<float>();
  auto* outputs = y.mutable_data_ptr<float>();
  const float* bias = bias_.defined() ? bias_.const_data_ptr<float>() : nullptr;
  for_ranges(/*workers=*/nullptr, out * in, kLine * in, [&](int64_t begin, int64_t end) {
    const int64_t first = begin / in, count = (end - begin) / in;
    const FewRows product{inputs, rows, in, outputs + first, out, count, bias ? bias + first : nullptr};
    if (scale_.defined()) {
      kernels().product_int8(stored_.const_data_ptr<int8_t>() + begin, scale_.const_data_ptr<float>() + first, product);
    } else {
      kernels().product_bfloat16(static_cast<const uint16_t*>(stored_.const_data_ptr()) + begin, product);
    }
    if (activation == Activation::gelu)
      kernels().bias_gelu(product.y, nullptr, out, product.y, out, nullptr, rows, count);
  });
  if (activation == Activation::relu) y.relu_();
}

Tensor ReducedLinear::forward(const Tensor& x, Activation activation) const {
  const torch::NoGradGuard no_grad;
  const auto fits = [](const Tensor& t) { return !t.defined() || (t.is_cpu() && t.scalar_type() == torch::kFloat); };
  const int64_t rows = x.numel() / x.size(-1);
  if (!fits(x) || !fits(bias_) || rows > kFewRows || rows == 0) return plain_linear(x, weight(), bias_, activation);
  std::vector<int64_t> size = x.sizes().vec();
  size.back() = stored_.size(0);
  Tensor y = at::empty(size, x.options());
  by_kernels(x.reshape({rows, -1}).contiguous(), y.view({rows, -1}), activation);
  return y;
}

}  // namespace genzoo
