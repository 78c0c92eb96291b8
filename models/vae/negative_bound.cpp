#include "models/vae/negative_bound.h"

#include <torch/autograd.h>
#include <torch/utils.h>

#include <vector>

#include "models/below_autograd.h"

namespace genzoo {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class FusedNegativeBound final : public torch::autograd::Function<FusedNegativeBound> {
 public:
  static variable_list forward(AutogradContext* ctx, const Tensor& log_likelihood, const Tensor& divergence,
                               double weight, double free_bits) {
    const BelowAutograd below;
    const Tensor slopes = at::empty({divergence.size(1)}, divergence.options());
    const NegativeBound bound = compute(log_likelihood, divergence, weight, free_bits, slopes);
    ctx->mark_non_differentiable({bound.reconstruction, bound.kl});
    ctx->saved_data["slopes"] = slopes;
    ctx->saved_data["rows"] = log_likelihood.size(0);
    return {bound.total, bound.reconstruction, bound.kl};
  }

  /// Linear in what it is given, so that with its operators recorded it has gradients itself.
  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const Tensor slopes = ctx->saved_data["slopes"].toTensor();
    const int64_t rows = ctx->saved_data["rows"].toInt();
    return {(gradients[0] * (-1.0 / static_cast<double>(rows))).expand({rows}),
            (gradients[0] * slopes).expand({rows, slopes.size(0)}), Tensor(), Tensor()};
  }

  /// Leaves the derivatives of the total by a divergence of each dimension in slopes (Z), unless it is undefined.
  static NegativeBound compute(const Tensor& log_likelihood, const Tensor& divergence, double weight, double free_bits,
                               const Tensor& slopes) {
    const int64_t rows = divergence.size(0), dims = divergence.size(1);
    const auto count = static_cast<double>(rows);
    const auto* log_p = log_likelihood.const_data_ptr<float>();
    const auto* divergences = divergence.const_data_ptr<float>();
    double sum = 0;
    std::vector<double> sums(static_cast<size_t>(dims), 0.0);
    for (int64_t r = 0; r < rows; ++r) {
      sum += log_p[r];
      for (int64_t z = 0; z < dims; ++z) sums[static_cast<size_t>(z)] += divergences[r * dims + z];
    }
    double kl = 0, counted = 0;
    for (int64_t z = 0; z < dims; ++z) {
      const double mean = sums[static_cast<size_t>(z)] / count;
      kl += mean;
      counted += mean < free_bits ? free_bits : mean;  // what is no number stays so
      if (slopes.defined()) {
        slopes.mutable_data_ptr<float>()[z] = mean > free_bits ? static_cast<float>(weight / count) : 0.0F;
      }
    }
    const auto scalar = [&](double value) {
      const Tensor t = at::empty({}, log_likelihood.options());
      *t.mutable_data_ptr<float>() = static_cast<float>(value);
      return t;
    };
    return {scalar(-sum / count + weight * counted), scalar(-sum / count), scalar(kl)};
  }
};

}  // namespace

NegativeBound plain_negative_bound(const Tensor& log_likelihood, const Tensor& divergence, double weight,
                                   double free_bits) {
  const Tensor reconstruction = -log_likelihood.mean();
  const Tensor kl = divergence.mean(/*dim=*/0);
  return {reconstruction + weight * kl.clamp_min(free_bits).sum(), reconstruction.detach(), kl.detach().sum()};
}

NegativeBound negative_bound(const Tensor& log_likelihood, const Tensor& divergence, double weight, double free_bits) {
  const auto fits = [](const Tensor& t) { return t.is_cpu() && t.scalar_type() == torch::kFloat && t.numel() > 0; };
  if (!fits(log_likelihood) || !fits(divergence)) {
    return plain_negative_bound(log_likelihood, divergence, weight, free_bits);
  }
  TORCH_CHECK(log_likelihood.dim() == 1 && divergence.dim() == 2 && log_likelihood.size(0) == divergence.size(0),
              "a bound from log-likelihoods ", log_likelihood.sizes(), " and divergences ", divergence.sizes());
  const Tensor log_p = log_likelihood.contiguous(), kl = divergence.contiguous();
  if (!at::GradMode::is_enabled()) return FusedNegativeBound::compute(log_p, kl, weight, free_bits, /*slopes=*/{});
  const variable_list made = FusedNegativeBound::apply(log_p, kl, weight, free_bits);
  return {made[0], made[1], made[2]};
}

}  // namespace genzoo
