#include "models/realnvp/fused_coupling.h"

#include <ATen/autocast_mode.h>
#include <torch/autograd.h>
#include <torch/utils.h>

#include <algorithm>

#include "core/bfloat16.h"
#include "core/kernels/kernels.h"
#include "core/workers.h"
#include "models/below_autograd.h"
#include "models/fused_linear.h"
#include "models/gradients_of_gradients.h"
#include "models/leaf_gradients.h"
#include "models/linear_pass.h"

namespace genzoo {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Of the last layer's rows (2 D, ...), or of what belongs to them, the scales' and then the translations' of
/// dimensions first, first + 2, ...: one piece where D is even, for they are evenly spaced then, else two.
std::vector<Tensor> second_rows(const Tensor& whole, int64_t first) {
  const int64_t dims = whole.size(0) / 2;
  if (dims % 2 == 0) return {whole.slice(/*dim=*/0, first, 2 * dims, /*step=*/2)};
  return {whole.slice(0, first, dims, 2), whole.slice(0, dims + first, 2 * dims, 2)};
}

/// f(place in the whole, number) for what second_rows() takes of a vector of 2 D, in order.
template <class F>
void for_second(int64_t dims, int64_t first, const F& f) {
  for (int64_t half = 0, n = 0; half < 2; ++half) {
    for (int64_t i = first; i < dims; i += 2) f(half * dims + i, n++);
  }
}

/// What second_rows() takes of a vector, as one.
Tensor second_of_vector(const Tensor& vector, int64_t first) {
  const Tensor whole = vector.contiguous();
  const int64_t dims = whole.size(0) / 2;
  const Tensor taken = at::empty({2 * ((dims - first + 1) / 2)}, whole.options().requires_grad(false));
  const auto* from = whole.const_data_ptr<float>();
  auto* to = taken.mutable_data_ptr<float>();
  for_second(dims, first, [&](int64_t place, int64_t n) { to[n] = from[place]; });
  return taken;
}

/// Zeros in a matrix with gaps between its rows, or between its columns.
void zero_lines(const Tensor& t) {
  const int64_t dim = t.stride(1) == 1 ? 0 : 1, length = t.size(1 - dim);
  if (t.stride(1 - dim) != 1) {
    t.zero_();
    return;
  }
  auto* line = t.mutable_data_ptr<float>();
  for (int64_t i = 0; i < t.size(dim); ++i) std::fill_n(line + i * t.stride(dim), length, 0.0F);
}

/// Of the first layer's columns those of dimensions first, first + 2, ..., a factor of products without a copy where
/// the elements of a column lie together (see CouplingMLPImpl).
Tensor second_columns(const Tensor& whole, int64_t first) {
  return whole.slice(/*dim=*/1, first, whole.size(1), /*step=*/2);
}
Tensor as_factor(const Tensor& t) { return t.stride(0) == 1 || t.stride(1) == 1 ? t : t.contiguous(); }

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

