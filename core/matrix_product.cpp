#include "core/matrix_product.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/native/CPUBlas.h>

#include <algorithm>
#include <string>
#include <type_traits>

#include "core/kernels/kernels.h"
#include "core/recorded_flops.h"

namespace genzoo {
namespace {

using c10::BFloat16;

// Blocks whose factors stay in the second-level cache: measured, see docs/diary.md.
constexpr int64_t kColumns = 128, kRows = 128, kFewRows = 32;
// In float32 the pieces are short: sums of pieces are rounded less than one long sum.
template <class T>
constexpr int64_t kDepth = std::is_same_v<T, float> ? 256 : 2048;

/// Few rows leave enough blocks for all threads; a block that is turned first is better large.
int64_t rows_of_block(int64_t m, bool turned) { return m >= (turned ? 2 : 4) * kRows ? kRows : kFewRows; }
int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Whether LibTorch's micro-kernels (oneDNN's, which its attention uses) are there: how they were built and for which
/// processors differs between releases, and only the attempt tells.
bool has_micro_kernels() {
  alignas(64) const BFloat16 ones[2] = {1.0F, 1.0F};
  alignas(64) float sum[1] = {0};
  try {
    at::native::cpublas::brgemm(1, 1, 2, 2, 1, 1, /*add_C=*/false, ones, ones, sum, /*is_vnni=*/true);
    at::native::cpublas::brgemm_release(/*is_vnni=*/true);
  } catch (const c10::Error&) {
    return false;
  }
  return sum[0] == 2;
}

bool has_bfloat16_instructions() {
#if defined(__x86_64__) && defined(__GNUC__)
  return __builtin_cpu_supports("avx512bf16");  // so has every processor with AMX
#else
  return false;
#endif
}

bool is_amd() {
#if defined(__x86_64__) && defined(__GNUC__) && defined(CPUBLAS_BRGEMM_F32F32F32)
  return __builtin_cpu_is("amd");
#else
  return false;  // or a LibTorch without these micro-kernels
#endif
}

/// c (rows, columns) = a b, or c += a b; c's rows begin `columns` apart, those of b so many elements.
void multiply_block(int64_t rows, int64_t columns, int64_t depth, const BFloat16* a, int64_t a_stride,
                    const BFloat16* b, int64_t b_stride, float* c, bool add) {
  at::native::cpublas::brgemm(rows, columns, depth, a_stride, b_stride, columns, add, a, b, c, /*is_vnni=*/true);
}
void multiply_block([[maybe_unused]] int64_t rows, [[maybe_unused]] int64_t columns, [[maybe_unused]] int64_t depth,
                    [[maybe_unused]] const float* a, [[maybe_unused]] int64_t a_stride, [[maybe_unused]] const float* b,
                    [[maybe_unused]] int64_t b_stride, [[maybe_unused]] float* c, [[maybe_unused]] bool add) {
#ifdef CPUBLAS_BRGEMM_F32F32F32
  at::native::cpublas::brgemm(rows, columns, depth, a_stride, b_stride, columns, add, a, b, c, /*is_vnni=*/false);
#else
  TORCH_INTERNAL_ASSERT(false, "a product by blocks that has_block_products() denied");
#endif
}

void transpose(const BFloat16* w, int64_t stride, int64_t rows, int64_t columns, BFloat16* out) {
  kernels().transpose_16(w, stride, rows, columns, out);
}
void transpose(const float* w, int64_t stride, int64_t rows, int64_t columns, float* out) {
  kernels().transpose(w, stride, rows, columns, out);
}

bool by_rows(const Tensor& t) { return t.stride(1) == 1; }

/// A row of zeros more where the depth is odd: products take rows two at a time.
Tensor even_depth(const Tensor& t, int64_t dim) {
  if (t.size(dim) % 2 == 0) return t;
  return at::constant_pad_nd(t, dim == 0 ? at::IntArrayRef{0, 0, 0, 1} : at::IntArrayRef{0, 1}).contiguous();
}

/// a (M, K), of which rows from `row` on are wanted contiguous: as they are, or turned from columns, once for all
/// products with them.
template <class T>
class LeftRows final {
 public:
  explicit LeftRows(const Tensor& a) : a_(a.const_data_ptr<T>()), by_rows_(by_rows(a)), depth_(a.size(1)) {
    // Of one row the stride between rows may be anything.
    stride_ = by_rows_ ? std::max(a.stride(0), depth_) : a.stride(1);
  }
  int64_t stride() const { return by_rows_ ? stride_ : depth_; }
  const T* at(int64_t row, int64_t rows) {
    if (by_rows_) return a_ + row * stride_;
    if (row != turned_) {
      if (!block_.defined()) block_ = at::empty({rows * depth_}, c10::CppTypeToScalarType<T>::value);
      transpose(a_ + row, stride_, depth_, rows, block_.template mutable_data_ptr<T>());
      turned_ = row;
    }
    return block_.template const_data_ptr<T>();
  }

