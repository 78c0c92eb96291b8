#include "models/realnvp/realnvp.h"

#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <numbers>
#include <utility>

#include "core/error.h"
#include "models/distributions.h"
#include "models/realnvp/coupling.h"
#include "models/realnvp/normalization.h"

namespace genzoo {
namespace {

/// Throws UsageError if the flow cannot take such data.
void check(const RealNVPConfig& config, const DataSpec& data) {
  if (data.has_tokens()) {
    throw UsageError(
        fmt::format("models/realnvp: data '{}' are {}; realnvp models images or vectors, tokens are for "
                    "a language model",
                    data.dataset, data.describe()));
  }
  const bool flat = config.architecture == FlowArchitecture::flat;
  if ((data.kind == DataKind::vectors || flat) && data.dims() < 2) {
    throw UsageError(fmt::format("models/realnvp: data '{}' are {}; a coupling layer needs at least 2 dimensions",
                                 data.dataset, data.describe()));
  }
  if (data.kind != DataKind::images || flat) return;
  const int64_t height = data.shape[1], width = data.shape[2];
  int64_t most = 1;
  while ((height >> (most - 1)) % 2 == 0 && (width >> (most - 1)) % 2 == 0) ++most;
  if (config.scales > most) {
    throw UsageError(
        fmt::format("models/realnvp: data '{}' are {}; scales {} halves height and width {} times, which "
                    "this size does not allow; set scales to at most {}, or resize the images",
                    data.dataset, data.describe(), config.scales, config.scales - 1, most));
  }
}

void push_normalization(FlowSequence& flow, FlowNormalization kind, at::IntArrayRef event) {
  switch (kind) {
    case FlowNormalization::actnorm:
      return flow->push_back(ActNorm(event).ptr());
    case FlowNormalization::batch_norm:
      return flow->push_back(FlowBatchNorm(event).ptr());
    case FlowNormalization::none:
      return;
  }
}

}  // namespace

RealNVPImpl::RealNVPImpl(const RealNVPConfig& config, const DataSpec& data, Rng& init)
    : data_(data), flat_(data.kind == DataKind::vectors || config.architecture == FlowArchitecture::flat) {
  check(config, data);
  if (images()) logit_ = register_module("logit", Logit(data.levels, config.alpha));
  if (flat_) {
    scales_.push_back(register_module("scale0", vector_flow(config, init)));
    parts_.push_back({data.dims()});
    like_ = scales_.front()->parameters().front();
    return;
  }
  std::vector<int64_t> event = data.shape;  // C, H, W of what the next layer takes
  for (int64_t i = 0; i < config.scales; ++i) {
    const bool last = i + 1 == config.scales;
    scales_.push_back(register_module(fmt::format("scale{}", i), image_scale(config, event, last, init)));
    if (!last) event[0] /= 2;  // the other half of the channels leaves
    parts_.push_back(event);
  }
  like_ = scales_.front()->parameters().front();
}

FlowSequence RealNVPImpl::vector_flow(const RealNVPConfig& config, Rng& init) const {
  const std::vector<int64_t> event{data_.dims()};
  FlowSequence flow;
  for (int64_t i = 0; i < config.couplings; ++i) {
    push_normalization(flow, config.normalization, event);
    const CouplingMLP network(event[0], config.hidden_dim, config.blocks, config.identity_start, init);
    const Tensor mask = checkerboard_mask(event, /*flip=*/i % 2 == 1);
    flow->push_back(Coupling(event, mask, config.learned_scale, network.ptr()).ptr());
  }
  return flow;
}

/// One scale; `event` becomes what it ends in.
FlowSequence RealNVPImpl::image_scale(const RealNVPConfig& config, std::vector<int64_t>& event, bool last,
                                      Rng& init) const {
  FlowSequence flow;
  const auto push_couplings = [&](int64_t count, Tensor (*mask)(at::IntArrayRef, bool), int64_t fold) {
    for (int64_t i = 0; i < count; ++i) {
      push_normalization(flow, config.normalization, event);
      const CouplingResNet network(event[0], config.hidden_dim, config.blocks, fold, config.identity_start, init);
      flow->push_back(Coupling(event, mask(event, /*flip=*/i % 2 == 1), config.learned_scale, network.ptr()).ptr());
    }
  };
  if (last) {
    push_couplings(config.couplings + 1, checkerboard_mask, /*fold=*/1);
    return flow;
  }
  push_couplings(config.couplings, checkerboard_mask, /*fold=*/2);
  flow->push_back(Squeeze().ptr());
  event = {4 * event[0], event[1] / 2, event[2] / 2};
  push_couplings(config.couplings, channel_mask, /*fold=*/1);
  return flow;
}

Transformed RealNVPImpl::forward(const Tensor& x) {
  Transformed h{x, x.new_zeros({x.size(0)})};
  if (images()) {
    h = logit_->forward(x);
  } else if (discrete()) {
    h.y = x - middle();
  }
  if (flat_) h.y = h.y.flatten(1);
  std::vector<Tensor> latent;
  for (FlowSequence& scale : scales_) {
    auto [y, log_det] = scale->forward(h.y);
    h.log_det = h.log_det + log_det;
    if (&scale == &scales_.back()) {
      latent.push_back(y.flatten(1));
    } else {
      const auto halves = y.chunk(2, /*dim=*/1);
      latent.push_back(halves[1].flatten(1));
      h.y = halves[0];
    }
  }
  return {at::cat(latent, /*dim=*/1), h.log_det};
}

Tensor RealNVPImpl::inverse(const Tensor& z) {
  std::vector<int64_t> sizes;
  for (const auto& part : parts_) sizes.push_back(c10::multiply_integers(part));
  const auto latent = z.split_with_sizes(sizes, /*dim=*/1);
  Tensor h;
  for (size_t i = scales_.size(); i-- > 0;) {
    const Tensor part = latent[i].unflatten(1, parts_[i]);
    h = scales_[i]->inverse(h.defined() ? at::cat({h, part}, /*dim=*/1) : part);
  }
  if (flat_ && images()) h = h.unflatten(1, data_.shape);
  if (images()) return logit_->inverse(h);
  return discrete() ? h + middle() : h;
}

Tensor RealNVPImpl::real(const Tensor& x) const { return x.to(like_.device(), like_.scalar_type()); }

Tensor RealNVPImpl::dequantize(const Tensor& x, Rng& rng) const {
  const Tensor level = real(x);
  return level + rng.uniform_like(level);
}

Tensor RealNVPImpl::log_density(const Tensor& x) {
  const auto [z, log_det] = forward(x);
  return standard_normal_log_prob(z) + log_det;
}

Loss RealNVPImpl::loss(const Batch& batch, Rng& rng, int64_t /*step*/) {
  const Tensor nats = -log_prob(batch.x, /*k=*/1, rng).mean();
  Terms terms;
  if (images()) {
    terms["bits_per_dim"] = nats.detach() / (static_cast<double>(data_.dims()) * std::numbers::ln2);
  } else {
    terms["nll"] = nats.detach();
  }
  return {nats, terms};
}

Tensor RealNVPImpl::log_prob(const Tensor& x, int64_t k, Rng& rng) {
  if (!discrete()) return log_density(real(x));
  std::vector<Tensor> draws;
  for (int64_t i = 0; i < k; ++i) draws.push_back(log_density(dequantize(x, rng)));
  return k == 1 ? draws.front() : log_mean_exp(at::stack(draws), /*dim=*/0);
}

LikelihoodClaim RealNVPImpl::likelihood() const {
  if (!discrete()) return {LikelihoodKind::exact, "change of variables"};
  return {LikelihoodKind::lower_bound, fmt::format("density of uniformly dequantized {}, relative to the unit cell",
                                                   images() ? "pixels" : "levels")};
}

Tensor RealNVPImpl::sample(int64_t n, Rng& rng, const SampleOptions& options) {
  return decode_latent(options.temperature * real(rng.normal({n, data_.dims()})));
}

Tensor RealNVPImpl::encode_latent(const Tensor& x) { return forward(discrete() ? real(x) + 0.5 : real(x)).y; }

Tensor RealNVPImpl::decode_latent(const Tensor& z) {
  const Tensor x = inverse(real(z));
  if (!discrete()) return x.to(torch::kFloat);
  return x.floor().clamp(0, data_.levels - 1).to(images() ? torch::kByte : torch::kFloat);
}

}  // namespace genzoo
