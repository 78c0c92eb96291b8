#include "core/bfloat16.h"

#include <ATen/ATen.h>
#include <dlfcn.h>

#include "core/kernels/kernels.h"
#include "core/matrix_product.h"
#include "core/recorded_flops.h"
#include "core/workers.h"

namespace genzoo {
namespace {

// MKL's cblas_gemm_bf16bf16f32, which LibTorch exports where it was built with MKL, but has no header for.
using Gemm = void (*)(int layout, int transpose_a, int transpose_b, int m, int n, int k, float alpha, const void* a,
                      int lda, const void* b, int ldb, float beta, float* c, int ldc);
constexpr int kRowMajor = 101, kNoTranspose = 111, kTranspose = 112;  // CBLAS

// Without AMX it is no faster than a product in float32.
Gemm find_gemm() {
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
  if (!__builtin_cpu_supports("amx-bf16") || !at::hasMKL()) return nullptr;
  return reinterpret_cast<Gemm>(dlsym(RTLD_DEFAULT, "cblas_gemm_bf16bf16f32"));
#else
  return nullptr;
#endif
}

Gemm gemm() {
  static const Gemm found = find_gemm();
  return found;
}

struct Operand {
  int transpose;
  int stride;
};

/// Rows one after another, or columns.
Operand operand(const Tensor& t) {
  TORCH_CHECK(t.dim() == 2 && t.scalar_type() == torch::kBFloat16 && (t.stride(0) == 1 || t.stride(1) == 1),
              "a matrix in bfloat16 whose rows or columns are contiguous, not ", t.sizes(), " with strides ",
              t.strides());
  // Of one row the stride between rows may be anything.
  if (t.stride(1) == 1) return {kNoTranspose, static_cast<int>(std::max(t.stride(0), t.size(1)))};
  return {kTranspose, static_cast<int>(std::max(t.stride(1), t.size(0)))};
}

}  // namespace

bool has_library_bfloat16_products() { return gemm() != nullptr; }

bool has_bfloat16_products() { return gemm() || has_block_products(); }

void multiply_bfloat16(const Tensor& a, const Tensor& b, const Tensor& c, float alpha, float beta) {
  TORCH_CHECK(has_bfloat16_products(), "this processor has no products of bfloat16 matrices");
  TORCH_CHECK(c.scalar_type() == torch::kFloat && c.stride(1) == 1 && a.size(0) == c.size(0) &&
                  b.size(1) == c.size(1) && a.size(1) == b.size(0),
              "a product of ", a.sizes(), " and ", b.sizes(), " into ", c.sizes());
  const Operand left = operand(a), right = operand(b);
  if (!gemm()) {
    multiply_by_blocks(a, b, c, alpha, beta);
    return;
  }
  const double multiplications = static_cast<double>(a.numel()) * static_cast<double>(b.size(1));
  recorded("genzoo::product", 2 * multiplications, [&] {
    gemm()(kRowMajor, left.transpose, right.transpose, static_cast<int>(c.size(0)), static_cast<int>(c.size(1)),
           static_cast<int>(a.size(1)), alpha, a.const_data_ptr(), left.stride, b.const_data_ptr(), right.stride, beta,
           c.mutable_data_ptr<float>(), static_cast<int>(std::max(c.stride(0), c.size(1))));
  });
}

Tensor to_bfloat16(const Tensor& x) {
  if (x.scalar_type() == torch::kBFloat16) return x.contiguous();
  const Tensor rounded = at::empty(x.sizes(), x.options().dtype(torch::kBFloat16));
  auto* out = rounded.mutable_data_ptr<at::BFloat16>();
  const auto* in = x.const_data_ptr<float>();
  constexpr int64_t kLine = 64;
  if (x.is_contiguous()) {
    for_ranges(nullptr, x.numel(), kLine,
               [&](int64_t begin, int64_t end) { kernels().to_bfloat16(out + begin, in + begin, end - begin); });
  } else if (x.dim() == 2 && x.stride(1) == 1) {
    const int64_t columns = x.size(1), stride = x.stride(0);
    for_ranges(nullptr, x.numel(), columns, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin / columns; row < end / columns; ++row) {
        kernels().to_bfloat16(out + row * columns, in + row * stride, columns);
      }
    });
  } else {
    return x.to(torch::kBFloat16).contiguous();
  }
  return rounded;
}

}  // namespace genzoo
