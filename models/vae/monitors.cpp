// Whether a VAE's latents are used. When the decoder explains x without z, the ELBO's optimum is q(z|x) = p(z): the
// posterior collapses, and the model has learned no latent space (Bowman et al., 2016; Lucas et al., 2019).

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "models/vae/vae.h"

namespace genzoo {
namespace {

/// A latent is active when the variance over the data of its posterior mean exceeds this: Burda et al. (2016), section
/// 5.1. Their histograms have two modes far apart (about 1e-4 and 1), so that the place of the threshold hardly
/// matters.
constexpr double kActiveVariance = 0.01;

/// A latent is dead when its KL is below this, in nats, on at least this share of the examples: Lucas et al. (2019),
/// "Don't blame the ELBO!", definition 1, with the epsilon and delta of their experiments.
constexpr double kDeadKl = 0.01;
constexpr double kDeadShare = 0.99;

/// The latents whose KL is told one by one, largest first.
constexpr int64_t kListed = 64;

}  // namespace

std::vector<Monitor> VAEImpl::monitors(const Batch& batch, Rng& /*rng*/) {
  const EvalMode evaluating(*this);
  const int64_t n = batch.size(), latents = config_.latent_dim;
  const DiagNormal q = encode(batch.x);
  const Tensor kl = kl_to_standard_normal(q).to(at::kCPU, at::kDouble);  // (B, Z)
  const Tensor spread = q.mean.to(at::kCPU, at::kDouble).var(/*dim=*/0, /*unbiased=*/false);
  const auto active = spread.gt(kActiveVariance).sum().item<int64_t>();
  const double dead =
      kl.lt(kDeadKl).to(at::kDouble).mean(/*dim=*/0).ge(kDeadShare).to(at::kDouble).mean().item<double>();

  const Tensor each = kl.mean(/*dim=*/0);  // (Z)
  const Tensor largest =
      std::get<0>(each.sort(/*dim=*/0, /*descending=*/true)).narrow(0, 0, std::min(latents, kListed));
  const std::vector<double> listed(largest.data_ptr<double>(), largest.data_ptr<double>() + largest.size(0));

  // Latents that go unused are no sickness: a model prunes what it does not need. None used is one.
  const std::string collapse =
      active > 0 ? ""
                 : fmt::format(
                       "posterior collapse: none of the {} latents differs between examples, so the encoder is "
                       "ignored; try kl_warmup_steps, a smaller beta, free_bits or a weaker decoder",
                       latents);
  return {{.name = "active_units",
           .value = static_cast<double>(active),
           .unit = "units",
           .warning = collapse,
           .n = n,
           .detail = fmt::format("of {} latents, those whose posterior mean varies by more than {} over the data",
                                 latents, kActiveVariance)},
          {.name = "dead_units",
           .value = dead,
           .unit = "share",
           .n = n,
           .detail = fmt::format("latents whose KL is below {} nats on {} of the examples", kDeadKl, kDeadShare)},
          {.name = "latent_kl_max",
           .value = each.max().item<double>(),
           .unit = "nats",
           .n = n,
           .detail =
               fmt::format("mean KL of the most used latent; of each, largest first: {:.3g}", fmt::join(listed, ", "))},
          {.name = "latent_kl_min",
           .value = each.min().item<double>(),
           .unit = "nats",
           .n = n,
           .detail = "mean KL of the least used latent"}};
}

}  // namespace genzoo
