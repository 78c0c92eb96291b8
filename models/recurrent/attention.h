#pragma once
// Attention of a decoder over what an encoder told of each source token: a mean of it, weighted by how well each fits
// the decoder's state.
//
// Legend: B sources, S their tokens, T steps of the decoder, H hidden.

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "core/random.h"
#include "models/layers.h"

namespace genzoo {

/// What is attended to.
struct Annotations {
  Tensor values;  ///< (B, S, H), what the encoder told of each token
  Tensor keys;    ///< (B, S, H), the same made ready to be compared with states
  Tensor absent;  ///< (B, S) bool: behind the source's end, where nothing may be seen

  Annotations of(const Tensor& rows) const;  ///< those of the sources rows (N)
};

/// Additive: the score of token j is v^T tanh(W s + U h_j). Bahdanau et al. (2015), https://arxiv.org/abs/1409.0473,
/// appendix A.1.2.
class AdditiveAttentionImpl final : public torch::nn::Module {
 public:
  AdditiveAttentionImpl(int64_t hidden, Rng& init);
  Annotations annotate(const Tensor& values, const Tensor& absent);
  /// States s (B, T, H) -> the weighted means (B, T, H).
  Tensor forward(const Tensor& states, const Annotations& annotations);

 private:
  Linear query_;  ///< W
  Linear key_;    ///< U, with the only bias
  Tensor score_;  ///< v (H)
};
TORCH_MODULE(AdditiveAttention);

/// Multiplicative: the score of token j is s^T W h_j. Luong et al. (2015), https://arxiv.org/abs/1508.04025, eq. (8),
/// "general".
class GeneralAttentionImpl final : public torch::nn::Module {
 public:
  GeneralAttentionImpl(int64_t hidden, Rng& init);
  Annotations annotate(const Tensor& values, const Tensor& absent);
  Tensor forward(const Tensor& states, const Annotations& annotations);  ///< (B, T, H) -> (B, T, H)

 private:
  Linear key_;  ///< W
};
TORCH_MODULE(GeneralAttention);

}  // namespace genzoo
