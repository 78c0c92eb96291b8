#pragma once
// Products of matrices in bfloat16 block by block, each block finished while it is in cache: biases, activations and
// rounding cost no pass over memory of their own.
//
// In float32 LibTorch's products (MKL's) are faster, for they pack their factors better; with AMX a product is so much
// cheaper than the memory around it that the passes decide.

#include <torch/types.h>

#include <functional>

namespace genzoo {

using torch::Tensor;

/// Whether this processor (AMX) and LibTorch's library have the products below.
bool has_block_products();

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
  /// b (K, N) float32, which is rounded to bfloat16; elements of a row or of a column next to each other, K even. Where
  /// has_block_products().
  explicit PackedFactor(const Tensor& b);

 private:
  friend void multiply_by_blocks(const Tensor& a, const PackedFactor& b, const FinishBlock& finish);
  int64_t depth_, columns_;  ///< K, N
  Tensor blocks_;
};

/// a b for `finish`, with float32 sums: a (M, K) bfloat16, elements of a row next to each other.
///
/// On LibTorch's threads, whose number does not change a bit: every sum runs over k in one order.
void multiply_by_blocks(const Tensor& a, const PackedFactor& b, const FinishBlock& finish);

}  // namespace genzoo
