#include "models/vae/networks.h"

#include <fmt/format.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/linear.h>

#include "core/error.h"
#include "models/layers.h"

namespace genzoo {
namespace {

using torch::nn::Flatten;
using torch::nn::ReLU;
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

Sequential encoder(const VAEMLPConfig& config, const DataSpec& data, int64_t outputs, Rng& init) {
  Sequential net(Flatten{});
  int64_t width = data.dims();
  for (const int64_t hidden : config.hidden) {
    net->push_back(Linear(width, hidden, init));
    net->push_back(ReLU());
    width = hidden;
  }
  net->push_back(Linear(width, outputs, init));
  return net;
}

Sequential decoder(const VAEMLPConfig& config, const DataSpec& data, int64_t latent_dim, int64_t maps, Rng& init) {
  Sequential net;
  int64_t width = latent_dim;
  for (auto hidden = config.hidden.rbegin(); hidden != config.hidden.rend(); ++hidden) {
    net->push_back(Linear(width, *hidden, init));
    net->push_back(ReLU());
    width = *hidden;
  }
  net->push_back(Linear(width, maps * data.dims(), init));
  std::vector<int64_t> shape = data.shape;
  shape.front() *= maps;
  net->push_back(Unflatten(UnflattenOptions(1, shape)));
  return net;
}

Sequential encoder(const VAEConvConfig& config, const DataSpec& data, int64_t outputs, Rng& init) {
  const std::vector<Stage> stages = stages_of(config, data);
  Sequential net;
  for (const Stage& stage : stages) {
    net->push_back(Conv2d(stage.in, stage.out, stage.geometry(), init));
    net->push_back(ReLU());
  }
  net->push_back(Flatten());
  net->push_back(Linear(c10::multiply_integers(features_of(stages)), config.hidden, init));
  net->push_back(ReLU());
  net->push_back(Linear(config.hidden, outputs, init));
  return net;
}

Sequential decoder(const VAEConvConfig& config, const DataSpec& data, int64_t latent_dim, int64_t maps, Rng& init) {
  const std::vector<Stage> stages = stages_of(config, data);
  const std::vector<int64_t> features = features_of(stages);
  Sequential net(Linear(latent_dim, config.hidden, init), ReLU(),
                 Linear(config.hidden, c10::multiply_integers(features), init), ReLU(),
                 Unflatten(UnflattenOptions(1, features)));
  for (auto stage = stages.rbegin(); stage != stages.rend(); ++stage) {
    const bool last = stage + 1 == stages.rend();
    const int64_t out = last ? maps * stage->in : stage->in;
    net->push_back(ConvTranspose2d(stage->out, out, stage->geometry(), init));
    if (!last) net->push_back(ReLU());
  }
  return net;
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
