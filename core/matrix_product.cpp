#include "core/matrix_product.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/native/CPUBlas.h>

#include <algorithm>
#include <string>

#include "core/bfloat16.h"
#include "core/kernels/kernels.h"

namespace genzoo {
namespace {

using c10::BFloat16;

// Blocks whose factors stay in the second-level cache: measured, see docs/diary.md.
constexpr int64_t kColumns = 128, kDepth = 2048, kRows = 128, kFewRows = 32;

int64_t rows_of_block(int64_t m) { return m >= 4 * kRows ? kRows : kFewRows; }
int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

bool has_block_products() {
  // The products are LibTorch's own micro-kernels (oneDNN's), which its attention uses.
  static const bool has = std::string(at::get_cpu_capability()) == "AVX512" && has_bfloat16_products() &&
                          at::native::cpublas::could_pack(torch::kBFloat16);
  return has;
}

PackedFactor::PackedFactor(const Tensor& b) : depth_(b.size(0)), columns_(b.size(1)) {
  TORCH_CHECK(has_block_products() && b.dim() == 2 && b.scalar_type() == torch::kFloat &&
                  (b.stride(0) == 1 || b.stride(1) == 1) && depth_ % 2 == 0,
              "the right factor of a product by blocks: ", b.sizes(), " with strides ", b.strides());
  blocks_ = at::empty({b.numel()}, b.options().dtype(torch::kBFloat16).requires_grad(false));
  const auto* w = b.const_data_ptr<float>();
  auto* out = blocks_.mutable_data_ptr<BFloat16>();
  const bool by_rows = b.stride(1) == 1;
  at::parallel_for(0, ceil_div(columns_, kColumns), 1, [&](int64_t first, int64_t last) {
    for (int64_t column = first * kColumns; column < std::min(columns_, last * kColumns); column += kColumns) {
      const int64_t width = std::min(kColumns, columns_ - column);
      if (by_rows) {
        kernels().pack_rows_16(w + column, b.stride(0), depth_, width, out + column * depth_);
      } else {
        kernels().pack_transposed_16(w + column * b.stride(1), b.stride(1), width, depth_, out + column * depth_);
      }
    }
  });
}

void multiply_by_blocks(const Tensor& a, const PackedFactor& b, const FinishBlock& finish) {
  const int64_t m = a.size(0), k = b.depth_, n = b.columns_, stride = a.stride(0);
  TORCH_CHECK(a.dim() == 2 && a.size(1) == k && a.stride(1) == 1 && a.scalar_type() == torch::kBFloat16,
              "a product by blocks of ", a.sizes(), " and ", k, " x ", n);
  const int64_t rows = rows_of_block(m);
  const int64_t row_blocks = ceil_div(m, rows), column_blocks = ceil_div(n, kColumns);
  // The sums over k in pieces of the same size, which is even.
  const int64_t pieces = std::max<int64_t>(1, ceil_div(k, kDepth));
  const int64_t depth = ceil_div(ceil_div(k, pieces), 32) * 32;
  const auto* left = a.const_data_ptr<BFloat16>();
  const auto* right = b.blocks_.const_data_ptr<BFloat16>();
  const bool by_columns = n > m;  // the larger factor is read once
  at::parallel_for(0, row_blocks * column_blocks, 1, [&](int64_t first, int64_t last) {
    alignas(64) static thread_local float sums[kRows * kColumns];
    for (int64_t block = first; block < last; ++block) {
      const int64_t i = by_columns ? block % row_blocks : block / column_blocks;
      const int64_t j = by_columns ? block / row_blocks : block % column_blocks;
      const int64_t row = i * rows, height = std::min(rows, m - row);
      const int64_t column = j * kColumns, width = std::min(kColumns, n - column);
      for (int64_t at = 0; at < k; at += depth) {
        at::native::cpublas::brgemm(height, width, std::min(depth, k - at), stride, width, width, /*add_C=*/at > 0,
                                    left + row * stride + at, right + column * k + at * width, sums,
                                    /*is_vnni=*/true);
      }
      finish({sums, width, row, height, column, width});
    }
    at::native::cpublas::brgemm_release(/*is_vnni=*/true);  // of this thread's tiles
  });
}

}  // namespace genzoo
