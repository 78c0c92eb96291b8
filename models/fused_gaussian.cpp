#include "models/fused_gaussian.h"

#include <torch/autograd.h>
#include <torch/utils.h>

#include "core/kernels/kernels.h"
#include "core/workers.h"
#include "models/below_autograd.h"
#include "models/distributions.h"
#include "models/gradients_of_gradients.h"

namespace genzoo {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

const float* data_or_null(const Tensor& t) { return t.defined() ? t.const_data_ptr<float>() : nullptr; }
const float* at_or_null(const float* data, int64_t at) { return data ? data + at : nullptr; }

/// f(first row, rows) over rows of Z numbers, in parts worth a thread each.
template <class F>
void by_rows(const Tensor& noise, const F& f) {
  const int64_t dims = noise.size(1);
  for_ranges(/*workers=*/nullptr, noise.numel(), dims,
             [&](int64_t begin, int64_t end) { f(begin / dims, (end - begin) / dims); });
}

class FusedGaussian final : public torch::autograd::Function<FusedGaussian> {
 public:
  static variable_list forward(AutogradContext* ctx, const Tensor& moments, const Tensor& noise) {
    const BelowAutograd below;
    const GaussianDraw draw = compute(moments, noise);
    ctx->save_for_backward({moments, noise});
    ctx->set_materialize_grads(false);
    return {draw.z, draw.divergence};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &moments = saved[0], &noise = saved[1];
    if (at::GradMode::is_enabled()) return differentiable(moments, noise, gradients);
    const BelowAutograd below;
    const auto dense = [](const Tensor& t) { return t.defined() ? t.contiguous() : t; };
    const Tensor dz = dense(gradients[0]), ddivergence = dense(gradients[1]);
    const Tensor dmoments = at::empty_like(moments);
    const int64_t dims = noise.size(1);
    by_rows(noise, [&](int64_t at, int64_t n) {
      kernels().draw_gaussian_backward(
          at_or_null(data_or_null(dz), at * dims), at_or_null(data_or_null(ddivergence), at * dims),
          moments.const_data_ptr<float>() + at * 2 * dims, noise.const_data_ptr<float>() + at * dims,
          dmoments.mutable_data_ptr<float>() + at * 2 * dims, n, dims);
    });
    return {dmoments, Tensor()};
  }

  static GaussianDraw compute(const Tensor& moments, const Tensor& noise) {
    const GaussianDraw draw{at::empty_like(noise), at::empty_like(noise)};
    const int64_t dims = noise.size(1);
    by_rows(noise, [&](int64_t at, int64_t n) {
      kernels().draw_gaussian(moments.const_data_ptr<float>() + at * 2 * dims,
                              noise.const_data_ptr<float>() + at * dims, draw.z.mutable_data_ptr<float>() + at * dims,
                              draw.divergence.mutable_data_ptr<float>() + at * dims, n, dims);
    });
    return draw;
  }

 private:
  /// Gradients that have gradients themselves.
  static variable_list differentiable(const Tensor& moments, const Tensor& noise, const variable_list& gradients) {
    const auto [z, divergence] = plain_draw_gaussian(moments, noise);
    variable_list outputs, with;
    if (gradients[0].defined()) outputs.push_back(z), with.push_back(gradients[0]);
    if (gradients[1].defined()) outputs.push_back(divergence), with.push_back(gradients[1]);
    return {gradients_with_graph(outputs, with, {moments})[0], Tensor()};
  }
};

bool fits(const Tensor& t) { return t.is_cpu() && t.scalar_type() == torch::kFloat && t.dim() == 2 && t.numel() > 0; }

}  // namespace

GaussianDraw plain_draw_gaussian(const Tensor& moments, const Tensor& noise) {
  const std::vector<Tensor> halves = moments.chunk(2, /*dim=*/1);
  const DiagNormal q{halves[0], halves[1] / 2};
  return {q.mean + q.log_std.exp() * noise, kl_to_standard_normal(q)};
}

GaussianDraw draw_gaussian(const Tensor& moments, const Tensor& noise) {
  if (!fits(moments) || !fits(noise) || noise.requires_grad()) return plain_draw_gaussian(moments, noise);
  TORCH_CHECK(moments.size(0) == noise.size(0) && moments.size(1) == 2 * noise.size(1), "draws from moments ",
              moments.sizes(), " by noise ", noise.sizes());
  const Tensor m = moments.contiguous(), n = noise.contiguous();
  if (!at::GradMode::is_enabled()) return FusedGaussian::compute(m, n);
  const auto made = FusedGaussian::apply(m, n);
  return {made[0], made[1]};
}

}  // namespace genzoo
