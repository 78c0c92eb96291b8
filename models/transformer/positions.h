#pragma once
// How a transformer knows the order of its tokens. Attention alone does not: without positions it is a function of a
// set.
//
// Legend: T positions, C channels (n_embd), H heads, D = C / H channels of a head, B batch.

#include <torch/types.h>

#include <cstdint>
#include <variant>

#include "core/config.h"

namespace genzoo {

using torch::Tensor;

/// A learned vector added to each token's. Radford et al. (2019).
struct LearnedPositions {
  static constexpr const char* kName = "learned";
  void fields(Fields&) {}
};

/// A fixed one. Vaswani et al. (2017), section 3.5.
struct SinusoidalPositions {
  static constexpr const char* kName = "sinusoidal";
  void fields(Fields&) {}
};

/// Angles as they are.
struct UnscaledAngles {
  static constexpr const char* kName = "unscaled";
  void fields(Fields&) {}
};

/// Positions divided by a factor: position interpolation. Chen et al. (2023), https://arxiv.org/abs/2306.15595.
struct LinearAngles {
  static constexpr const char* kName = "linear";
  double factor = 1.0;
  void fields(Fields& f);
};

/// Low frequencies divided by a factor, high ones as they are, those between interpolated: Llama 3.1. Grattafiori et
/// al., The Llama 3 Herd of Models, 2024, https://arxiv.org/abs/2407.21783.
struct Llama3Angles {
  static constexpr const char* kName = "llama3";
  double factor = 8.0;
  double low_frequency_factor = 1.0;   ///< wavelengths above trained_context / this are scaled
  double high_frequency_factor = 4.0;  ///< those below trained_context / this are not
  int64_t trained_context = 8192;
  void fields(Fields& f);
};
using AngleScaling = std::variant<UnscaledAngles, LinearAngles, Llama3Angles>;

/// Queries and keys turned by angles in proportion to the position. Su et al. (2021), https://arxiv.org/abs/2104.09864.
struct RotaryPositions {
  static constexpr const char* kName = "rotary";
  double theta = 10000.0;
  double share = 1.0;
  AngleScaling scaling = {};
  void fields(Fields& f);
};

/// Attention scores lowered in proportion to the distance, by a slope of each head. Press et al. (2022),
/// https://arxiv.org/abs/2108.12409.
struct AlibiPositions {
  static constexpr const char* kName = "alibi";
  double largest_exponent = 8.0;
  void fields(Fields& f);
};
using PositionsConfig = std::variant<LearnedPositions, SinusoidalPositions, RotaryPositions, AlibiPositions>;

/// Of the positions 0 ... T - 1, what the network needs. Fixed tables are computed, not stored: a checkpoint has none.
struct PositionTable {
  Tensor added = {};   ///< (T, C) added to the token embeddings; undefined unless learned or sinusoidal
  Tensor cos = {};     ///< (T, 1, D / 2) of the angles queries and keys are turned by; undefined unless rotary
  Tensor sin = {};     ///< likewise
  Tensor slopes = {};  ///< (H), how much a score is lowered for each token of distance; undefined unless ALiBi
  /// (B) int64, of texts of unequal length: where each begins; what stands before it is no part of it and is not seen.
  /// The tables above have then a text's own positions, (B, T, C) and (B, T, 1, D / 2). Undefined: all begin at 0.
  Tensor begins = {};

  /// The positions first ... first + count - 1 of texts that begin at 0.
  PositionTable slice(int64_t first, int64_t count) const;
  /// The same of texts that begin at `begins`.
  PositionTable slice(int64_t first, int64_t count, const Tensor& begins) const;
};

/// PE(t, 2i) = sin(t / 10000^(2i / C)), PE(t, 2i + 1) = cos(the same): Vaswani et al. (2017), section 3.5. C must be
/// even. (T, C) in the type and on the device of `options`; the angles are computed in double.
Tensor sinusoidal_positions(int64_t count, int64_t channels, const torch::TensorOptions& options);

/// The channels of a head that are turned: the share of D, rounded down; an even number, or config.require says so.
int64_t rotary_channels(const RotaryPositions& config, int64_t head_channels);

/// Angles t / theta^(2i / R) of the R rotary_channels, and none of the other pairs: Su et al. (2021), eq. (15). D and R
/// must be even. Type and device as above.
PositionTable rotary_positions(int64_t count, int64_t head_channels, const torch::TensorOptions& options,
                               const RotaryPositions& config = {});

/// Slopes 2^(-m h / H) of the heads h = 1 ... H, with m the largest_exponent; where H is no power of two, those of the
/// next power of two below, then every other one of the next above: Press et al. (2022), section 3, and their code.
PositionTable alibi_positions(int64_t n_head, const torch::TensorOptions& options, const AlibiPositions& config = {});

/// x (B, T, H, D) with each pair of channels (i, i + D / 2) turned by its position's angle, in x's type: Su et al.
/// (2021), eq. (34), whose pairs are neighbors (2i, 2i + 1); halves are the same up to an order of channels, and
/// faster. x itself when the table has no angles.
Tensor rotate(const Tensor& x, const PositionTable& positions);

}  // namespace genzoo
