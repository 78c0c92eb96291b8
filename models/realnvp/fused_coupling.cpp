#include "models/realnvp/fused_coupling.h"

#include <ATen/autocast_mode.h>
#include <torch/autograd.h>
#include <torch/utils.h>

#include "core/bfloat16.h"
#include "core/kernels/kernels.h"
#include "core/workers.h"
#include "models/fused_linear.h"
#include "models/gradients_of_gradients.h"
#include "models/leaf_gradients.h"
#include "models/linear_pass.h"

namespace genzoo {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Every second row, of the scales and of the translations: what the last layer gives of the dimensions that change.
struct ChangedRows {
  Tensor scale, translation;

  ChangedRows(const Tensor& whole, int64_t changed) {
    const int64_t dims = whole.size(0) / 2;
    scale = whole.slice(/*dim=*/0, changed, dims, /*step=*/2);
    translation = whole.slice(/*dim=*/0, dims + changed, 2 * dims, /*step=*/2);
  }
};

Tensor changed_of(const Tensor& bound, int64_t changed) {
  return bound.defined() ? bound.slice(/*dim=*/0, changed, bound.size(0), /*step=*/2).contiguous() : Tensor();
}

const float* data_or_null(const Tensor& t) { return t.defined() ? t.const_data_ptr<float>() : nullptr; }

/// f(first row, rows) over the rows of x, in parts worth a thread each.
template <class F>
void by_rows(const Tensor& x, const F& f) {
  const int64_t columns = x.size(1);
  for_ranges(/*workers=*/nullptr, x.numel(), columns,
             [&](int64_t begin, int64_t end) { f(begin / columns, (end - begin) / columns); });
}

std::vector<LinearParameters> layers_of(at::ArrayRef<Tensor> parameters) {
  std::vector<LinearParameters> layers;
  for (size_t i = 0; i + 1 < parameters.size(); i += 2) layers.push_back({parameters[i], parameters[i + 1]});
  return layers;
}

class FusedCoupling final : public torch::autograd::Function<FusedCoupling> {
 public:
  static constexpr size_t kOthers = 5;  ///< arguments before the parameters

