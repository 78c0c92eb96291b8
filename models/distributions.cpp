#include "models/distributions.h"

#include <ATen/ATen.h>
#include <torch/autograd.h>
#include <torch/utils.h>

#include <cmath>
#include <numbers>

#include "core/kernels/kernels.h"
#include "core/workers.h"
#include "models/below_autograd.h"

namespace genzoo {
namespace {

/// (B, ...) -> (B).
Tensor sum_over_event(const Tensor& x) { return x.flatten(/*start_dim=*/1).sum(/*dim=*/1); }

/// log(1 - exp(-exp(log_w))) for log_w of either sign and any size, finite and with finite gradients. For small w the
/// difference is expanded, 1 - exp(-w) = w (1 - w / 2 + w^2 / 6 - ...), since w itself may underflow; beyond w =
/// exp(20) it is 0 in every precision.
Tensor log_one_minus_exp_minus(const Tensor& log_w) {
  constexpr double kSmall = 1e-4;
  const Tensor w = log_w.clamp_max(20).exp();
  const Tensor expanded = log_w - w / 2 + w.square() / 24;
  return at::where(w < kSmall, expanded, (-(-w.clamp_min(kSmall)).expm1()).log());
}

}  // namespace

Tensor DiagNormal::rsample(Rng& rng) const { return mean + log_std.exp() * rng.normal_like(mean); }

Tensor DiagNormal::log_prob(const Tensor& x) const {
  const Tensor eps = (x - mean) * (-log_std).exp();
  return sum_over_event(-0.5 * eps.square() - log_std - 0.5 * std::log(2 * std::numbers::pi));
}

Tensor standard_normal_log_prob(const Tensor& x) {
  return sum_over_event(-0.5 * x.square() - 0.5 * std::log(2 * std::numbers::pi));
}

Tensor kl_to_standard_normal(const DiagNormal& q) {
  return 0.5 * (q.mean.square() + (2 * q.log_std).exp() - 1) - q.log_std;
}

Tensor Bernoulli::sample(Rng& rng) const { return rng.bernoulli(mean()); }

namespace {

/// By this processor's kernels, on the CPU in float32: logits, target (B, D) -> (B).
class FusedBernoulli final : public torch::autograd::Function<FusedBernoulli> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& logits, const Tensor& target) {
    const BelowAutograd below;
    const Tensor slope = at::empty_like(logits);
    const Tensor log_prob = compute(logits, target, slope);
    ctx->save_for_backward({logits, target, slope});
    return log_prob;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 const torch::autograd::variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    if (at::GradMode::is_enabled()) return {(saved[1] - saved[0].sigmoid()) * gradients[0].unsqueeze(1), Tensor()};
    const BelowAutograd below;
    return {saved[2] * gradients[0].unsqueeze(1), Tensor()};
  }
  /// Leaves the derivatives by the logits in `slope` unless it is undefined.
  static Tensor compute(const Tensor& logits, const Tensor& target, const Tensor& slope) {
    const int64_t rows = logits.size(0), columns = logits.size(1);
    const Tensor log_prob = at::empty({rows}, logits.options());
    for_ranges(/*workers=*/nullptr, logits.numel(), columns, [&](int64_t begin, int64_t end) {
      kernels().bernoulli(logits.const_data_ptr<float>() + begin, target.const_data_ptr<float>() + begin,
                          slope.defined() ? slope.mutable_data_ptr<float>() + begin : nullptr,
                          log_prob.mutable_data_ptr<float>() + begin / columns, (end - begin) / columns, columns);
    });
    return log_prob;
  }
};

}  // namespace

Tensor Bernoulli::log_prob(const Tensor& x) const {
  // x log p + (1 - x) log(1 - p), from the logits.
  const Tensor target = x.to(logits.scalar_type());
  if (logits.is_cpu() && logits.scalar_type() == torch::kFloat && logits.dim() >= 2 && logits.numel() > 0 &&
      target.sizes() == logits.sizes() && !target.requires_grad()) {
    const Tensor l = logits.flatten(1).contiguous(), t = target.flatten(1).contiguous();
    return at::GradMode::is_enabled() ? FusedBernoulli::apply(l, t) : FusedBernoulli::compute(l, t, /*slope=*/{});
  }
  return -sum_over_event(
      at::binary_cross_entropy_with_logits(logits, target, /*weight=*/{}, /*pos_weight=*/{}, at::Reduction::None));
}

// The bin of level l lies between (2 l - L) / (L - 1) and (2 (l + 1) - L) / (L - 1): its center is the pixel scaled to
// [-1, 1] as in the paper, and neighbors share an edge to the last bit, so the bins tile the line.

Tensor DiscretizedLogistic::sample(Rng& rng) const {
  const Tensor u = rng.uniform_like(mean);
  const Tensor x = mean + log_scale.exp() * (u.log() - (-u).log1p());  // inverse of the logistic's CDF
  return ((x + 1) * (0.5 * static_cast<double>(levels - 1))).round().clamp(0, levels - 1);
}

Tensor DiscretizedLogistic::mean_level() const {
  return ((mean + 1) * (0.5 * static_cast<double>(levels - 1))).round().clamp(0, levels - 1);
}

Tensor DiscretizedLogistic::log_prob(const Tensor& level) const {
  const Tensor l = level.to(mean.scalar_type());
  const auto count = static_cast<double>(levels);
  const Tensor inverse_scale = (-log_scale).exp();
  const Tensor upper = ((2 * (l + 1) - count) / (count - 1) - mean) * inverse_scale;
  const Tensor lower = ((2 * l - count) / (count - 1) - mean) * inverse_scale;
  // With a, b the upper and lower edge: sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)). Each factor
  // has an accurate logarithm, however far out the bin lies. The lowest bin lacks its lower edge, the highest its
  // upper.
  const Tensor below_upper = at::log_sigmoid(upper).masked_fill(l == count - 1, 0);
  const Tensor above_lower = at::log_sigmoid(-lower).masked_fill(l == 0, 0);
  const Tensor log_width = std::log(2 / (count - 1)) - log_scale;  // log(a - b)
  const Tensor between = at::where((l > 0).logical_and(l < count - 1), log_one_minus_exp_minus(log_width), 0.0);
  return sum_over_event(below_upper + above_lower + between);
}

Tensor log_mean_exp(const Tensor& x, int64_t dim) {
  return x.logsumexp(dim) - std::log(static_cast<double>(x.size(dim)));
}

}  // namespace genzoo
