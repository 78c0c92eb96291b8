#pragma once
// Matrices in bfloat16: rounding to it, and products whose sums are float32.

#include <torch/types.h>

namespace genzoo {

using torch::Tensor;

/// Whether this processor multiplies bfloat16 matrices faster than float32 ones, with sums in float32: by AMX and the
/// library LibTorch was built with (MKL), or by blocks (has_block_products).
bool has_bfloat16_products();

/// Whether LibTorch's own operators take such products (MKL's, with AMX): its attention and its convolutions are
/// faster in bfloat16 only then.
bool has_library_bfloat16_products();

/// c = alpha a b + beta c, on LibTorch's threads. a (M, K) and b (K, N) bfloat16, each with elements of a row or of a
/// column next to each other; c (M, N) float32 with elements of a row next to each other. Only where
/// has_bfloat16_products().
void multiply_bfloat16(const Tensor& a, const Tensor& b, const Tensor& c, float alpha = 1, float beta = 0);

/// x rounded to bfloat16, contiguous; x itself if it is so already. x float32 or bfloat16 on the CPU, any strides.
Tensor to_bfloat16(const Tensor& x);

}  // namespace genzoo