  /// parameters: weight and bias of each layer, and the bound if there is one. reduced: products in bfloat16.
  static variable_list forward(AutogradContext* ctx, const Tensor& x, const Tensor& mask, int64_t changed, bool bounded,
                               bool reduced, at::TensorList parameters) {
    const int64_t rows = x.size(0), dims = x.size(1);
    const auto layers = layers_of(parameters.slice(0, parameters.size() - (bounded ? 1 : 0)));
    const Tensor bound = changed_of(bounded ? parameters.back() : Tensor(), changed);
    const auto rounded = [&](const Tensor& t) { return reduced ? to_bfloat16(t) : t; };
    std::vector<Tensor> hidden{rounded(x * mask)};
    for (size_t i = 0; i + 1 < layers.size(); ++i) {
      const Tensor y = at::empty({rows, layers[i].weight.size(0)}, hidden.back().options());
      LinearPass::forward(y, hidden.back(), layers[i].weight, layers[i].bias, Activation::relu, /*with_slope=*/false);
      hidden.push_back(y);
    }
    const ChangedRows weight(layers.back().weight, changed), bias(layers.back().bias, changed);
    const int64_t count = weight.scale.size(0);
    const Tensor raw = at::empty({rows, 2 * count}, x.options());
    const auto last = [&](int64_t begin, const Tensor& w, const Tensor& b) {
      LinearPass::forward(raw.narrow(1, begin, count), hidden.back(), w, b.contiguous(), Activation::none, false);
    };
    last(0, weight.scale, bias.scale);
    last(count, weight.translation, bias.translation);

    const Tensor y = at::empty_like(x), tanh_scale = at::empty({rows, count}, x.options());
    const Tensor log_det = at::empty({rows}, x.options());
    by_rows(x, [&](int64_t at, int64_t n) {
      kernels().couple(x.const_data_ptr<float>() + at * dims, raw.const_data_ptr<float>() + at * 2 * count,
                       data_or_null(bound), changed, y.mutable_data_ptr<float>() + at * dims,
                       tanh_scale.mutable_data_ptr<float>() + at * count, log_det.mutable_data_ptr<float>() + at, n,
                       dims);
    });
    variable_list saved{x, mask, tanh_scale};
    saved.insert(saved.end(), hidden.begin(), hidden.end());
    saved.insert(saved.end(), parameters.begin(), parameters.end());
    ctx->save_for_backward(saved);
    ctx->saved_data["changed"] = changed;
    ctx->saved_data["bounded"] = bounded;
    ctx->saved_data["reduced"] = reduced;
    ctx->saved_data["layers"] = static_cast<int64_t>(layers.size());
    return {y, log_det};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const variable_list saved = ctx->get_saved_variables();
    const int64_t changed = ctx->saved_data["changed"].toInt();
    const bool bounded = ctx->saved_data["bounded"].toBool();
    const auto layer_count = static_cast<size_t>(ctx->saved_data["layers"].toInt());
    const Tensor &x = saved[0], &mask = saved[1], &tanh_scale = saved[2];
    const at::ArrayRef<Tensor> hidden(saved.data() + 3, layer_count);
    const at::ArrayRef<Tensor> parameters(saved.data() + 3 + layer_count, saved.size() - 3 - layer_count);
    const at::ArrayRef<Tensor> of_layers = parameters.slice(0, 2 * layer_count);
    const bool reduced = ctx->saved_data["reduced"].toBool();
    if (at::GradMode::is_enabled()) return differentiable(x, mask, bounded, of_layers, parameters, gradients);
    const auto rounded = [&](const Tensor& t) { return reduced ? to_bfloat16(t) : t; };

    // Of the arguments only tensors have edges: x, mask, parameters; all of them have a place among the results.
    const auto wanted = [&](size_t parameter) { return ctx->needs_input_grad(2 + parameter); };
    const auto layers = layers_of(of_layers);
    const Tensor whole_bound = bounded ? parameters.back() : Tensor();
    const int64_t rows = x.size(0), dims = x.size(1), count = tanh_scale.size(1);
    Tensor dx = at::empty_like(x);
    const Tensor draw = at::empty({rows, 2 * count}, x.options());
    const Tensor dbound = bounded ? at::empty({rows, count}, x.options()) : Tensor();
    const Tensor dy = gradients[0].contiguous(), dlog_det = gradients[1].contiguous();
    const Tensor bound = changed_of(whole_bound, changed);
    by_rows(x, [&](int64_t at, int64_t n) {
      kernels().couple_backward(dy.const_data_ptr<float>() + at * dims, dlog_det.const_data_ptr<float>() + at,
                                x.const_data_ptr<float>() + at * dims, tanh_scale.const_data_ptr<float>() + at * count,
                                data_or_null(bound), changed, dx.mutable_data_ptr<float>() + at * dims,
                                draw.mutable_data_ptr<float>() + at * 2 * count,
                                bounded ? dbound.mutable_data_ptr<float>() + at * count : nullptr, n, dims);
    });

    variable_list results(kOthers + parameters.size());
    if (bounded) {
      const Tensor gradient = LeafGradients::place(whole_bound, wanted(parameters.size() - 1), results.back());
      if (gradient.defined()) gradient.slice(0, changed, dims, 2).add_(dbound.sum(0));
    }
    // The last layer, of which only what changes was computed.
    const size_t last = layer_count - 1;
    const Tensor factors = rounded(draw);  // of products
    const Tensor dscale = factors.narrow(1, 0, count), dtranslation = factors.narrow(1, count, count);
    if (wanted(2 * last)) {
      const Tensor& leaf = layers[last].weight;
      auto* slot = LeafGradients::at(leaf);
      const Tensor gradient = slot ? slot->memory() : results[kOthers + 2 * last] = at::empty_like(leaf);
      const float beta = slot ? slot->beta() : 0;
      const ChangedRows part(gradient, changed);
      if (beta == 0) {  // of the rows that were not computed the gradient is zero
        const ChangedRows rest(gradient, 1 - changed);
        rest.scale.zero_();
        rest.translation.zero_();
      }
      LinearPass::multiply(dscale.t(), hidden[last], part.scale, 1, beta);
      LinearPass::multiply(dtranslation.t(), hidden[last], part.translation, 1, beta);
    }
    const Tensor bias_gradient =
        LeafGradients::place(layers[last].bias, wanted(2 * last + 1), results[kOthers + 2 * last + 1]);
    if (bias_gradient.defined()) {
      const Tensor sums = draw.sum(0);
      const ChangedRows part(bias_gradient, changed);
      part.scale.add_(sums.narrow(0, 0, count));
      part.translation.add_(sums.narrow(0, count, count));
    }
    const ChangedRows weight(layers[last].weight, changed);
    const Tensor dlast = at::empty(hidden[last].sizes(), x.options());
    LinearPass::multiply(dscale, rounded(weight.scale), dlast);
    LinearPass::multiply(dtranslation, rounded(weight.translation), dlast, 1, 1);
    Tensor dh = rounded(dlast);
    for (size_t i = last; i-- > 0;) {
      LinearPass::Gradients g =
          LinearPass::backward(dh, hidden[i], layers[i].weight, layers[i].bias, hidden[i + 1], Activation::relu,
                               {i > 0 || ctx->needs_input_grad(0), wanted(2 * i), wanted(2 * i + 1)},
                               i > 0 ? hidden[i].scalar_type() : x.scalar_type());
      results[kOthers + 2 * i] = g.weight;
      results[kOthers + 2 * i + 1] = g.bias;
      dh = g.x;
    }
    if (ctx->needs_input_grad(0)) results[0] = dx.addcmul_(dh, mask);
    return results;
  }

