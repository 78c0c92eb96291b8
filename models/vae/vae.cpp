#include "models/vae/vae.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "models/fused_gaussian.h"
#include "models/pixels.h"
#include "models/vae/negative_bound.h"

namespace genzoo {
namespace {

/// Floor of the decoder's log-scales: one part in 1100 of the unit of x. A density of vectors grows without bound as
/// its scale shrinks on a training example, and the gradient of a pixel's logistic with it (Salimans et al., 2017, use
/// the same floor).
constexpr double kMinLogScale = -7;

/// Importance samples decoded at once. A constant, so that what row i draws does not depend on anything else.
constexpr int64_t kSamplesAtOnce = 8;

template <class... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;

void require_fit(const VAEConfig& config, const DataSpec& data) {
  if (data.has_tokens()) {
    throw UsageError(fmt::format("models/vae: got {}; it models images and vectors; choose a language model for text",
                                 data.describe()));
  }
  if (data.levels == 0 && config.likelihood != VAELikelihood::gaussian) {
    throw UsageError(
        fmt::format("models/vae: likelihood '{}' got {}; it is one of levels; set model.vae.likelihood to gaussian",
                    kVAELikelihoodNames[static_cast<size_t>(config.likelihood)], data.describe()));
  }
}

/// Densities stay in float32 where autocast computed the network in fewer bits.
Tensor full_precision(const Tensor& x) {
  return x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kHalf ? x.to(at::kFloat) : x;
}

/// Of means and log-variances (B, 2 Z).
DiagNormal normal_of(const Tensor& moments) {
  const std::vector<Tensor> halves = moments.chunk(2, /*dim=*/1);
  return {halves[0], halves[1] / 2};
}

/// (B, ...) -> (B, K, ...), a view.
Tensor repeat_each(const Tensor& x, int64_t k) {
  std::vector<int64_t> size = x.sizes().vec();
  size.insert(size.begin() + 1, k);
  return x.unsqueeze(1).expand(size);
}

}  // namespace

/// What K draws z ~ q(z|x) weigh: w = p(x|z) p(z) / q(z|x), an unbiased estimate of p(x). Nats.
struct VAEImpl::Importance {
  Tensor log_likelihood;  ///< (B, K)  log p(x|z)
  Tensor log_ratio;       ///< (B, K)  log p(z) - log q(z|x)
};

VAEImpl::VAEImpl(const VAEConfig& config, const DataSpec& data, Rng& init) : config_(config), data_(data) {
  require_fit(config, data);
  const int64_t maps = config.likelihood == VAELikelihood::bernoulli ? 1 : 2;  // logits, or means and log-scales
  encoder = register_module("encoder", make_vae_encoder(config.network, data, 2 * config.latent_dim, init));
  decoder = register_module("decoder", make_vae_decoder(config.network, data, config.latent_dim, maps, init));
  like_ = parameters().front();
}

VAEImpl::Examples VAEImpl::examples(const Tensor& x) const {
  const auto type = like_.scalar_type();
  if (data_.levels == 0) return {x, x.to(type)};
  return {x, scaled_pixels(x, static_cast<double>(data_.levels - 1), /*shift=*/0, type)};
}

/// Of q(z|x): the means and behind them log(std^2). (B, 2 Z)
Tensor VAEImpl::moments(const Tensor& scaled) { return full_precision(encoder->forward(scaled)); }

DiagNormal VAEImpl::encode(const Tensor& x) { return normal_of(moments(examples(x).scaled)); }

VAEImpl::Likelihood VAEImpl::decode(const Tensor& z) {
  const Tensor h = full_precision(decoder->forward(z.to(like_.scalar_type())));
  if (config_.likelihood == VAELikelihood::bernoulli) return Bernoulli{h};
  const std::vector<Tensor> maps = h.chunk(2, /*dim=*/1);
  const Tensor& mean = maps[0];
  const Tensor log_scale = maps[1].clamp_min(kMinLogScale);
  if (config_.likelihood == VAELikelihood::gaussian) return DiagNormal{mean, log_scale};
  return DiscretizedLogistic{mean, log_scale, data_.levels};
}

/// x at the point where p(x|z) is evaluated. The Gaussian sees pixels spread uniformly over their cells and scaled to
/// [-1, 1]: E_u[log p(x + u)] <= log of p's integral over the cell, the probability of the pixels (Theis et al., 2016,
/// eq. (4)).
Tensor VAEImpl::observation(const Examples& x, Rng& rng) const {
  if (data_.levels == 0 || config_.likelihood == VAELikelihood::bernoulli) return x.scaled;
  const Tensor level = x.stored.to(x.scaled.scalar_type());
  if (config_.likelihood == VAELikelihood::discretized_logistic) return level;
  return (level + rng.uniform_like(level)) * (2 / static_cast<double>(data_.levels)) - 1;
}

/// log p(x|z) of x observed (B, ...) and z (B, Z). (B)
Tensor VAEImpl::log_likelihood(const Tensor& observed, const Tensor& z) {
  const Likelihood p = decode(z);
  const Tensor log_p = std::visit([&](const auto& d) { return d.log_prob(observed); }, p);
  if (data_.levels == 0 || config_.likelihood != VAELikelihood::gaussian) return log_p;
  // From a density over [-1, 1] to one over cells of unit size.
  return log_p + static_cast<double>(data_.dims()) * std::log(2 / static_cast<double>(data_.levels));
}

VAEImpl::Importance VAEImpl::importance(const Examples& x, const DiagNormal& q, int64_t k, Rng& rng) {
  const DiagNormal wide{repeat_each(q.mean, k), repeat_each(q.log_std, k)};
  const Tensor z = wide.rsample(rng);  // (B, K, Z)
  const Tensor log_prior = standard_normal_log_prob(z.flatten(0, 1));
  const Tensor log_q = DiagNormal{wide.mean.flatten(0, 1), wide.log_std.flatten(0, 1)}.log_prob(z.flatten(0, 1));
  const Tensor observed = observation({repeat_each(x.stored, k), repeat_each(x.scaled, k)}, rng);  // (B, K, ...)
  const Tensor log_p = log_likelihood(observed.flatten(0, 1), z.flatten(0, 1));
  return {log_p.view({-1, k}), (log_prior - log_q).view({-1, k})};
}

double VAEImpl::kl_weight(int64_t step) const {
  if (step >= config_.kl_warmup_steps) return config_.beta;
  return config_.beta * static_cast<double>(step) / static_cast<double>(config_.kl_warmup_steps);
}

Loss VAEImpl::loss(const Batch& batch, Rng& rng, int64_t step) {
  const Examples x = examples(batch.x);
  const Tensor q = moments(x.scaled);
  if (config_.importance_samples > 1) {
    // Burda et al. (2016), eq. (8), with the gradient of the reparameterized draws.
    const auto [log_p, log_ratio] = importance(x, normal_of(q), config_.importance_samples, rng);
    return {-log_mean_exp(log_p + log_ratio, /*dim=*/1).mean(),
            {{"reconstruction", -log_p.mean().detach()}, {"kl", -log_ratio.mean().detach()}}};
  }
  const auto [z, divergence] = draw_gaussian(q, rng.normal_like(q.narrow(1, 0, config_.latent_dim)));
  const double weight = kl_weight(step);
  const auto [total, reconstruction, kl] =
      negative_bound(log_likelihood(observation(x, rng), z), divergence, weight, config_.free_bits);
  Terms terms{{"reconstruction", reconstruction}, {"kl", kl}};
  if (config_.beta != 1 || config_.kl_warmup_steps > 0) terms["kl_weight"] = at::scalar_tensor(weight, kl.options());
  return {total, std::move(terms)};
}

Tensor VAEImpl::log_prob(const Tensor& x, int64_t k, Rng& rng) {
  TORCH_CHECK(k >= 1, "models/vae: log_prob with k = ", k, "; at least 1 draw is needed");
  const Examples seen = examples(x);
  const DiagNormal q = normal_of(moments(seen.scaled));
  if (k == 1) {
    const Tensor z = q.rsample(rng);
    return log_likelihood(observation(seen, rng), z) - kl_to_standard_normal(q).sum(/*dim=*/1);
  }
  std::vector<Tensor> log_weights;
  for (int64_t done = 0; done < k; done += kSamplesAtOnce) {
    const auto [log_p, log_ratio] = importance(seen, q, std::min(kSamplesAtOnce, k - done), rng);
    log_weights.push_back(log_p + log_ratio);
  }
  return log_mean_exp(at::cat(log_weights, /*dim=*/1), /*dim=*/1);
}

LikelihoodClaim VAEImpl::likelihood() const {
  if (config_.likelihood == VAELikelihood::bernoulli && data_.levels != 2) {
    return {
        std::nullopt,
        fmt::format("the Bernoulli likelihood of pixels with {} levels is a surrogate loss, not a probability of them; "
                    "binarize the data or train with likelihood discretized_logistic or gaussian",
                    data_.levels)};
  }
  const char* dequantized =
      data_.levels > 0 && config_.likelihood == VAELikelihood::gaussian ? "; dequantized by uniform noise" : "";
  return {LikelihoodKind::lower_bound, fmt::format("importance-weighted bound, at k = 1 the ELBO{}", dequantized),
          /*is_loss=*/config_.beta == 1 && config_.free_bits == 0};
}

/// A value on the scale of p(x|z) as the data store it; the nearest they have.
Tensor VAEImpl::as_stored(const Tensor& value) const {
  if (data_.levels == 0) return value.to(at::kFloat);
  const auto levels = static_cast<double>(data_.levels);
  Tensor level = value;
  if (config_.likelihood == VAELikelihood::bernoulli) level = (value * (levels - 1)).round();
  if (config_.likelihood == VAELikelihood::gaussian)
    level = ((value + 1) * (levels / 2)).floor();  // the cell it lies in
  return level.clamp(0, levels - 1).to(data_.kind == DataKind::images ? at::kByte : at::kFloat);
}

Tensor VAEImpl::mean_as_stored(const Likelihood& p) const {
  return as_stored(
      std::visit(Overloaded{[](const Bernoulli& d) { return d.mean(); }, [](const DiagNormal& d) { return d.mean; },
                            [](const DiscretizedLogistic& d) { return d.mean_level(); }},
                 p));
}

Tensor VAEImpl::sample(int64_t n, Rng& rng, const SampleOptions& options) {
  const Tensor z = rng.normal({n, config_.latent_dim});
  const Likelihood p = decode(z);
  if (options.mean) return mean_as_stored(p);
  return as_stored(std::visit(
      Overloaded{[&](const DiagNormal& d) { return d.rsample(rng); }, [&](const auto& d) { return d.sample(rng); }},
      p));
}

Tensor VAEImpl::encode_latent(const Tensor& x) { return encode(x).mean; }

Tensor VAEImpl::decode_latent(const Tensor& z) { return mean_as_stored(decode(z)); }

Tensor VAEImpl::reconstruct(const Tensor& x) { return decode_latent(encode_latent(x)); }

}  // namespace genzoo
