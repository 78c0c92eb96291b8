#include "core/matrix_product.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/native/CPUBlas.h>

#include <algorithm>
#include <optional>
#include <string>
#include <type_traits>

#include "core/kernels/kernels.h"
#include "core/recorded_flops.h"
#include "core/workers.h"

namespace genzoo {
namespace {

using c10::BFloat16;

// Blocks whose factors stay in the second-level cache: measured, see docs/diary.md.
constexpr int64_t kColumns = 128, kRows = 128, kFewRows = 32;
// In float32 the pieces are short: sums of pieces are rounded less than one long sum.
template <class T>
constexpr int64_t kDepth = std::is_same_v<T, float> ? 256 : 2048;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// 0 ... n - 1 cut into blocks of at most `largest`. In float32 they are even: a short last one would leave the thread
/// that gets it without work, and registers half empty.
class Blocks final {
 public:
  template <class T>
  static Blocks of(int64_t n, int64_t largest) {
    return {n, largest, std::is_same_v<T, float> ? kLanes : largest};
  }
  /// Few rows leave enough blocks for all threads; a block that is turned first is better large.
  template <class T>
  static Blocks of_rows(int64_t m, bool turned) {
    return of<T>(m, m >= (turned ? 2 : 4) * kRows ? kRows : kFewRows);
  }
  template <class T>
  static Blocks of_columns(int64_t n) {
    return of<T>(n, kColumns);
  }

  int64_t count() const { return count_; }
  int64_t begin(int64_t i) const { return units_ * i / count_ * unit_; }
  int64_t size(int64_t i) const { return std::min(n_, begin(i + 1)) - begin(i); }

 private:
  static constexpr int64_t kLanes = 16;  // of a register: blocks are cut at multiples of it

  Blocks(int64_t n, int64_t largest, int64_t unit)
      : n_(n), unit_(unit), units_(ceil_div(n, unit)), count_(ceil_div(n, largest)) {
    for (int64_t more = count_; more < 2 * count_; ++more) {
      if (units_ % more == 0) {  // some more are all of one size
        count_ = more;
        break;
      }
    }
  }

  int64_t n_, unit_, units_, count_;
};

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
#if defined(__x86_64__) && defined(__GNUC__)
  return __builtin_cpu_is("amd");
#else
  return false;
#endif
}

#ifdef CPUBLAS_BRGEMM_F32F32F32
constexpr bool kHasFloatMicroKernels = true;
#else
constexpr bool kHasFloatMicroKernels = false;  // of a LibTorch without them
#endif

/// c (rows, columns) = a b, or c += a b; rows begin so many elements apart.
void multiply_block(int64_t rows, int64_t columns, int64_t depth, const BFloat16* a, int64_t a_stride,
                    const BFloat16* b, int64_t b_stride, float* c, int64_t c_stride, bool add) {
  at::native::cpublas::brgemm(rows, columns, depth, a_stride, b_stride, c_stride, add, a, b, c, /*is_vnni=*/true);
}
void multiply_block([[maybe_unused]] int64_t rows, [[maybe_unused]] int64_t columns, [[maybe_unused]] int64_t depth,
                    [[maybe_unused]] const float* a, [[maybe_unused]] int64_t a_stride, [[maybe_unused]] const float* b,
                    [[maybe_unused]] int64_t b_stride, [[maybe_unused]] float* c, [[maybe_unused]] int64_t c_stride,
                    [[maybe_unused]] bool add) {
#ifdef CPUBLAS_BRGEMM_F32F32F32
  at::native::cpublas::brgemm(rows, columns, depth, a_stride, b_stride, c_stride, add, a, b, c, /*is_vnni=*/false);
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

/// Memory of one thread for what it turns in the service of `User`: the thread's own, where a little is enough, else
/// taken when it is first used.
template <class T, class User>
class Scratch final {
 public:
  T* of(int64_t size) {
    if (size <= kLittle) {
      alignas(64) static thread_local T little[kLittle];
      return little;
    }
    if (!taken_.defined() || taken_.numel() < size) taken_ = at::empty({size}, c10::CppTypeToScalarType<T>::value);
    return taken_.template mutable_data_ptr<T>();
  }

 private:
  static constexpr int64_t kLittle = int64_t{1} << 14;
  Tensor taken_;
};

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
      block_ = scratch_.of(rows * depth_);
      transpose(a_ + row, stride_, depth_, rows, block_);
      turned_ = row;
    }
    return block_;
  }

 private:
  const T* a_;
  bool by_rows_;
  int64_t depth_, stride_, turned_ = -1;
  T* block_ = nullptr;
  Scratch<T, LeftRows> scratch_;
};

