#include "models/linear_pass.h"

#include <ATen/ATen.h>
#include <torch/utils.h>

#include "core/bfloat16.h"
#include "core/kernels/kernels.h"
#include "core/matrix_product.h"
#include "core/workers.h"
#include "models/leaf_gradients.h"

namespace genzoo {
namespace {

using c10::BFloat16;

/// f(first column, columns) over the columns of a matrix, in parts that no two threads share a cache line of.
template <class F>
void by_columns(const Tensor& matrix, const F& f) {
  const int64_t rows = matrix.size(0), columns = matrix.size(1);
  constexpr int64_t kLine = 32;  // values of a cache line, at least
  // for_ranges judges by elements whether a second thread is worth it.
  for_ranges(/*workers=*/nullptr, rows * columns, rows * kLine,
             [&](int64_t begin, int64_t end) { f(begin / rows, (end - begin) / rows); });
}

bool is_reduced(const Tensor& t) { return t.scalar_type() == torch::kBFloat16; }

template <class T>
T* at_or_null(const Tensor& t, int64_t at) {
  return t.defined() ? t.mutable_data_ptr<T>() + at : nullptr;
}

/// A block of sums, `stride` apart, with bias and activation into the same place of y, and their slopes into that of
/// `slope`, unless it is undefined.
void finish(const Tensor& y, const Tensor& slope, const Tensor& bias, Activation activation, const Block& block) {
  const int64_t at = block.row * y.stride(0) + block.column, stride = y.stride(0);
  const auto* b = at_or_null<float>(bias, block.column);
  const auto run = [&](auto* out, auto* slopes, auto plain, auto relu, auto gelu) {
    if (activation == Activation::relu) {
      relu(out, stride, block.sums, block.stride, b, block.rows, block.columns);
    } else if (activation == Activation::gelu) {
      gelu(out, slopes, stride, block.sums, block.stride, b, block.rows, block.columns);
    } else {
      plain(out, stride, block.sums, block.stride, b, block.rows, block.columns);
    }
  };
  const Kernels& k = kernels();
  if (is_reduced(y)) {
    run(at_or_null<BFloat16>(y, at), at_or_null<BFloat16>(slope, at), k.bias_16, k.bias_relu_16, k.bias_gelu_16);
  } else {
    run(at_or_null<float>(y, at), at_or_null<float>(slope, at), k.bias, k.bias_relu, k.bias_gelu);
  }
}

}  // namespace

Tensor LinearPass::before_activation(const Tensor& dy, const Tensor& kept, const Tensor& bias_gradient,
                                     Activation activation, torch::ScalarType type) {
  const int64_t rows = dy.size(0), stride = dy.size(1);
  const bool round = type == torch::kBFloat16 && !is_reduced(dy);
  if (activation == Activation::none && !round) {
    if (!bias_gradient.defined()) return dy;
    by_columns(dy, [&](int64_t at, int64_t n) {
      auto* sums = at_or_null<float>(bias_gradient, at);
      if (is_reduced(dy)) {
        kernels().add_columns_16(sums, at_or_null<BFloat16>(dy, at), stride, rows, n);
      } else {
        kernels().add_columns(sums, at_or_null<float>(dy, at), stride, rows, n);
      }
    });
    return dy;
  }
  const Tensor dz = at::empty(dy.sizes(), dy.options().dtype(type));
  const bool relu = activation == Activation::relu;
  by_columns(dy, [&](int64_t at, int64_t n) {
    auto* sums = at_or_null<float>(bias_gradient, at);
    if (round) {
      kernels().round_columns_16(at_or_null<BFloat16>(dz, at), at_or_null<float>(dy, at), sums, stride, rows, n);
    } else if (is_reduced(dy)) {
      const auto loop = relu ? kernels().relu_backward_16 : kernels().slope_backward_16;
      loop(at_or_null<BFloat16>(dz, at), at_or_null<BFloat16>(dy, at), at_or_null<BFloat16>(kept, at), sums, stride,
           rows, n);
    } else {
      const auto loop = relu ? kernels().relu_backward : kernels().slope_backward;
      loop(at_or_null<float>(dz, at), at_or_null<float>(dy, at), at_or_null<float>(kept, at), sums, stride, rows, n);
    }
  });
  return dz;
}

void LinearPass::multiply(const Tensor& a, const Tensor& b, const Tensor& c, float alpha, float beta) {
  if (is_reduced(a)) {
    multiply_bfloat16(a, b, c, alpha, beta);
  } else if (suits_block_product(a, b) && c.stride(1) == 1) {
    multiply_by_blocks(a, b, c, alpha, beta);
  } else if (alpha == 1 && beta == 0 && suits_few_rows_product(a, b, c)) {
    multiply_few_rows(a, b, c);
  } else if (alpha == 1 && beta == 0) {
    Tensor product = c;
    at::mm_out(product, a, b);
  } else {
    Tensor sum = c;
    at::addmm_out(sum, c, a, b, beta, alpha);
  }
}

Tensor LinearPass::rows_of(const Tensor& x, bool reduced) {
  const Tensor rows = x.reshape({-1, x.size(-1)});
  return reduced ? to_bfloat16(rows) : rows.contiguous();
}

Tensor LinearPass::factor(const Tensor& t, const Tensor& rows) { return is_reduced(rows) ? to_bfloat16(t) : t; }

Tensor LinearPass::add_product(const Tensor& leaf, const Tensor& a, const Tensor& b, float alpha) {
  if (auto* slot = LeafGradients::at(leaf); slot && slot->memory().is_contiguous()) {
    multiply(a, b, slot->memory(), alpha, slot->beta());
    return {};
  }
  Tensor gradient = at::empty(leaf.sizes(), leaf.options().requires_grad(false));
  multiply(a, b, gradient, alpha);
  return gradient;
}

LinearPass::Product::Product(const Tensor& rows, const Tensor& w) {
  if (is_reduced(rows) && has_block_products() && w.numel() > 0 && w.size(0) % 2 == 0) {
    packed_.emplace(w);
  } else if (suits_block_product(rows, w)) {
    packed_.emplace(w, torch::kFloat);
  } else {
    w_ = factor(w, rows);
  }
}

void LinearPass::Product::finished(const Tensor& x, const Tensor& y, const Tensor& slope, const Tensor& bias,
                                   Activation activation) const {
  const bool as_they_are = !bias.defined() && activation == Activation::none && !is_reduced(y) && y.stride(1) == 1;
  if (packed_ && as_they_are) {
    multiply_by_blocks(x, *packed_, y);
    return;
  }
  if (packed_) {
    multiply_by_blocks(x, *packed_, [&](const Block& block) { finish(y, slope, bias, activation, block); });
    return;
  }
  const Tensor z = is_reduced(y) ? at::empty(y.sizes(), y.options().dtype(torch::kFloat)) : y;
  multiply(x, w_, z);
  if (as_they_are) return;
  by_columns(z, [&](int64_t at, int64_t n) {
    finish(y, slope, bias, activation, {at_or_null<float>(z, at), z.stride(0), 0, z.size(0), at, n});
  });
}

Tensor LinearPass::forward(const Tensor& y, const Tensor& x, const Tensor& weight, const Tensor& bias,
                           Activation activation, bool with_slope) {
  const Tensor slope = with_slope && activation == Activation::gelu ? at::empty_like(y) : Tensor();
  Product(x, weight.t()).finished(x, y, slope, bias, activation);
  return slope;
}

LinearPass::Gradients LinearPass::backward(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& bias,
                                           const Tensor& kept, Activation activation, Wanted wanted,
                                           torch::ScalarType x_type) {
  Gradients g;
  const Tensor bias_gradient = LeafGradients::place(bias, wanted.bias, g.bias);
  const Tensor dz = before_activation(dy, kept, bias_gradient, activation, x.scalar_type());
  if (wanted.weight) g.weight = add_product(weight, dz.t(), x);
  if (wanted.x) {
    g.x = at::empty(x.sizes(), x.options().dtype(x_type));
    Product(dz, weight)(dz, g.x);
  }
  return g;
}

}  // namespace genzoo
