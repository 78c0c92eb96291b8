#pragma once
// Transformer of images: pixels in raster order as tokens, each predicted from those before it,
//
//   log P(x) = sum over t of log P(x_t | x_1 ... x_{t-1}),
//
// each factor a softmax over all levels of a pixel (van den Oord et al., Pixel Recurrent Neural Networks, 2016, section
// 3.3, https://arxiv.org/abs/1601.06759). The network is the language model's, after
//   Chen et al., Generative Pretraining from Pixels, 2020 (Image GPT)
// with position embeddings of rows, columns and channels, as in
//   Parmar et al., Image Transformer, 2018, https://arxiv.org/abs/1802.05751.
//
// The channels of a pixel follow each other (R, G, B of the first pixel, then of the second), so each is predicted from
// those before it too. Token t of the input is the value of t - 1, of the first a start token; its position is that of
// the value it predicts.
//
// Legend: B batch, D = H W K values of an image (H rows, W columns, K channels), V levels, C channels of the network.

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>

#include "core/config.h"
#include "core/random.h"
#include "data/dataset.h"
#include "models/layers.h"
#include "models/model.h"
#include "models/transformer/block.h"

namespace genzoo {

struct PixelTransformerConfig {
  static constexpr const char* kName = "pixel_transformer";

  int64_t n_layer = 2;
  int64_t n_head = 2;
  int64_t n_embd = 64;
  double dropout = 0.0;
  bool recompute = false;

  void fields(Fields& f) {
    f("n_layer", n_layer, "blocks of attention and MLP", positive);
    f("n_head", n_head, "attention heads", positive);
    f("n_embd", n_embd, "channels of the residual stream; a multiple of n_head", positive);
    f("dropout", dropout,
      "share of embeddings, attention weights and residual updates set to zero in training; above 0 attention's memory "
      "grows with the square of the pixels",
      fraction);
    f("recompute", recompute, kRecomputeDoc);
    f.require(n_head > 0 && n_embd % n_head == 0, "n_embd", "'n_embd' must be a multiple of 'n_head'");
  }
};

/// The model of images. Only loss() in training mode applies dropout; everything else is the same in both modes.
class PixelTransformerImpl final : public torch::nn::Module {
 public:
  using Config = PixelTransformerConfig;
  static constexpr const char* kDoc = "decoder-only transformer of images, pixel after pixel, as Image GPT";
  static constexpr const char* kPaper = "van den Oord et al., 2016, arXiv:1601.06759; Chen et al., 2020";
  static constexpr bool kSamplesHaveTemperature = true;

  /// Throws UsageError if the data are not images.
  PixelTransformerImpl(const PixelTransformerConfig& config, const DataSpec& data, Rng& init);

  /// Logits of every value given those before it in raster order: x (B, K, H, W) uint8 -> (B, D, V), at least float32.
  Tensor forward(const Tensor& x);

  /// Mean of -log P(x) over the batch, nats per example; term bits_per_dim.
  Loss loss(const Batch& batch, Rng& rng, int64_t step);

  /// log P(x), the probability mass of the stored pixels, exact: x (B, K, H, W) uint8 -> (B), nats. k and rng have no
  /// part in it.
  Tensor log_prob(const Tensor& x, int64_t k, Rng& rng);
  LikelihoodClaim likelihood() const;

  /// Draws n images value by value, keys and values of earlier ones cached: (n, K, H, W) uint8. Image i comes from the
  /// stream of row i when `rng` has row streams. The temperature divides the logits.
  Tensor sample(int64_t n, Rng& rng, const SampleOptions& options);

 private:
  /// Draws images by the uniform numbers u (n, D), double, on the CPU, into `values` (n, D) int64.
  void draw(const Tensor& u, double temperature, const PositionTable& positions, const Tensor& values);
  Tensor values(const Tensor& x) const;                         ///< (B, K, H, W) -> (B, D) int64 in the model's order
  Tensor images(const Tensor& values) const;                    ///< (B, D) -> (B, K, H, W) uint8
  PositionTable position_table() const;                         ///< of D values
  Tensor logits(const Tensor& values, const Dropout& dropout);  ///< (B, D) -> (B, D, V), at least float32
  Tensor negative_log_prob(const Tensor& logits, const Tensor& values) const;  ///< (B, D, V), (B, D) -> (B, D), nats

  PixelTransformerConfig config_;
  DataSpec data_;
  Embedding token_embedding_;  ///< of V levels and the start token, the last
  Embedding row_embedding_, column_embedding_;
  Embedding channel_embedding_;  ///< of color images only
  BlockStack blocks_;
  Linear head_;  ///< C -> V: the start token is never predicted
};
TORCH_MODULE(PixelTransformer);

static_assert(HasLoss<PixelTransformerImpl> && HasLogProb<PixelTransformerImpl> && HasSample<PixelTransformerImpl>);
static_assert(!HasTokenLogProb<PixelTransformerImpl> && !HasGenerate<PixelTransformerImpl>, "an image is no text");
static_assert(!HasEncode<PixelTransformerImpl> && !HasDecode<PixelTransformerImpl>, "pixels have no latent space");

}  // namespace genzoo