 private:
  /// Gradients that have gradients themselves.
  static variable_list differentiable(const Tensor& x, const Tensor& mask, bool bounded, at::ArrayRef<Tensor> of_layers,
                                      at::ArrayRef<Tensor> parameters, const variable_list& gradients) {
    std::vector<Tensor> inputs{x};
    inputs.insert(inputs.end(), parameters.begin(), parameters.end());
    const auto [y, log_det] = plain_coupling(x, mask, bounded ? parameters.back() : Tensor(), layers_of(of_layers));
    const std::vector<Tensor> found = gradients_with_graph({y, log_det}, gradients, inputs);
    variable_list results(kOthers + parameters.size());
    results[0] = found[0];
    std::copy(found.begin() + 1, found.end(), results.begin() + kOthers);
    return results;
  }
};

}  // namespace

Transformed plain_coupling(const Tensor& x, const Tensor& mask, const Tensor& bound,
                           const std::vector<LinearParameters>& layers) {
  Tensor h = mask * x;
  for (const LinearParameters& layer : layers) {
    h = at::linear(h, layer.weight, layer.bias);
    if (&layer != &layers.back()) h = h.relu();
  }
  const auto raw = h.chunk(2, /*dim=*/1);
  const Tensor changed = 1 - mask, bounded = raw[0].tanh();
  const Tensor log_scale = changed * (bound.defined() ? bound * bounded : bounded);
  return {x * log_scale.exp() + changed * raw[1], log_scale.sum(1)};
}

bool fits_fused_coupling(const Tensor& x) {
  return x.is_cpu() && x.scalar_type() == torch::kFloat && x.dim() == 2 && x.numel() > 0 &&
         (!at::autocast::is_autocast_enabled(at::kCPU) || computes_in_bfloat16());
}

Transformed fused_coupling(const Tensor& x, int64_t changed, const Tensor& mask, const Tensor& bound,
                           const std::vector<LinearParameters>& layers) {
  std::vector<Tensor> parameters;
  for (const auto& [weight, bias] : layers) parameters.insert(parameters.end(), {weight, bias});
  if (bound.defined()) parameters.push_back(bound);
  const auto made = FusedCoupling::apply(x.contiguous(), mask, changed, bound.defined(), computes_in_bfloat16(),
                                         at::TensorList(parameters));
  return {made[0], made[1]};
}

}  // namespace genzoo
