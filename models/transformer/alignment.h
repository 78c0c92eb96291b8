#pragma once
// Texts of unequal length, moved to end at the same place.

#include <torch/types.h>

#include <cstdint>

namespace genzoo {

/// Rows that end at the same place, and where each begins.
struct Aligned {
  torch::Tensor tokens;  ///< (B, T) int64
  torch::Tensor begins;  ///< (B) int64
};

/// x (B, T), each row up to and with its first end token moved to the right. What stands before its begin is no part of
/// the text.
Aligned align_ends(const torch::Tensor& x, int64_t end_token);

}  // namespace genzoo