 private:
  const T* a_;
  bool by_rows_;
  int64_t depth_, stride_, turned_ = -1;
  Tensor block_;
};

/// f(first column, columns) for each block of columns.
template <class F>
void by_blocks_of_columns(int64_t columns, const F& f) {
  at::parallel_for(0, ceil_div(columns, kColumns), 1, [&](int64_t first, int64_t last) {
    for (int64_t column = first * kColumns; column < std::min(columns, last * kColumns); column += kColumns) {
      f(column, std::min(kColumns, columns - column));
    }
  });
}

}  // namespace

bool has_block_products(torch::ScalarType type) {
  static const bool has_any = std::string(at::get_cpu_capability()) == "AVX512" && has_micro_kernels();
  static const bool in_bfloat16 = has_any && has_bfloat16_instructions(), in_float32 = has_any && is_amd();
  return type == torch::kBFloat16 ? in_bfloat16 : type == torch::kFloat && in_float32;
}

bool suits_block_product(const Tensor& a, const Tensor& b) {
  // Rows or columns one behind the other: none that is expanded.
  const auto apart = [](const Tensor& t, int64_t dim) {
    return t.stride(1 - dim) == 1 && (t.size(dim) < 2 || t.stride(dim) >= t.size(1 - dim));
  };
  const auto fits = [&](const Tensor& t) {
    return t.is_cpu() && t.scalar_type() == torch::kFloat && t.dim() == 2 && (apart(t, 0) || apart(t, 1));
  };
  if (!has_block_products(torch::kFloat) || !fits(a) || !fits(b)) return false;
  // Measured: below these LibTorch's own are as fast, or what is transposed costs more than the blocks gain.
  constexpr int64_t kMultiplications = int64_t{1} << 20;
  const int64_t m = a.size(0), k = a.size(1), n = b.size(1);
  return std::min({m, k, n}) >= kFewRows && m * k * n >= kMultiplications && (by_rows(a) || n >= kColumns) &&
         (by_rows(b) || m >= kRows);
}

PackedFactor::PackedFactor(const Tensor& b, torch::ScalarType type) : type_(type) {
  TORCH_CHECK(has_block_products(type) && b.dim() == 2 &&
                  (b.scalar_type() == torch::kFloat || b.scalar_type() == type) &&
                  (b.stride(0) == 1 || b.stride(1) == 1),
              "the right factor of a product by blocks in ", type, ": ", b.scalar_type(), " ", b.sizes(),
              " with strides ", b.strides());
  if (type == torch::kFloat) {
    pack_float32(b);
  } else {
    pack_bfloat16(even_depth(b, /*dim=*/0));
  }
}

void PackedFactor::pack_float32(const Tensor& b) {
  depth_ = b.size(0), columns_ = b.size(1);
  if (by_rows(b)) {
    blocks_ = b.detach();
    stride_ = std::max(b.stride(0), columns_);  // of one row it may be anything
    return;
  }
  blocks_ = at::empty({b.numel()}, b.options().requires_grad(false));
  const auto* w = b.const_data_ptr<float>();
  auto* out = blocks_.mutable_data_ptr<float>();
  by_blocks_of_columns(columns_, [&](int64_t column, int64_t width) {
    kernels().transpose(w + column * b.stride(1), b.stride(1), width, depth_, out + column * depth_);
  });
}

