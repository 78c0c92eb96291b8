#pragma once
// Products of matrices block by block, each block finished while it is in cache: biases, activations and rounding cost
// no pass over memory of their own.
//
// The blocks are computed by micro-kernels that LibTorch's library (oneDNN) assembles for the processor. In bfloat16
// they are the fastest there are wherever the processor has instructions for it. In float32 Intel's library (MKL) is
// faster on Intel's processors, and slower on AMD's, where it leaves an eighth of the processor's speed unused.

#include <torch/types.h>

#include <functional>

namespace genzoo {

using torch::Tensor;

/// Whether this processor and LibTorch's library have the products below in `type`, and nothing else is faster:
/// bfloat16 (AMX, or AVX-512 with BF16: Cooper Lake, Zen 4), float32 (AMD with AVX-512).
bool has_block_products(torch::ScalarType type = torch::kBFloat16);

/// Whether the product of a (M, K) and b (K, N), both float32, is faster by blocks: where has_block_products(float32),
/// and the product is large enough to repay what has to be transposed for it.
bool suits_block_product(const Tensor& a, const Tensor& b);

/// Whether this is a processor of AMD, where MKL reads the weights of a float32 product of few rows by one thread
/// alone.
bool has_few_rows_products();

/// Whether c = a b, a few rows (M, K) with a weight's transpose (K, N), all float32, is faster by multiply_few_rows:
/// where has_few_rows_products().
bool suits_few_rows_product(const Tensor& a, const Tensor& b, const Tensor& c);

/// That product, as fast as the weights are read. The number of threads does not change a bit.
void multiply_few_rows(const Tensor& a, const Tensor& b, const Tensor& c);

/// What becomes of a block of a product: `sums`, rows of `columns` values that begin `stride` apart, are the product's
/// from row `row` and column `column` on. Called once for each block, by several threads.
struct Block {
  float* sums;
  int64_t stride;
  int64_t row, rows;
  int64_t column, columns;
};
using FinishBlock = std::function<void(const Block&)>;

/// The right factor of products, in the order in which the processor's instructions read it.
class PackedFactor final {
 public:
  /// b (K, N) float32 or bfloat16, elements of a row or of a column next to each other; for products in `type`, float32
  /// or bfloat16, to which b is rounded. An even K is spared a copy in bfloat16; in float32 b itself is used, its
  /// columns turned by whoever multiplies with them, and must not change before the products. Where
  /// has_block_products(type).
  explicit PackedFactor(const Tensor& b, torch::ScalarType type = torch::kBFloat16);

 private:
  friend void multiply_by_blocks(const Tensor& a, const PackedFactor& b, const FinishBlock& finish);
  friend void multiply_by_blocks(const Tensor& a, const PackedFactor& b, const Tensor& c);
  /// Where sums go: block by block to `finish`, or, if that is empty, as they are to rows `stride` apart.
  struct Sums {
    FinishBlock finish;
    float* whole = nullptr;
    int64_t stride = 0;
  };
  void multiply(const Tensor& a, const Sums& to) const;
  template <class T>
  void multiply_as(const Tensor& a, const Sums& to) const;
  void pack_bfloat16(const Tensor& b);

  torch::ScalarType type_;
  int64_t depth_, columns_;  ///< K, even in bfloat16, and N
  Tensor blocks_;            ///< in bfloat16 blocks of columns one after another, in float32 b
  int64_t stride_ = 0;       ///< of rows that are read as they are; 0: of none
};

/// a b for `finish`, with float32 sums: a (M, K) of b's type, elements of a row or of a column next to each other.
///
/// On LibTorch's threads, whose number does not change a bit: every sum runs over k in one order.
void multiply_by_blocks(const Tensor& a, const PackedFactor& b, const FinishBlock& finish);

/// c = a b: c (M, N) float32 with elements of a row next to each other, where the sums are formed at once.
void multiply_by_blocks(const Tensor& a, const PackedFactor& b, const Tensor& c);

/// c = alpha a b + beta c by blocks: a (M, K) and b (K, N) of one type, c (M, N) float32 with elements of a row next to
/// each other.
void multiply_by_blocks(const Tensor& a, const Tensor& b, const Tensor& c, float alpha, float beta);

}  // namespace genzoo
