#include "models/gan/gan.h"

#include "models/pixels.h"

namespace genzoo {

GANImpl::GANImpl(const GANConfig& config, const DataSpec& data, Rng& init)
    : config_(config), images_(data.kind == DataKind::images), levels_(data.levels) {
  generator = register_module("generator", gan::make_generator(config, data, init));
  discriminator = register_module("discriminator", gan::make_discriminator(config, data, init));
  like_ = generator->parameters().front();
}

Tensor GANImpl::generate_fake(int64_t n, Rng& rng) { return generator->forward(draw_latent(n, rng)); }

Loss GANImpl::discriminator_loss(const Batch& batch, const Tensor& fake, Rng& rng) {
  const Tensor fake_x = fake.detach();
  Tensor real_x = to_player(batch.x);
  if (config_.r1 > 0) real_x.requires_grad_();
  // Data and fakes are judged in batches of their own, as Radford et al. (2016) do: with batch normalization each has
  // its own statistics.
  const Tensor real_scores = score(real_x);  // (B)
  const Tensor fake_scores = score(fake_x);  // (B)

  Loss loss{gan::discriminator_objective(config_.objective, real_scores, fake_scores),
            {{"d_real", gan::mean_belief(config_.objective, real_scores)},
             {"d_fake", gan::mean_belief(config_.objective, fake_scores)}}};
  Tensor penalty;
  if (config_.objective == gan::Objective::wasserstein && config_.gradient_penalty > 0) {
    const auto critic = [this](const Tensor& x) { return score(x); };
    penalty = config_.gradient_penalty * gan::gradient_penalty(critic, real_x, fake_x, rng);
  }
  if (config_.r1 > 0) {
    const Tensor r1 = config_.r1 * gan::r1_penalty(real_scores, real_x);
    penalty = penalty.defined() ? penalty + r1 : r1;
  }
  if (penalty.defined()) {
    loss.total = loss.total + penalty;
    loss.terms["penalty"] = penalty.detach();
  }
  return loss;
}

Loss GANImpl::generator_loss(const Tensor& fake, Rng& /*rng*/) {
  // The trainer holds D's parameters constant meanwhile: D is what the gradient passes through, not what learns.
  return {gan::generator_objective(config_.objective, score(fake)), {}};
}

Tensor GANImpl::sample(int64_t n, Rng& rng, const SampleOptions& /*options*/) {
  return decode_latent(draw_latent(n, rng));
}

Tensor GANImpl::decode_latent(const Tensor& z) {
  const EvalMode evaluating(*this);
  return to_stored(generator->forward(z.to(like_.options())));
}

Tensor GANImpl::draw_latent(int64_t n, Rng& rng) {
  return rng.normal_like(torch::empty({n, config_.latent_dim}, like_.options()));
}

Tensor GANImpl::score(const Tensor& x) {
  const Tensor scores = discriminator->forward(x).squeeze(/*dim=*/1);
  return scores.scalar_type() == torch::kDouble ? scores : scores.to(torch::kFloat);  // autocast may have lowered them
}

Tensor GANImpl::to_player(const Tensor& stored) const {
  const Tensor x = stored.detach().to(like_.device());
  if (levels_ == 0) return x.to(like_.scalar_type());
  return scaled_pixels(x, 0.5 * static_cast<double>(levels_ - 1), /*shift=*/-1, like_.scalar_type());
}

Tensor GANImpl::to_stored(const Tensor& x) const {
  if (levels_ == 0) return x.to(torch::kFloat);
  const auto top = static_cast<double>(levels_ - 1);
  return ((x.to(torch::kFloat) + 1) * (0.5 * top)).round().clamp(0, top).to(images_ ? torch::kByte : torch::kFloat);
}

}  // namespace genzoo