void PackedFactor::pack_bfloat16(const Tensor& b) {
  depth_ = b.size(0), columns_ = b.size(1);
  blocks_ = at::empty({b.numel()}, b.options().dtype(torch::kBFloat16).requires_grad(false));
  auto* out = blocks_.mutable_data_ptr<BFloat16>();
  const auto pack = [&](const auto* w, auto from_rows, auto from_columns) {
    by_blocks_of_columns(columns_, [&](int64_t column, int64_t width) {
      if (by_rows(b)) {
        from_rows(w + column, b.stride(0), depth_, width, out + column * depth_);
      } else {
        from_columns(w + column * b.stride(1), b.stride(1), width, depth_, out + column * depth_);
      }
    });
  };
  if (b.scalar_type() == torch::kFloat) {
    pack(b.const_data_ptr<float>(), kernels().pack_rows_16, kernels().pack_transposed_16);
  } else {
    pack(b.const_data_ptr<BFloat16>(), kernels().repack_rows_16, kernels().repack_transposed_16);
  }
}

template <class T>
void multiply_by_blocks_of(const Tensor& a, const PackedFactor& b, const FinishBlock& finish) {
  const int64_t m = a.size(0), k = b.depth_, n = b.columns_;
  const int64_t rows = rows_of_block(m, !by_rows(a));
  const int64_t row_blocks = ceil_div(m, rows), column_blocks = ceil_div(n, kColumns);
  // The sums over k in pieces of the same size, which is even.
  const int64_t pieces = std::max<int64_t>(1, ceil_div(k, kDepth<T>));
  const int64_t depth = ceil_div(ceil_div(k, pieces), 32) * 32;
  const auto* right = b.blocks_.const_data_ptr<T>();
  const bool by_columns = n > m && by_rows(a);  // the larger factor is read once, what is turned is turned once
  at::parallel_for(0, row_blocks * column_blocks, 1, [&](int64_t first, int64_t last) {
    alignas(64) static thread_local float sums[kRows * kColumns];
    if (k == 0) std::fill(std::begin(sums), std::end(sums), 0.0F);
    LeftRows<T> left(a);
    for (int64_t block = first; block < last; ++block) {
      const int64_t i = by_columns ? block % row_blocks : block / column_blocks;
      const int64_t j = by_columns ? block / row_blocks : block % column_blocks;
      const int64_t row = i * rows, height = std::min(rows, m - row);
      const int64_t column = j * kColumns, width = std::min(kColumns, n - column);
      const T* const from = left.at(row, height);
      for (int64_t at = 0; at < k; at += depth) {
        const bool packed = b.stride_ == 0;
        const T* const factor = packed ? right + column * k + at * width : right + at * b.stride_ + column;
        multiply_block(height, width, std::min(depth, k - at), from + at, left.stride(), factor,
                       packed ? width : b.stride_, sums, /*add=*/at > 0);
      }
      finish({sums, width, row, height, column, width});
    }
    at::native::cpublas::brgemm_release(std::is_same_v<T, BFloat16>);  // of this thread's tiles
  });
}

void multiply_by_blocks(const Tensor& a, const PackedFactor& b, const FinishBlock& finish) {
  const bool reduced = b.type_ == torch::kBFloat16;
  TORCH_CHECK(a.dim() == 2 && (a.stride(0) == 1 || a.stride(1) == 1) && a.scalar_type() == b.type_ &&
                  a.size(1) + (reduced ? a.size(1) % 2 : 0) == b.depth_,
              "a product by blocks of ", a.scalar_type(), " ", a.sizes(), " with strides ", a.strides(), " and ",
              b.type_, " ", b.depth_, " x ", b.columns_);
  const double multiplications = static_cast<double>(a.numel()) * static_cast<double>(b.columns_);
  recorded("genzoo::product", 2 * multiplications, [&] {
    if (reduced) {
      multiply_by_blocks_of<BFloat16>(even_depth(a, /*dim=*/1), b, finish);
    } else {
      multiply_by_blocks_of<float>(a, b, finish);
    }
  });
}

void multiply_by_blocks(const Tensor& a, const Tensor& b, const Tensor& c, float alpha, float beta) {
  auto* out = c.mutable_data_ptr<float>();
  const int64_t stride = c.stride(0);
  multiply_by_blocks(a, PackedFactor(b, a.scalar_type()), [&](const Block& block) {
    kernels().combine(out + block.row * stride + block.column, stride, block.sums, block.stride, alpha, beta,
                      block.rows, block.columns);
  });
}

}  // namespace genzoo