  /// parameters: weight and bias of each layer, two layers at least, and the bound if there is one. reduced: products
  /// in bfloat16.
  static variable_list forward(AutogradContext* ctx, const Tensor& x, const Tensor& mask, int64_t changed, bool bounded,
                               bool reduced, at::TensorList parameters) {
    const BelowAutograd below;
    const int64_t rows = x.size(0), dims = x.size(1), kept = 1 - changed;
    const auto layers = layers_of(parameters.slice(0, parameters.size() - (bounded ? 1 : 0)));
    const Tensor bound = changed_of(bounded ? parameters.back() : Tensor(), changed);
    const Tensor seen = at::empty({rows, (dims - kept + 1) / 2}, x.options());
    by_rows(x, [&](int64_t at, int64_t n) {
      kernels().take_every_second(x.const_data_ptr<float>() + at * dims, kept,
                                  seen.mutable_data_ptr<float>() + at * seen.size(1), n, dims);
    });
    std::vector<Tensor> hidden{reduced ? to_bfloat16(seen) : seen};
    for (size_t i = 0; i + 1 < layers.size(); ++i) {
      const Tensor y = at::empty({rows, layers[i].weight.size(0)}, hidden.back().options());
      const Tensor weight = i == 0 ? as_factor(second_columns(layers[i].weight, kept)) : layers[i].weight;
      LinearPass::forward(y, hidden.back(), weight, layers[i].bias, Activation::relu, /*with_slope=*/false);
      hidden.push_back(y);
    }
    const int64_t count = (dims - changed + 1) / 2;
    const Tensor raw = at::empty({rows, 2 * count}, x.options());
    const Tensor bias = second_of_vector(layers.back().bias, changed);
    for (int64_t begin = 0; const Tensor& weight : second_rows(layers.back().weight, changed)) {
      const int64_t size = weight.size(0);
      LinearPass::forward(raw.narrow(1, begin, size), hidden.back(), weight, bias.narrow(0, begin, size),
                          Activation::none, /*with_slope=*/false);
      begin += size;
    }
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
    return {y, log_det};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const Saved s(ctx);
    if (at::GradMode::is_enabled()) return differentiable(s, gradients);
    const BelowAutograd below;
    // Of the arguments only tensors have edges: x, mask, parameters; all of them have a place among the results.
    const auto wanted = [&](size_t parameter) { return ctx->needs_input_grad(2 + parameter); };
    const bool wants_x = ctx->needs_input_grad(0);
    variable_list results(kOthers + s.parameters.size());
    const auto result = [&](size_t parameter) -> Tensor& { return results[kOthers + parameter]; };

    const Tensor whole_bound = s.bounded ? s.parameters.back() : Tensor();
    const Affine affine = affine_backward(s, changed_of(whole_bound, s.changed), gradients);
    if (s.bounded) {
      const Tensor gradient = LeafGradients::place(whole_bound, wanted(s.parameters.size() - 1), results.back());
      if (gradient.defined()) gradient.slice(0, s.changed, s.dims(), 2).add_(affine.bound.sum(0));
    }
    const size_t last = s.layers.size() - 1;
    Tensor dh = last_layer_backward(s, affine.raw, wanted(2 * last), wanted(2 * last + 1), result(2 * last),
                                    result(2 * last + 1));
    for (size_t i = last - 1; i > 0; --i) {
      LinearPass::Gradients g =
          LinearPass::backward(dh, s.hidden[i], s.layers[i].weight, s.layers[i].bias, s.hidden[i + 1], Activation::relu,
                               {true, wanted(2 * i), wanted(2 * i + 1)}, s.hidden[i].scalar_type());
      result(2 * i) = g.weight;
      result(2 * i + 1) = g.bias;
      dh = g.x;
    }
    const Tensor dseen = first_layer_backward(s, dh, wants_x, wanted(0), wanted(1), result(0), result(1));
    if (!wants_x) return results;
    by_rows(affine.x, [&](int64_t at, int64_t n) {
      kernels().add_every_second(affine.x.mutable_data_ptr<float>() + at * s.dims(), 1 - s.changed,
                                 dseen.const_data_ptr<float>() + at * dseen.size(1), n, s.dims());
    });
    results[0] = affine.x;
    return results;
  }

 private:
  /// What forward() left.
  struct Saved {
    variable_list all;
    int64_t changed;
    bool bounded;
    size_t count;  ///< of layers
    const Tensor &x, &mask, &tanh_scale;
    at::ArrayRef<Tensor> hidden, parameters;
    std::vector<LinearParameters> layers;

    explicit Saved(AutogradContext* ctx)
        : all(ctx->get_saved_variables()),
          changed(ctx->saved_data["changed"].toInt()),
          bounded(ctx->saved_data["bounded"].toBool()),
          count((all.size() - 3 - (bounded ? 1 : 0)) / 3),  // each has what it takes, a weight and a bias
          x(all[0]),
          mask(all[1]),
          tanh_scale(all[2]),
          hidden(all.data() + 3, count),
          parameters(all.data() + 3 + count, all.size() - 3 - count),
          layers(layers_of(parameters.slice(0, 2 * count))) {}

    int64_t dims() const { return x.size(1); }
    /// A factor of products: rounded if those of forward() were.
    Tensor factor(const Tensor& t) const { return LinearPass::factor(t, hidden[0]); }
  };

  /// Gradients of what the affine map takes.
  struct Affine {
    Tensor x, raw, bound;  ///< (B, D), (B, 2 C), (B, C): the last for each row
  };
  static Affine affine_backward(const Saved& s, const Tensor& bound, const variable_list& gradients) {
    const int64_t rows = s.x.size(0), dims = s.dims(), count = s.tanh_scale.size(1);
    const Tensor dy = gradients[0].contiguous(), dlog_det = gradients[1].contiguous();
    const Affine g{at::empty_like(s.x), at::empty({rows, 2 * count}, s.x.options()),
                   s.bounded ? at::empty({rows, count}, s.x.options()) : Tensor()};
    by_rows(s.x, [&](int64_t at, int64_t n) {
      kernels().couple_backward(dy.const_data_ptr<float>() + at * dims, dlog_det.const_data_ptr<float>() + at,
                                s.x.const_data_ptr<float>() + at * dims,
                                s.tanh_scale.const_data_ptr<float>() + at * count, data_or_null(bound), s.changed,
                                g.x.mutable_data_ptr<float>() + at * dims,
                                g.raw.mutable_data_ptr<float>() + at * 2 * count,
                                s.bounded ? g.bound.mutable_data_ptr<float>() + at * count : nullptr, n, dims);
    });
    return g;
  }

