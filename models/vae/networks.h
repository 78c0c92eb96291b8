#pragma once
// The encoder and decoder networks of a VAE: plain stacks of layers.
//
// Legend: B batch, C channels, H rows, W columns, D dimensions of one example.

#include <torch/nn/modules/container/sequential.h>

#include <cstdint>
#include <variant>
#include <vector>

#include "core/config.h"
#include "core/random.h"
#include "data/dataset.h"

namespace genzoo {

/// Fully connected layers with ReLU; an image is its list of pixels.
struct VAEMLPConfig {
  static constexpr const char* kName = "mlp";
  std::vector<int64_t> hidden{512, 512};

  void fields(Fields& f) {
    f("hidden", hidden, "widths of the encoder's hidden layers, first to last; the decoder has them in reverse",
      positive);
  }
};

/// Strided convolutions with ReLU and one fully connected layer beside the latent.
struct VAEConvConfig {
  static constexpr const char* kName = "conv";
  std::vector<int64_t> channels{32, 64};
  int64_t hidden = 256;

  void fields(Fields& f) {
    f("channels", channels,
      "channels of the encoder's stages, first to last; the decoder has them in reverse. A stage halves the image as "
      "long as both its sides are even, and keeps its size from then on",
      positive);
    f("hidden", hidden, "width of the fully connected layer between the stages and the latent", positive);
    f.require(!channels.empty(), "channels", "'channels' must name at least one stage");
  }
};

using VAENetworkConfig = std::variant<VAEMLPConfig, VAEConvConfig>;

/// (B, C, H, W) or (B, D) -> (B, outputs). Throws UsageError when such data cannot pass through such a network.
torch::nn::Sequential make_vae_encoder(const VAENetworkConfig& config, const DataSpec& data, int64_t outputs,
                                       Rng& init);

/// (B, latent_dim) -> (B, maps C, H, W) or (B, maps D): `maps` numbers for each dimension of an example, those of the
/// first number before those of the second.
torch::nn::Sequential make_vae_decoder(const VAENetworkConfig& config, const DataSpec& data, int64_t latent_dim,
                                       int64_t maps, Rng& init);

}  // namespace genzoo
