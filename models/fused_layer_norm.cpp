#include "models/fused_layer_norm.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/autograd.h>
#include <torch/utils.h>

#include "core/kernels/kernels.h"
#include "core/workers.h"
#include "models/fused_linear.h"
#include "models/leaf_gradients.h"

namespace genzoo {
namespace {

using c10::BFloat16;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

float* data_or_null(const Tensor& t) { return t.defined() ? t.mutable_data_ptr<float>() : nullptr; }

struct Computed {
  NormalizedSum result;
  Tensor mean, inverse_std;  ///< (rows)
};

Computed compute(const Tensor& x, const Tensor& update, const Tensor& weight, const Tensor& bias, double eps,
                 bool reduced) {
  const int64_t columns = x.size(-1), rows = x.numel() / columns;
  Computed c;
  c.result.sum = update.defined() ? at::empty(x.sizes(), x.options()) : x;
  c.result.normalized = at::empty(x.sizes(), x.options().dtype(reduced ? torch::kBFloat16 : torch::kFloat));
  c.mean = at::empty({rows}, x.options());
  c.inverse_std = at::empty({rows}, x.options());
  const auto* in = x.const_data_ptr<float>();
  for_ranges(/*workers=*/nullptr, x.numel(), columns, [&](int64_t begin, int64_t end) {
    const LayerNormRows r{weight.const_data_ptr<float>(), data_or_null(bias), static_cast<float>(eps),
                          c.mean.mutable_data_ptr<float>() + begin / columns,
                          c.inverse_std.mutable_data_ptr<float>() + begin / columns};
    const auto* added = update.defined() ? update.const_data_ptr<float>() + begin : nullptr;
    auto* sum = update.defined() ? c.result.sum.mutable_data_ptr<float>() + begin : nullptr;
    const int64_t n = (end - begin) / columns;
    if (reduced) {
      kernels().layer_norm_16(in + begin, added, sum, c.result.normalized.mutable_data_ptr<BFloat16>() + begin, r, n,
                              columns);
    } else {
      kernels().layer_norm(in + begin, added, sum, c.result.normalized.mutable_data_ptr<float>() + begin, r, n,
                           columns);
    }
  });
  return c;
}

/// The gradient of the sum; adds those of the parameters to dweight and dbias, unless undefined.
Tensor compute_backward(const Tensor& dy, const Tensor& dsum, const Tensor& s, const Tensor& mean,
                        const Tensor& inverse_std, const Tensor& weight, const Tensor& dweight, const Tensor& dbias) {
  // Parameters' gradients are summed over pieces of a fixed number of rows, then piece by piece, so that the number of
  // threads does not change their bits.
  constexpr int64_t kRows = 64;
  const int64_t columns = s.size(-1), rows = s.numel() / columns, pieces = (rows + kRows - 1) / kRows;
  const Tensor dx = at::empty(s.sizes(), s.options());
  const auto sums_of_pieces = [&](const Tensor& wanted) {
    return wanted.defined() ? at::zeros({pieces, columns}, s.options()) : Tensor();
  };
  const Tensor weights = sums_of_pieces(dweight), biases = sums_of_pieces(dbias);
  for_ranges(/*workers=*/nullptr, s.numel(), kRows * columns, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; at += kRows * columns) {
      const int64_t first = at / columns, piece = first / kRows, n = std::min(kRows, rows - first);
      const LayerNormRows r{weight.const_data_ptr<float>(), /*bias=*/nullptr, /*eps=*/0,
                            mean.mutable_data_ptr<float>() + first, inverse_std.mutable_data_ptr<float>() + first};
      const auto* from_sum = dsum.defined() ? dsum.const_data_ptr<float>() + at : nullptr;
      auto* dw = weights.defined() ? weights.mutable_data_ptr<float>() + piece * columns : nullptr;
      auto* db = biases.defined() ? biases.mutable_data_ptr<float>() + piece * columns : nullptr;
      const auto* in = s.const_data_ptr<float>() + at;
      auto* out = dx.mutable_data_ptr<float>() + at;
      if (dy.scalar_type() == torch::kBFloat16) {
        kernels().layer_norm_backward_16(dy.const_data_ptr<BFloat16>() + at, from_sum, in, out, dw, db, r, n, columns);
      } else {
        kernels().layer_norm_backward(dy.const_data_ptr<float>() + at, from_sum, in, out, dw, db, r, n, columns);
      }
    }
  });
  if (dweight.defined()) dweight.add_(weights.sum(0));
  if (dbias.defined()) dbias.add_(biases.sum(0));
  return dx;
}

