#include "models/linear_pass.h"

#include <ATen/ATen.h>
#include <torch/utils.h>

#include "core/kernels/kernels.h"
#include "core/workers.h"

namespace genzoo {
namespace {

thread_local bool in_place = false;

/// f(first column, columns) over the columns of a matrix, in parts that no two threads share a cache line of.
template <class F>
void by_columns(const Tensor& matrix, const F& f) {
  const int64_t rows = matrix.size(0), columns = matrix.size(1);
  constexpr int64_t kLine = 16;  // floats of a cache line
  // for_ranges judges by elements whether a second thread is worth it.
  for_ranges(/*workers=*/nullptr, rows * columns, rows * kLine,
             [&](int64_t begin, int64_t end) { f(begin / rows, (end - begin) / rows); });
}

const float* data_or_null(const Tensor& t) { return t.defined() ? t.const_data_ptr<float>() : nullptr; }

/// Applies bias and activation to z in place. Returns what the backward pass needs besides: the slopes of GELU.
Tensor activate(const Tensor& z, const Tensor& bias, Activation activation, bool with_slope) {
  auto* out = z.mutable_data_ptr<float>();
  const float* b = data_or_null(bias);
  const int64_t rows = z.size(0), stride = z.size(1);
  if (activation == Activation::relu && b) {
    by_columns(z, [&](int64_t at, int64_t n) { kernels().bias_relu(out + at, stride, b + at, rows, n); });
  } else if (activation == Activation::gelu) {
    const Tensor slope = with_slope ? at::empty_like(z) : Tensor();
    auto* slopes = with_slope ? slope.mutable_data_ptr<float>() : nullptr;
    by_columns(z, [&](int64_t at, int64_t n) {
      kernels().bias_gelu(out + at, slopes ? slopes + at : nullptr, stride, b ? b + at : nullptr, rows, n);
    });
    return slope;
  } else {
    if (b) z.add_(bias);
    if (activation == Activation::relu) z.relu_();
  }
  return {};
}

}  // namespace

GradientsInPlace::GradientsInPlace() : before_(in_place) { in_place = true; }
GradientsInPlace::~GradientsInPlace() { in_place = before_; }
bool GradientsInPlace::active() { return in_place; }

bool LinearPass::takes_in_place(const Tensor& leaf) {
  return in_place && leaf.is_leaf() && leaf.grad().defined() && leaf.grad().is_contiguous();
}

Tensor LinearPass::forward(Tensor y, const Tensor& x, const Tensor& weight, const Tensor& bias, Activation activation,
                           bool with_slope) {
  if (activation == Activation::none && bias.defined()) {
    at::addmm_out(y, bias, x, weight.t());
    return {};
  }
  at::mm_out(y, x, weight.t());
  return activate(y, bias, activation, with_slope);
}

Tensor LinearPass::before_activation(const Tensor& dy, const Tensor& kept, const Tensor& bias_gradient,
                                     Activation activation) {
  auto* db = bias_gradient.defined() ? bias_gradient.mutable_data_ptr<float>() : nullptr;
  const int64_t rows = dy.size(0), stride = dy.size(1);
  const auto* d = dy.const_data_ptr<float>();
  if (activation == Activation::none) {
    if (db) by_columns(dy, [&](int64_t at, int64_t n) { kernels().add_columns(db + at, d + at, stride, rows, n); });
    return dy;
  }
  Tensor dz = at::empty_like(dy);
  auto* out = dz.mutable_data_ptr<float>();
  const auto* saved = kept.const_data_ptr<float>();
  const auto loop = activation == Activation::relu ? kernels().relu_backward : kernels().slope_backward;
  by_columns(
      dy, [&](int64_t at, int64_t n) { loop(out + at, d + at, saved + at, db ? db + at : nullptr, stride, rows, n); });
  return dz;
}

LinearPass::Gradients LinearPass::backward(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& bias,
                                           const Tensor& kept, Activation activation, Wanted wanted) {
  Gradients g;
  const bool bias_in_place = wanted.bias && takes_in_place(bias);
  if (wanted.bias) g.bias = bias_in_place ? bias.grad() : at::zeros_like(bias);
  const Tensor dz = before_activation(dy, kept, g.bias, activation);
  if (bias_in_place) g.bias = Tensor();
  if (wanted.x) g.x = at::mm(dz, weight);
  if (wanted.weight && takes_in_place(weight)) {
    Tensor sum = weight.grad();
    sum.addmm_(dz.t(), x);
  } else if (wanted.weight) {
    g.weight = at::mm(dz.t(), x);
  }
  return g;
}

}  // namespace genzoo
