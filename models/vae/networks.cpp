#include "models/vae/networks.h"

#include <fmt/format.h>
#include <torch/nn/modules/linear.h>

#include <string>
#include <utility>

#include "core/error.h"
#include "models/layers.h"

namespace genzoo {
namespace {

using torch::nn::Flatten;
using torch::nn::Sequential;
using torch::nn::Unflatten;
using torch::nn::UnflattenOptions;

/// One stage of the convolutional encoder; the decoder's counterpart undoes its change of size.
struct Stage {
  int64_t in, out;        // channels
  int64_t rows, columns;  // of its input
  bool halves;

  ConvGeometry geometry() const {
    return halves ? ConvGeometry{.kernel = 4, .stride = 2, .padding = 1} : ConvGeometry{.kernel = 3, .padding = 1};
  }
};

std::vector<Stage> stages_of(const VAEConvConfig& config, const DataSpec& data) {
  if (data.kind != DataKind::images) {
    throw UsageError(fmt::format(
        "models/vae: network 'conv' got {}; convolutions take images; set model.vae.network to mlp", data.describe()));
  }
  std::vector<Stage> stages;
  int64_t channels = data.shape[0], rows = data.shape[1], columns = data.shape[2];
  for (const int64_t out : config.channels) {
    const bool halves = rows % 2 == 0 && columns % 2 == 0;
    stages.push_back({channels, out, rows, columns, halves});
    channels = out;
    if (halves) rows /= 2, columns /= 2;
  }
  return stages;
}

/// Channels, rows and columns after the last stage.
std::vector<int64_t> features_of(const std::vector<Stage>& stages) {
  const Stage& last = stages.back();
  const int64_t factor = last.halves ? 2 : 1;
  return {last.out, last.rows / factor, last.columns / factor};
}

/// A Sequential whose layers are numbered as if activations were layers of their own: the names that files have.
class Numbered final {
 public:
  template <class Layer>
  void add(Layer layer) {
    net_->push_back(std::to_string(next_++), std::move(layer));
  }
  /// A layer that ends with its activation.
  template <class Layer>
  void add_activated(Layer layer) {
    add(std::move(layer));
    ++next_;
  }
  Sequential net() const { return net_; }

 private:
  Sequential net_;
  int64_t next_ = 0;
};

Linear relu_linear(int64_t in, int64_t out, Rng& init) {
  return Linear(in, out, init, /*with_bias=*/true, Activation::relu);
}

Sequential encoder(const VAEMLPConfig& config, const DataSpec& data, int64_t outputs, Rng& init) {
  Numbered layers;
  layers.add(Flatten());
  int64_t width = data.dims();
  for (const int64_t hidden : config.hidden) {
    layers.add_activated(relu_linear(width, hidden, init));
    width = hidden;
  }
  layers.add(Linear(width, outputs, init));
  return layers.net();
}

Sequential decoder(const VAEMLPConfig& config, const DataSpec& data, int64_t latent_dim, int64_t maps, Rng& init) {
  Numbered layers;
  int64_t width = latent_dim;
  for (auto hidden = config.hidden.rbegin(); hidden != config.hidden.rend(); ++hidden) {
    layers.add_activated(relu_linear(width, *hidden, init));
    width = *hidden;
  }
  layers.add(Linear(width, maps * data.dims(), init));
  std::vector<int64_t> shape = data.shape;
  shape.front() *= maps;
  layers.add(Unflatten(UnflattenOptions(1, shape)));
  return layers.net();
}

Sequential encoder(const VAEConvConfig& config, const DataSpec& data, int64_t outputs, Rng& init) {
  const std::vector<Stage> stages = stages_of(config, data);
  Numbered layers;
  for (const Stage& stage : stages) {
    layers.add_activated(Conv2d(stage.in, stage.out, stage.geometry(), init, Leaky::relu()));
  }
  layers.add(Flatten());
  layers.add_activated(relu_linear(c10::multiply_integers(features_of(stages)), config.hidden, init));
  layers.add(Linear(config.hidden, outputs, init));
  return layers.net();
}

Sequential decoder(const VAEConvConfig& config, const DataSpec& data, int64_t latent_dim, int64_t maps, Rng& init) {
  const std::vector<Stage> stages = stages_of(config, data);
  const std::vector<int64_t> features = features_of(stages);
  Numbered layers;
  layers.add_activated(relu_linear(latent_dim, config.hidden, init));
  layers.add_activated(relu_linear(config.hidden, c10::multiply_integers(features), init));
  layers.add(Unflatten(UnflattenOptions(1, features)));
  for (auto stage = stages.rbegin(); stage != stages.rend(); ++stage) {
    if (stage + 1 == stages.rend()) {
      layers.add(ConvTranspose2d(stage->out, maps * stage->in, stage->geometry(), init));
    } else {
      layers.add_activated(ConvTranspose2d(stage->out, stage->in, stage->geometry(), init, Leaky::relu()));
    }
  }
  return layers.net();
}

}  // namespace

Sequential make_vae_encoder(const VAENetworkConfig& config, const DataSpec& data, int64_t outputs, Rng& init) {
  return std::visit([&](const auto& network) { return encoder(network, data, outputs, init); }, config);
}

Sequential make_vae_decoder(const VAENetworkConfig& config, const DataSpec& data, int64_t latent_dim, int64_t maps,
                            Rng& init) {
  return std::visit([&](const auto& network) { return decoder(network, data, latent_dim, maps, init); }, config);
}

}  // namespace genzoo