class FusedLayerNorm final : public torch::autograd::Function<FusedLayerNorm> {
 public:
  /// -> {normalized} without an update, {normalized, sum} with one.
  static variable_list forward(AutogradContext* ctx, const Tensor& x, const std::optional<Tensor>& update,
                               const Tensor& weight, const std::optional<Tensor>& bias, double eps, bool reduced) {
    const Computed c = compute(x, update.value_or(Tensor()), weight, bias.value_or(Tensor()), eps, reduced);
    ctx->save_for_backward({c.result.sum, c.mean, c.inverse_std, weight, bias.value_or(Tensor())});
    ctx->saved_data["updated"] = update.has_value();
    ctx->saved_data["eps"] = eps;
    ctx->set_materialize_grads(false);
    if (!update) return {c.result.normalized};
    return {c.result.normalized, c.result.sum};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &s = saved[0], &weight = saved[3], &bias = saved[4];
    const bool updated = ctx->saved_data["updated"].toBool();
    const Tensor dsum = updated ? gradients[1] : Tensor();
    // Of the arguments only tensors that are there have edges.
    const size_t of_weight = updated ? 2 : 1;
    const bool wants_weight = ctx->needs_input_grad(of_weight);
    const bool wants_bias = bias.defined() && ctx->needs_input_grad(of_weight + 1);
    variable_list results(6);
    if (!gradients[0].defined()) {
      results[0] = results[1] = dsum;
    } else if (at::GradMode::is_enabled()) {
      differentiable(s, weight, bias, ctx->saved_data["eps"].toDouble(), gradients[0], dsum, results);
    } else {
      const Tensor dweight = LeafGradients::place(weight, wants_weight, results[2]);
      const Tensor dbias = LeafGradients::place(bias, wants_bias, results[3]);
      results[0] = compute_backward(gradients[0].contiguous(), dsum.defined() ? dsum.contiguous() : dsum, s, saved[1],
                                    saved[2], weight, dweight, dbias);
      if (updated) results[1] = results[0];
    }
    if (!updated) results[1] = Tensor();
    return results;
  }

 private:
  /// Gradients that have gradients themselves, by LibTorch's operators on s, which knows where it comes from. (Asking
  /// autograd for the gradient with respect to s would enter this node again, which holds a lock.)
  static void differentiable(const Tensor& s, const Tensor& weight, const Tensor& bias, double eps, const Tensor& dy,
                             const Tensor& dsum, variable_list& results) {
    const Tensor d = dy.to(s.scalar_type());
    const Tensor centered = s - s.mean(-1, /*keepdim=*/true);
    const Tensor inverse_std = (centered.square().mean(-1, /*keepdim=*/true) + eps).rsqrt();
    const Tensor n = centered * inverse_std, dn = d * weight;
    const Tensor dx = inverse_std * (dn - dn.mean(-1, /*keepdim=*/true) - n * (dn * n).mean(-1, /*keepdim=*/true));
    results[0] = results[1] = dsum.defined() ? dx + dsum : dx;
    results[2] = (d * n).flatten(0, -2).sum(0);
    if (bias.defined()) results[3] = d.flatten(0, -2).sum(0);
  }
};

bool fits_kernels(const Tensor& x, const Tensor& update, const Tensor& weight, const Tensor& bias) {
  const auto fits = [](const Tensor& t) { return !t.defined() || (t.is_cpu() && t.scalar_type() == torch::kFloat); };
  const int64_t columns = x.size(-1);
  return weight.numel() == columns && (!bias.defined() || bias.numel() == columns) && fits(x) && fits(update) &&
         fits(weight) && fits(bias) && x.numel() > 0 && (!update.defined() || update.sizes() == x.sizes()) &&
         (!at::autocast::is_autocast_enabled(at::kCPU) || computes_in_bfloat16());
}

}  // namespace

NormalizedSum plain_layer_norm(const Tensor& x, const Tensor& update, const Tensor& weight, const Tensor& bias,
                               double eps) {
  const Tensor sum = update.defined() ? x + update : x;
  return {sum, at::layer_norm(sum, {weight.size(0)}, weight, bias, eps)};
}

NormalizedSum fused_layer_norm(const Tensor& x, const Tensor& update, const Tensor& weight, const Tensor& bias,
                               double eps, Result result) {
  if (!fits_kernels(x, update, weight, bias)) return plain_layer_norm(x, update, weight, bias, eps);
  const bool reduced = result == Result::as_products && computes_in_bfloat16();
  const Tensor in = x.contiguous(), added = update.defined() ? update.contiguous() : update;
  if (!at::GradMode::is_enabled()) return compute(in, added, weight, bias, eps, reduced).result;
  const auto given = [](const Tensor& t) { return t.defined() ? std::optional<Tensor>(t) : std::nullopt; };
  const variable_list made = FusedLayerNorm::apply(in, given(added), weight, given(bias), eps, reduced);
  return {update.defined() ? made[1] : in, made[0]};
}

}  // namespace genzoo
