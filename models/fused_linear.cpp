#include "models/fused_linear.h"

#include <ATen/autocast_mode.h>
#include <torch/autograd.h>
#include <torch/utils.h>

#include <vector>

#include "models/linear_pass.h"

namespace genzoo {
namespace {

/// (..., out) for x (..., in)
Tensor empty_output(const Tensor& x, const Tensor& weight) {
  std::vector<int64_t> size = x.sizes().vec();
  size.back() = weight.size(0);
  return at::empty(size, x.options());
}

class FusedLinear final : public torch::autograd::Function<FusedLinear> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& x, const Tensor& weight,
                        const std::optional<Tensor>& given_bias, int64_t activation_index) {
    const auto activation = static_cast<Activation>(activation_index);
    const Tensor bias = given_bias.value_or(Tensor());
    const Tensor rows = x.reshape({-1, x.size(-1)}).contiguous();
    const Tensor y = empty_output(x, weight);
    const Tensor slope = LinearPass::forward(y.view({-1, weight.size(0)}), rows, weight, bias, activation, true);
    ctx->save_for_backward({x, weight, bias, activation == Activation::relu ? y : Tensor(), slope});
    ctx->saved_data["activation"] = activation_index;
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 const torch::autograd::variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1], &bias = saved[2];
    const auto activation = static_cast<Activation>(ctx->saved_data["activation"].toInt());
    const bool wants_x = ctx->needs_input_grad(0), wants_weight = ctx->needs_input_grad(1);
    const bool wants_bias = bias.defined() && ctx->needs_input_grad(2);
    if (at::GradMode::is_enabled()) return differentiable(x, weight, bias, activation, gradients[0]);

    const Tensor& kept = activation == Activation::relu ? saved[3] : saved[4];
    const Tensor dy = gradients[0].reshape({-1, weight.size(0)}).contiguous();
    LinearPass::Gradients g = LinearPass::backward(dy, x.reshape({-1, x.size(-1)}), weight, bias,
                                                   kept.defined() ? kept.view({-1, weight.size(0)}) : Tensor(),
                                                   activation, {wants_x, wants_weight, wants_bias});
    if (wants_x) g.x = g.x.view(x.sizes());
    return {g.x, g.weight, g.bias, Tensor()};
  }

 private:
  /// Gradients that have gradients themselves.
  static torch::autograd::variable_list differentiable(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                                       Activation activation, const Tensor& dy) {
    std::vector<Tensor> inputs{x, weight};
    if (bias.defined()) inputs.push_back(bias);
    std::vector<Tensor> wanted;
    for (const Tensor& t : inputs) {
      if (t.requires_grad()) wanted.push_back(t);
    }
    const auto found = torch::autograd::grad({plain_linear(x, weight, bias, activation)}, wanted, {dy},
                                             /*retain_graph=*/true, /*create_graph=*/true);
    torch::autograd::variable_list all(4);
    for (size_t i = 0, next = 0; i < inputs.size(); ++i) {
      if (inputs[i].requires_grad()) all[i] = found[next++];
    }
    return all;
  }
};

bool fits_kernels(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const auto fits = [](const Tensor& t) { return t.is_cpu() && t.scalar_type() == torch::kFloat; };
  return fits(x) && fits(weight) && (!bias.defined() || fits(bias)) && x.dim() >= 2 && x.numel() > 0 &&
         !at::autocast::is_autocast_enabled(at::kCPU);
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

Tensor fused_linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Activation activation) {
  if (!fits_kernels(x, weight, bias)) return plain_linear(x, weight, bias, activation);
  if (at::GradMode::is_enabled()) {
    return FusedLinear::apply(x, weight, bias.defined() ? std::optional<Tensor>(bias) : std::nullopt,
                              static_cast<int64_t>(activation));
  }
  if (activation == Activation::none) return at::linear(x, weight, bias);
  const Tensor y = empty_output(x, weight);
  LinearPass::forward(y.view({-1, weight.size(0)}), x.reshape({-1, x.size(-1)}).contiguous(), weight, bias, activation,
                      /*with_slope=*/false);
  return y;
}

}  // namespace genzoo
