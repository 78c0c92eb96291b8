// Tiny VAEs and data that the tests of the family share.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "models/vae/vae.h"

namespace genzoo::tiny_vae {

inline DataSpec images(std::vector<int64_t> shape, int64_t levels) {
  DataSpec data;
  data.kind = DataKind::images;
  data.shape = std::move(shape);
  data.levels = levels;
  return data;
}

inline DataSpec vectors(int64_t dims) {
  DataSpec data;
  data.shape = {dims};
  return data;
}

inline DataSpec whole_numbers(int64_t dims, int64_t levels) {
  DataSpec data = vectors(dims);
  data.levels = levels;
  return data;
}

inline VAEConfig tiny_mlp(VAELikelihood likelihood) {
  return {.latent_dim = 2, .network = VAEMLPConfig{.hidden = {6}}, .likelihood = likelihood};
}

inline VAEConfig tiny_conv(VAELikelihood likelihood) {
  return {.latent_dim = 3, .network = VAEConvConfig{.channels = {4, 6}, .hidden = 8}, .likelihood = likelihood};
}

/// In double, its weights scaled up so that neither posterior nor likelihood is near to constant.
inline VAE make(const VAEConfig& config, const DataSpec& data, double scale = 1.5) {
  Rng init = Rng::for_batch(0, Purpose::initialization, 0);
  VAE model(config, data, init);
  model->to(torch::kDouble);
  const torch::NoGradGuard no_grad;
  for (Tensor& p : model->parameters()) p.mul_(scale);
  return model;
}

inline Rng noise(uint64_t step = 0) { return Rng::for_batch(0, Purpose::loss, step); }

inline Tensor random_examples(int64_t n, const DataSpec& data) {
  std::vector<int64_t> size = data.shape;
  size.insert(size.begin(), n);
  Rng rng = Rng::for_batch(3, Purpose::synthetic_data, 0);
  if (data.levels == 0) return rng.normal(size);
  return rng.integers(data.levels, size).to(data.kind == DataKind::images ? torch::kByte : torch::kFloat);
}

struct Setting {
  std::string name;
  VAEConfig config;
  DataSpec data;
};

/// Every likelihood on data with a latent of two dimensions and few examples or a grid of them.
inline std::vector<Setting> small_settings() {
  return {{"bernoulli", tiny_mlp(VAELikelihood::bernoulli), images({1, 2, 2}, 2)},
          {"discretized logistic", tiny_mlp(VAELikelihood::discretized_logistic), images({1, 1, 2}, 5)},
          {"gaussian images", tiny_mlp(VAELikelihood::gaussian), images({1, 1, 2}, 5)},
          {"bernoulli vectors", tiny_mlp(VAELikelihood::bernoulli), whole_numbers(3, 2)},
          {"discretized logistic vectors", tiny_mlp(VAELikelihood::discretized_logistic), whole_numbers(2, 3)},
          {"gaussian vectors", tiny_mlp(VAELikelihood::gaussian), vectors(2)}};
}

/// Every network with every likelihood it can have.
inline std::vector<Setting> all_settings() {
  std::vector<Setting> settings = small_settings();
  for (const auto likelihood :
       {VAELikelihood::bernoulli, VAELikelihood::gaussian, VAELikelihood::discretized_logistic}) {
    settings.push_back({fmt::format("conv {}", kVAELikelihoodNames[static_cast<size_t>(likelihood)]),
                        tiny_conv(likelihood), images({3, 10, 10}, 256)});
  }
  return settings;
}

}  // namespace genzoo::tiny_vae