  /// Of the last layer, of which only what changes was computed; returns the gradient of what it takes.
  static Tensor last_layer_backward(const Saved& s, const Tensor& draw, bool wants_weight, bool wants_bias,
                                    Tensor& weight_result, Tensor& bias_result) {
    const auto& [weight, bias] = s.layers.back();
    const Tensor &h = s.hidden.back(), factors = s.factor(draw);
    const auto weights = second_rows(weight, s.changed);
    std::vector<Tensor> parts;  // of the gradient of raw
    for (int64_t begin = 0; const Tensor& w : weights) {
      parts.push_back(factors.narrow(1, begin, w.size(0)));
      begin += w.size(0);
    }
    if (wants_weight) {
      const auto [gradient, beta] = begin_gradient(weight, weight_result);
      if (beta == 0) {  // of the rows that were not computed the gradient is zero
        for (const Tensor& rest : second_rows(gradient, 1 - s.changed)) zero_lines(rest);
      }
      const auto places = second_rows(gradient, s.changed);
      for (size_t i = 0; i < parts.size(); ++i) LinearPass::multiply(parts[i].t(), h, places[i], 1, beta);
    }
    const Tensor bias_gradient = LeafGradients::place(bias, wants_bias, bias_result);
    if (bias_gradient.defined()) {
      const Tensor sums = at::zeros({draw.size(1)}, draw.options());
      LinearPass::before_activation(draw, /*kept=*/{}, sums, Activation::none, torch::kFloat);
      auto* to = bias_gradient.mutable_data_ptr<float>();
      const auto* of_changed = sums.const_data_ptr<float>();
      for_second(s.dims(), s.changed, [&](int64_t place, int64_t n) { to[place] += of_changed[n]; });
    }
    const Tensor dh = at::empty(h.sizes(), draw.options());
    for (size_t i = 0; i < parts.size(); ++i) {
      LinearPass::multiply(parts[i], s.factor(weights[i]), dh, 1, i == 0 ? 0.0F : 1.0F);
    }
    return s.factor(dh);
  }

  /// Of the first layer, which sees only the dimensions that do not change; returns the gradient of these, float32.
  static Tensor first_layer_backward(const Saved& s, const Tensor& dh, bool wants_x, bool wants_weight, bool wants_bias,
                                     Tensor& weight_result, Tensor& bias_result) {
    const auto& [weight, bias] = s.layers.front();
    const Tensor &seen = s.hidden[0], bias_gradient = LeafGradients::place(bias, wants_bias, bias_result);
    const Tensor dz =
        LinearPass::before_activation(dh, s.hidden[1], bias_gradient, Activation::relu, seen.scalar_type());
    if (wants_weight) {
      const auto [gradient, beta] = begin_gradient(weight, weight_result);
      if (beta == 0) zero_lines(second_columns(gradient, s.changed));
      const Tensor place = second_columns(gradient, 1 - s.changed);
      if (place.stride(0) == 1) {
        LinearPass::multiply(seen.t(), dz, place.t(), 1, beta);
      } else {
        const Tensor product = at::empty(place.sizes(), place.options());
        LinearPass::multiply(dz.t(), seen, product);
        if (beta == 0) {
          place.copy_(product);
        } else {
          place.add_(product);
        }
      }
    }
    if (!wants_x) return {};
    const Tensor dseen = at::empty(seen.sizes(), s.x.options());
    LinearPass::Product(dz, as_factor(second_columns(weight, 1 - s.changed)))(dz, dseen);
    return dseen;
  }

  struct Begun {
    Tensor gradient;
    float beta;  ///< what a product is to keep of what is there
  };
  /// The gradient of a leaf: its LeafGradients, or a new tensor in `result`, of which the caller writes every part.
  static Begun begin_gradient(const Tensor& leaf, Tensor& result) {
    if (auto* slot = LeafGradients::at(leaf)) return {slot->memory(), slot->beta()};
    result = at::empty_like(leaf, leaf.options().requires_grad(false));
    return {result, 0.0F};
  }

  /// Gradients that have gradients themselves.
  static variable_list differentiable(const Saved& s, const variable_list& gradients) {
    std::vector<Tensor> inputs{s.x};
    inputs.insert(inputs.end(), s.parameters.begin(), s.parameters.end());
    const auto [y, log_det] = plain_coupling(s.x, s.mask, s.bounded ? s.parameters.back() : Tensor(), s.layers);
    const std::vector<Tensor> found = gradients_with_graph({y, log_det}, gradients, inputs);
    variable_list results(kOthers + s.parameters.size());
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