/// b (K, N) float32, whose columns are together in memory: blocks of columns from `column` on as rows `width` apart,
/// turned for this thread's next products.
class TurnedColumns final {
 public:
  explicit TurnedColumns(const Tensor& b) : b_(b.const_data_ptr<float>()), stride_(b.stride(1)), depth_(b.size(0)) {}
  const float* at(int64_t column, int64_t width) {
    if (column != turned_) {
      block_ = scratch_.of(width * depth_);
      transpose(b_ + column * stride_, stride_, width, depth_, block_);
      turned_ = column;
    }
    return block_;
  }

 private:
  const float* b_;
  int64_t stride_, depth_, turned_ = -1;
  float* block_ = nullptr;
  Scratch<float, TurnedColumns> scratch_;
};

/// f(first column, columns) for each block.
template <class F>
void by_blocks(const Blocks& blocks, const F& f) {
  at::parallel_for(0, blocks.count(), 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) f(blocks.begin(i), blocks.size(i));
  });
}

}  // namespace

bool has_block_products(torch::ScalarType type) {
  static const bool has_any = std::string(at::get_cpu_capability()) == "AVX512" && has_micro_kernels();
  static const bool in_bfloat16 = has_any && has_bfloat16_instructions(),
                    in_float32 = has_any && kHasFloatMicroKernels && is_amd();
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
  // Measured: below these LibTorch's own are as fast, or what is transposed costs more than the blocks gain. Its long
  // sums are more exact, so that of narrow products these are left to it.
  constexpr int64_t kMultiplications = int64_t{1} << 16, kNarrowest = 8, kLongSum = 1024;
  const int64_t m = a.size(0), k = a.size(1), n = b.size(1);
  const bool is_large = std::min({m, k, n}) >= kFewRows && m * k * n >= kMultiplications << 4;
  const bool is_worth_it = std::min({m, k, n}) >= kNarrowest && m * k * n >= kMultiplications && k <= kLongSum;
  return (is_large || is_worth_it) && (by_rows(a) || n >= kColumns) && (by_rows(b) || m >= kRows);
}

bool has_few_rows_products() {
  static const bool on_amd = is_amd();
  return on_amd;
}

bool suits_few_rows_product(const Tensor& a, const Tensor& b, const Tensor& c) {
  const auto fits = [](const Tensor& t) { return t.is_cpu() && t.scalar_type() == torch::kFloat && t.dim() == 2; };
  constexpr int64_t kWeights = int64_t{1} << 14;  // of fewer nobody waits long
  return has_few_rows_products() && fits(a) && fits(b) && fits(c) && a.size(0) > 0 &&
         a.size(0) <= Kernels::kRowsAtOnce && b.numel() >= kWeights && a.is_contiguous() && b.t().is_contiguous() &&
         c.stride(1) == 1;
}

void multiply_few_rows(const Tensor& a, const Tensor& b, const Tensor& c) {
  const int64_t rows = a.size(0), in = b.size(0), out = b.size(1);
  const auto* x = a.const_data_ptr<float>();
  const auto* weights = b.const_data_ptr<float>();
  auto* y = c.mutable_data_ptr<float>();
  constexpr int64_t kLine = 16;  // values of a cache line of c: no two threads share one
  recorded("genzoo::product", 2.0 * static_cast<double>(a.numel()) * static_cast<double>(out), [&] {
    for_ranges(/*workers=*/nullptr, out * in, kLine * in, [&](int64_t begin, int64_t end) {
      const int64_t first = begin / in;
      kernels().product_float32(weights + begin,
                                {x, rows, in, y + first, c.stride(0), (end - begin) / in, /*bias=*/nullptr});
    });
  });
}

PackedFactor::PackedFactor(const Tensor& b, torch::ScalarType type) : type_(type) {
  TORCH_CHECK(has_block_products(type) && b.dim() == 2 &&
                  (b.scalar_type() == torch::kFloat || b.scalar_type() == type) &&
                  (b.stride(0) == 1 || b.stride(1) == 1),
              "the right factor of a product by blocks in ", type, ": ", b.scalar_type(), " ", b.sizes(),
              " with strides ", b.strides());
  if (type == torch::kFloat) {
    depth_ = b.size(0), columns_ = b.size(1);
    blocks_ = b;
    if (by_rows(b)) stride_ = std::max(b.stride(0), columns_);  // of one row it may be anything
  } else {
    pack_bfloat16(even_depth(b, /*dim=*/0));
  }
}

