#include "models/fused_linear.h"

#include <ATen/autocast_mode.h>
#include <torch/autograd.h>
#include <torch/utils.h>

#include <vector>

#include "core/bfloat16.h"
#include "core/matrix_product.h"
#include "models/below_autograd.h"
#include "models/gradients_of_gradients.h"
#include "models/linear_pass.h"

namespace genzoo {
namespace {

class FusedLinear final : public torch::autograd::Function<FusedLinear> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& x, const Tensor& weight,
                        const std::optional<Tensor>& given_bias, int64_t activation_index, bool reduced,
                        bool float32_result) {
    const auto activation = static_cast<Activation>(activation_index);
    const BelowAutograd below;
    const Tensor bias = given_bias.value_or(Tensor());
    const auto [y, slope] = compute(x, weight, bias, activation, reduced, float32_result, /*with_slope=*/true);
    ctx->save_for_backward({x, weight, bias, activation == Activation::relu ? y : Tensor(), slope});
    ctx->saved_data["activation"] = activation_index;
    ctx->saved_data["reduced"] = reduced;
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 const torch::autograd::variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1], &bias = saved[2];
    const auto activation = static_cast<Activation>(ctx->saved_data["activation"].toInt());
    const bool reduced = ctx->saved_data["reduced"].toBool();
    const bool wants_x = ctx->needs_input_grad(0), wants_weight = ctx->needs_input_grad(1);
    const bool wants_bias = bias.defined() && ctx->needs_input_grad(2);
    if (at::GradMode::is_enabled()) return differentiable(x, weight, bias, activation, reduced, gradients[0]);
    const BelowAutograd below;

    const Tensor& kept = activation == Activation::relu ? saved[3] : saved[4];
    const auto rows = [&](const Tensor& t) { return t.defined() ? t.reshape({-1, weight.size(0)}).contiguous() : t; };
    LinearPass::Gradients g =
        LinearPass::backward(rows(gradients[0]), LinearPass::rows_of(x, reduced), weight, bias, rows(kept), activation,
                             {wants_x, wants_weight, wants_bias}, x.scalar_type());
    if (wants_x) g.x = g.x.view(x.sizes());
    return {g.x, g.weight, g.bias, Tensor(), Tensor(), Tensor()};
  }

  struct Computed {
    Tensor y, slope;
  };
  static Computed compute(const Tensor& x, const Tensor& weight, const Tensor& bias, Activation activation,
                          bool reduced, bool float32_result, bool with_slope) {
    std::vector<int64_t> size = x.sizes().vec();
    size.back() = weight.size(0);
    const Tensor y = at::empty(size, x.options().dtype(reduced && !float32_result ? torch::kBFloat16 : torch::kFloat));
    const Tensor slope = LinearPass::forward(y.view({-1, weight.size(0)}), LinearPass::rows_of(x, reduced), weight,
                                             bias, activation, with_slope);
    return {y, slope};
  }

 private:
  /// Gradients that have gradients themselves.
  static torch::autograd::variable_list differentiable(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                                       Activation activation, bool reduced, const Tensor& dy) {
    const auto type = reduced ? torch::kBFloat16 : x.scalar_type();
    const Tensor y = plain_linear(x.to(type), weight.to(type), bias.defined() ? bias.to(type) : bias, activation);
    torch::autograd::variable_list all = gradients_with_graph({y.to(dy.scalar_type())}, {dy}, {x, weight, bias});
    all.resize(6);
    return all;
  }
};

enum class Way { plain, float32, bfloat16 };

Way way_of(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const auto is_float = [](const Tensor& t) { return t.is_cpu() && t.scalar_type() == torch::kFloat; };
  if (!is_float(weight) || (bias.defined() && !is_float(bias)) || x.dim() < 2 || x.numel() == 0) return Way::plain;
  if (computes_in_bfloat16()) {
    return is_float(x) || (x.is_cpu() && x.scalar_type() == torch::kBFloat16) ? Way::bfloat16 : Way::plain;
  }
  return is_float(x) && !at::autocast::is_autocast_enabled(at::kCPU) ? Way::float32 : Way::plain;
}

}  // namespace

Tensor plain_linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Activation activation) {
  const Tensor z = at::linear(x, weight, bias);
  switch (activation) {
    case Activation::none:
      return z;
    case Activation::relu:
      return at::relu(z);
    case Activation::gelu:
      return at::gelu(z, /*approximate=*/"tanh");
  }
  TORCH_INTERNAL_ASSERT(false, "an activation outside its enumeration");
}

bool computes_in_bfloat16() {
  return at::autocast::is_autocast_enabled(at::kCPU) &&
         at::autocast::get_autocast_dtype(at::kCPU) == torch::kBFloat16 && has_bfloat16_products();
}

Tensor fused_linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Activation activation, Result result) {
  TORCH_CHECK(result == Result::as_products || activation == Activation::none,
              "a layer whose sums are wanted in float32 has no activation");
  const Way way = way_of(x, weight, bias);
  if (way == Way::plain) {
    const Tensor y = plain_linear(x, weight, bias, activation);
    return result == Result::float32 && y.scalar_type() == torch::kBFloat16 && weight.scalar_type() == torch::kFloat
               ? y.to(torch::kFloat)
               : y;
  }
  const bool reduced = way == Way::bfloat16, float32_result = result == Result::float32;
  if (at::GradMode::is_enabled()) {
    return FusedLinear::apply(x, weight, bias.defined() ? std::optional<Tensor>(bias) : std::nullopt,
                              static_cast<int64_t>(activation), reduced, float32_result);
  }
  if (!reduced && activation == Activation::none && !has_few_rows_products()) return at::linear(x, weight, bias);
  return FusedLinear::compute(x, weight, bias, activation, reduced, float32_result, /*with_slope=*/false).y;
}

}  // namespace genzoo
