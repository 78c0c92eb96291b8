#include "models/fused_cross_entropy.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/autograd.h>
#include <torch/utils.h>

#include <algorithm>

#include "core/kernels/kernels.h"
#include "core/workers.h"
#include "models/fused_linear.h"
#include "models/gradients_of_gradients.h"
#include "models/linear_pass.h"

namespace genzoo {
namespace {

using c10::BFloat16;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Computed {
  Tensor loss;      ///< ()
  Tensor gradient;  ///< (N, V) of the sum of all rows' losses with respect to the logits, if wanted
};

/// h (N, C), in bfloat16 for products in bfloat16.
Computed compute(const Tensor& h, const Tensor& weight, const Tensor& target, bool with_gradient) {
  const bool reduced = h.scalar_type() == torch::kBFloat16;
  const int64_t rows = h.size(0), classes = weight.size(0);
  const auto wide = h.options().dtype(torch::kFloat);
  const auto* hits = target.const_data_ptr<int64_t>();
  for (int64_t row = 0; row < rows; ++row) {
    TORCH_CHECK_INDEX(hits[row] >= 0 && hits[row] < classes, "cross-entropy: class ", hits[row], " of ", classes);
  }
  Computed c;
  if (with_gradient) c.gradient = at::empty({rows, classes}, h.options());
  // Logits that are not the gradient's memory need to be there for some rows at a time only.
  constexpr int64_t kLogits = int64_t{1} << 24;
  const bool in_place = with_gradient && !reduced;
  const int64_t piece = in_place ? rows : std::clamp<int64_t>(kLogits / classes, 1, rows);
  const Tensor scratch = in_place ? Tensor() : at::empty({piece, classes}, wide);
  const Tensor losses = at::empty({rows}, wide);
  const LinearPass::Product product(h, weight.t());
  for (int64_t first = 0; first < rows; first += piece) {
    const int64_t count = std::min(piece, rows - first);
    const Tensor logits = in_place ? c.gradient : scratch.narrow(0, 0, count);
    product(h.narrow(0, first, count), logits);
    for_ranges(/*workers=*/nullptr, count * classes, classes, [&](int64_t begin, int64_t end) {
      const int64_t row = first + begin / classes, n = (end - begin) / classes;
      auto* z = logits.mutable_data_ptr<float>() + begin;
      auto* loss = losses.mutable_data_ptr<float>() + row;
      if (reduced) {
        auto* g = with_gradient ? c.gradient.mutable_data_ptr<BFloat16>() + row * classes : nullptr;
        kernels().cross_entropy_16(z, g, hits + row, loss, n, classes);
      } else {
        kernels().cross_entropy(z, with_gradient ? z : nullptr, hits + row, loss, n, classes);
      }
    });
  }
  c.loss = losses.mean();
  return c;
}

class LinearCrossEntropy final : public torch::autograd::Function<LinearCrossEntropy> {
 public:
  static Tensor forward(AutogradContext* ctx, const Tensor& h, const Tensor& weight, const Tensor& target,
                        bool reduced) {
    const Computed c = compute(LinearPass::rows_of(h, reduced), weight, target.flatten().contiguous(),
                               /*with_gradient=*/true);
    ctx->save_for_backward({h, weight, target, c.gradient});
    return c.loss;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &h = saved[0], &weight = saved[1], &target = saved[2], &gradient = saved[3];
    const bool wants_h = ctx->needs_input_grad(0), wants_weight = ctx->needs_input_grad(1);
    if (at::GradMode::is_enabled()) {
      variable_list all = gradients_with_graph({plain_linear_cross_entropy(h, weight, target)}, gradients, {h, weight});
      all.resize(4);
      return all;
    }
    variable_list results(4);
    const float scale = gradients[0].item<float>() / static_cast<float>(gradient.size(0));
    const Tensor rows = LinearPass::rows_of(h, gradient.scalar_type() == torch::kBFloat16);
    if (wants_weight) results[1] = LinearPass::add_product(weight, gradient.t(), rows, scale);
    if (wants_h) {
      const Tensor dh = at::empty(rows.sizes(), weight.options().requires_grad(false));
      LinearPass::Product(gradient, weight)(gradient, dh);
      results[0] = dh.mul_(scale).to(h.scalar_type()).view(h.sizes());
    }
    return results;
  }
};

}  // namespace

Tensor plain_linear_cross_entropy(const Tensor& h, const Tensor& weight, const Tensor& target) {
  const Tensor logits = at::linear(h, weight.to(h.scalar_type())).flatten(0, -2);
  const auto type = logits.scalar_type() == torch::kDouble ? torch::kDouble : torch::kFloat;
  return at::cross_entropy_loss(logits.to(type), target.flatten());
}

Tensor linear_cross_entropy(const Tensor& h, const Tensor& weight, const Tensor& target) {
  const bool reduced = computes_in_bfloat16();
  TORCH_CHECK(target.scalar_type() == torch::kLong && target.device() == h.device() &&
                  target.numel() * h.size(-1) == h.numel() && weight.size(1) == h.size(-1),
              "cross-entropy of ", h.sizes(), " through ", weight.sizes(), " with ", target.sizes(), " ",
              target.scalar_type(), " targets");
  const bool fits = weight.is_cpu() && weight.scalar_type() == torch::kFloat && h.numel() > 0 &&
                    (reduced ? h.scalar_type() == torch::kFloat || h.scalar_type() == torch::kBFloat16
                             : h.scalar_type() == torch::kFloat && !at::autocast::is_autocast_enabled(at::kCPU));
  if (!fits) return plain_linear_cross_entropy(h, weight, target);
  if (at::GradMode::is_enabled()) return LinearCrossEntropy::apply(h, weight, target, reduced);
  return compute(LinearPass::rows_of(h, reduced), weight, target.flatten().contiguous(), /*with_gradient=*/false).loss;
}

}  // namespace genzoo
