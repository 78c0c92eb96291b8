// Small flows away from their initial values, and data for them, that the tests of the family share.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "models/realnvp/realnvp.h"
#include "tests/support.h"

namespace genzoo::small_flow {

inline Rng stream(uint64_t seed) { return Rng::for_batch(seed, Purpose::initialization, /*step=*/0); }

inline Tensor doubles(at::IntArrayRef size, uint64_t seed) { return stream(seed).normal(size).to(torch::kDouble); }

inline DataSpec vectors(int64_t dims) {
  DataSpec spec;
  spec.dataset = "points";
  spec.kind = DataKind::vectors;
  spec.shape = {dims};
  return spec;
}

inline DataSpec whole_numbers(int64_t dims, int64_t levels) {
  DataSpec spec = vectors(dims);
  spec.levels = levels;
  return spec;
}

inline DataSpec images(std::vector<int64_t> shape, int64_t levels = 256) {
  DataSpec spec;
  spec.dataset = "pictures";
  spec.kind = DataKind::images;
  spec.shape = std::move(shape);
  spec.levels = levels;
  return spec;
}

/// Random, non-trivial parameters and statistics: at its initial values a flow is too simple to tell right from wrong.
inline void perturb(torch::nn::Module& module, double size, uint64_t seed) {
  const torch::NoGradGuard no_grad;
  Rng rng = stream(seed);
  for (Tensor& parameter : module.parameters()) parameter.add_(size * rng.normal_like(parameter));
  for (auto& buffer : module.named_buffers()) {
    const std::string& name = buffer.key();
    const auto is = [&](const std::string& last) {
      return name.size() >= last.size() && name.compare(name.size() - last.size(), last.size(), last) == 0;
    };
    if (is("mean") || is("log_std")) buffer.value().add_(size * rng.normal_like(buffer.value()));
    if (is("running_var")) buffer.value().mul_((size * rng.normal_like(buffer.value())).exp());
    if (is("initialized")) buffer.value().fill_(1);
  }
}

/// A model in double precision and eval mode, away from its initial values.
inline RealNVP perturbed(const RealNVPConfig& config, const DataSpec& spec, double size = 0.3) {
  Rng init = stream(1);
  RealNVP model(config, spec, init);
  model->to(torch::kDouble);
  perturb(*model, size, /*seed=*/2);
  model->eval();
  return model;
}

/// A small network: two couplings of each kind, and eight units.
inline RealNVPConfig tiny(FlowNormalization normalization = FlowNormalization::actnorm) {
  return {.couplings = 2, .hidden_dim = 8, .normalization = normalization};
}

}  // namespace genzoo::small_flow