void PackedFactor::pack_bfloat16(const Tensor& b) {
  depth_ = b.size(0), columns_ = b.size(1);
  blocks_ = at::empty({b.numel()}, b.options().dtype(torch::kBFloat16).requires_grad(false));
  auto* out = blocks_.mutable_data_ptr<BFloat16>();
  const auto pack = [&](const auto* w, auto from_rows, auto from_columns) {
    by_blocks(Blocks::of_columns<BFloat16>(columns_), [&](int64_t column, int64_t width) {
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
void PackedFactor::multiply_as(const Tensor& a, const Sums& to) const {
  const int64_t m = a.size(0), k = depth_, n = columns_;
  const Blocks by_row = Blocks::of_rows<T>(m, !by_rows(a)), by_column = Blocks::of_columns<T>(n);
  // The sums over k in pieces of the same size, which is even.
  const int64_t pieces = std::max<int64_t>(1, ceil_div(k, kDepth<T>));
  const int64_t depth = ceil_div(ceil_div(k, pieces), 32) * 32;
  const auto* right = blocks_.const_data_ptr<T>();
  const bool packed = stride_ == 0;
  // What is turned is turned once, and else the larger factor read once.
  const bool turns_columns = std::is_same_v<T, float> && packed, by_columns = turns_columns || (n > m && by_rows(a));
  const int64_t blocks = by_row.count() * by_column.count();
  constexpr int64_t kWorthAThread = int64_t{1} << 18;  // multiplications: what threads wait for each other is less
  const int64_t grain = std::max<int64_t>(1, ceil_div(kWorthAThread * blocks, std::max<int64_t>(1, m * n * k)));
  at::parallel_for(0, blocks, grain, [&](int64_t first, int64_t last) {
    alignas(64) static thread_local float sums[kRows * kColumns];
    if (k == 0) std::fill(std::begin(sums), std::end(sums), 0.0F);
    LeftRows<T> left(a);
    std::optional<TurnedColumns> turned;
    if (turns_columns) turned.emplace(blocks_);
    for (int64_t block = first; block < last; ++block) {
      const int64_t i = by_columns ? block % by_row.count() : block / by_column.count();
      const int64_t j = by_columns ? block / by_row.count() : block % by_column.count();
      const int64_t row = by_row.begin(i), height = by_row.size(i);
      const int64_t column = by_column.begin(j), width = by_column.size(j);
      const T* const from = left.at(row, height);
      float* const c = to.finish ? sums : to.whole + row * to.stride + column;
      const int64_t stride = to.finish ? width : to.stride;
      const T* block_of_b = right + column * (packed ? k : 1);
      if constexpr (std::is_same_v<T, float>) {
        if (turned) block_of_b = turned->at(column, width);
      }
      const int64_t b_stride = packed ? width : stride_;
      for (int64_t at = 0; at < k; at += depth) {
        multiply_block(height, width, std::min(depth, k - at), from + at, left.stride(), block_of_b + at * b_stride,
                       b_stride, c, stride, /*add=*/at > 0);
      }
      if (to.finish) to.finish({sums, width, row, height, column, width});
    }
    at::native::cpublas::brgemm_release(std::is_same_v<T, BFloat16>);  // of this thread's tiles
  });
}

void PackedFactor::multiply(const Tensor& a, const Sums& to) const {
  const bool reduced = type_ == torch::kBFloat16;
  TORCH_CHECK(a.dim() == 2 && (a.stride(0) == 1 || a.stride(1) == 1) && a.scalar_type() == type_ &&
                  a.size(1) + (reduced ? a.size(1) % 2 : 0) == depth_,
              "a product by blocks of ", a.scalar_type(), " ", a.sizes(), " with strides ", a.strides(), " and ", type_,
              " ", depth_, " x ", columns_);
  const double multiplications = static_cast<double>(a.numel()) * static_cast<double>(columns_);
  recorded("genzoo::product", 2 * multiplications, [&] {
    if (reduced) {
      multiply_as<BFloat16>(even_depth(a, /*dim=*/1), to);
    } else {
      multiply_as<float>(a, to);
    }
  });
}

void multiply_by_blocks(const Tensor& a, const PackedFactor& b, const FinishBlock& finish) { b.multiply(a, {finish}); }

void multiply_by_blocks(const Tensor& a, const PackedFactor& b, const Tensor& c) {
  TORCH_CHECK(c.scalar_type() == torch::kFloat && c.dim() == 2 && (c.stride(1) == 1 || c.size(1) == 1) &&
                  c.size(0) == a.size(0) && c.size(1) == b.columns_,
              "a product by blocks of ", a.sizes(), " and ", b.depth_, " x ", b.columns_, " into ", c.scalar_type(),
              " ", c.sizes(), " with strides ", c.strides());
  if (b.depth_ == 0) {
    c.zero_();
  } else {
    // Of one row the stride between rows may be anything.
    b.multiply(a, {nullptr, c.mutable_data_ptr<float>(), std::max(c.stride(0), c.size(1))});
  }
}

void multiply_by_blocks(const Tensor& a, const Tensor& b, const Tensor& c, float alpha, float beta) {
  const PackedFactor factor(b, a.scalar_type());
  if (alpha == 1 && beta == 0) {
    multiply_by_blocks(a, factor, c);
    return;
  }
  auto* out = c.mutable_data_ptr<float>();
  const int64_t stride = c.stride(0);
  multiply_by_blocks(a, factor, [&](const Block& block) {
    kernels().combine(out + block.row * stride + block.column, stride, block.sums, block.stride, alpha, beta,
                      block.rows, block.columns);
  });
}

}  // namespace genzoo
