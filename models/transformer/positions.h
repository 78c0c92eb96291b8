#pragma once
// How a transformer knows the order of its tokens. Attention alone does not: without positions it is a function of a
// set.
//
// Legend: T positions, C channels (n_embd), H heads, D = C / H channels of a head, B batch.

#include <torch/types.h>

#include <cstdint>

namespace genzoo {

using torch::Tensor;

enum class Positions {
  learned,     ///< a learned vector added to each token's. Radford et al. (2019)
  sinusoidal,  ///< a fixed one. Vaswani et al. (2017), section 3.5
  rotary,      ///< queries and keys turned by angles in proportion to the position. Su et al. (2021)
};
inline constexpr const char* kPositionNames[] = {"learned", "sinusoidal", "rotary"};

/// Of the positions 0 ... T - 1, what the network needs. Fixed tables are computed, not stored: a checkpoint has none.
struct PositionTable {
  Tensor added;     ///< (T, C) added to the token embeddings; undefined when rotary
  Tensor cos, sin;  ///< (T, 1, D / 2) of the angles queries and keys are turned by; undefined unless rotary

  /// The positions first ... first + count - 1.
  PositionTable slice(int64_t first, int64_t count) const;
};

/// PE(t, 2i) = sin(t / 10000^(2i / C)), PE(t, 2i + 1) = cos(the same): Vaswani et al. (2017), section 3.5. C must be
/// even. (T, C) in the type and on the device of `options`; the angles are computed in double.
Tensor sinusoidal_positions(int64_t count, int64_t channels, const torch::TensorOptions& options);

/// Angles t / 10000^(2i / D): Su et al. (2021), eq. (15). D must be even. Type and device as above.
PositionTable rotary_positions(int64_t count, int64_t head_channels, const torch::TensorOptions& options);

/// x (B, T, H, D) with each pair of channels (i, i + D / 2) turned by its position's angle, in x's type: Su et al.
/// (2021), eq. (34), whose pairs are neighbors (2i, 2i + 1); halves are the same up to an order of channels, and
/// faster. x itself when the table has no angles.
Tensor rotate(const Tensor& x, const PositionTable& positions);

}  // namespace genzoo
