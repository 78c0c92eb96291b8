// The laws a VAE obeys: what its bounds bound, what its loss is made of, and that its noise is where it should be.

#include <torch/optim.h>

#include <numbers>

#include "tests/models/vae_settings.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using namespace tiny_vae;

/// Every image of a tiny space of them. (levels^D, ...)
Tensor all_images(const DataSpec& data) {
  int64_t count = 1;
  for (int64_t d = 0; d < data.dims(); ++d) count *= data.levels;
  Tensor rest = torch::arange(count), x = torch::empty({count, data.dims()}, torch::kByte);
  for (int64_t d = 0; d < data.dims(); ++d) {
    x.select(1, d).copy_(rest.remainder(data.levels));
    rest = rest.div(data.levels, "floor");
  }
  std::vector<int64_t> size = data.shape;
  size.insert(size.begin(), count);
  return x.view(size);
}

/// Log of a normal's mass in each pixel's cell on the scale [-1, 1]. (B)
Tensor log_cell_mass(const DiagNormal& p, const Tensor& x, int64_t levels) {
  const auto cdf = [&](const Tensor& edge) {
    return 0.5 *
           (1 + ((edge * (2.0 / static_cast<double>(levels)) - 1 - p.mean) * (-p.log_std).exp() / std::sqrt(2)).erf());
  };
  const Tensor level = x.to(torch::kDouble);
  return (cdf(level + 1) - cdf(level)).log().flatten(1).sum(1);
}

/// log p(x) of each example by a sum over a grid of a 2-D latent. (B)
Tensor log_evidence(VAEImpl& model, const Tensor& x, const DataSpec& data) {
  const double h = 0.1;
  const Tensor axis = torch::arange(-6, 6, h, torch::kDouble);
  const Tensor z = torch::cartesian_prod({axis, axis});  // (G, 2)
  const VAEImpl::Likelihood p = model.decode(z);
  const Tensor log_prior = standard_normal_log_prob(z);
  std::vector<Tensor> log_p;
  for (int64_t i = 0; i < x.size(0); ++i) {
    const Tensor wide = x.slice(0, i, i + 1).repeat_interleave(z.size(0), 0);
    const auto* normal = std::get_if<DiagNormal>(&p);
    const Tensor log_likelihood = normal && data.kind == DataKind::images
                                      ? log_cell_mass(*normal, wide, data.levels)
                                      : std::visit([&](const auto& d) { return d.log_prob(wide); }, p);
    log_p.push_back((log_likelihood + log_prior).logsumexp(0) + 2 * std::log(h));
  }
  return torch::stack(log_p);
}

/// The mean of a bound over many draws, example by example, and the standard error of that. (B) each
std::pair<Tensor, Tensor> mean_bound(VAEImpl& model, const Tensor& x, int64_t k, int64_t draws) {
  Rng rng = noise(static_cast<uint64_t>(k));
  const Tensor bound = model.log_prob(x.repeat_interleave(draws, 0), k, rng).view({x.size(0), draws});
  return {bound.mean(1), bound.std(1) / std::sqrt(static_cast<double>(draws))};
}

/// Relative difference between the gradient of loss(step) along a random direction and its difference quotient.
double loss_gradient_error(VAEImpl& model, const Batch& batch) {
  const auto value = [&] {
    Rng rng = noise();
    return model.loss(batch, rng, kAfterTraining).total;
  };
  model.zero_grad();
  value().backward();
  const torch::NoGradGuard no_grad;
  Rng rng = noise(99);
  std::vector<Tensor> directions;
  double analytic = 0;
  for (const Tensor& p : model.parameters()) {
    directions.push_back(rng.normal_like(p));
    analytic += (p.grad() * directions.back()).sum().item<double>();
  }
  const double h = 1e-6;
  const auto move = [&](double by) {
    const auto parameters = model.parameters();
    for (size_t i = 0; i < parameters.size(); ++i) parameters[i].add_(directions[i], by);
  };
  move(h);
  const double above = value().item<double>();
  move(-2 * h);
  const double below = value().item<double>();
  const double slope = (above - below) / (2 * h);
  return std::abs(slope - analytic) / (1 + std::abs(slope));
}

}  // namespace

TEST_CASE("the probabilities of all that a VAE's levels can be sum to one, of real numbers integrate to one",
          "[models][vae][law]") {
  const torch::NoGradGuard no_grad;
  std::vector<Setting> settings = small_settings();
  settings.back().data = vectors(1);
  for (const Setting& s : settings) {
    INFO(s.name);
    VAE model = make(s.config, s.data);
    if (s.data.levels > 0) {
      const double total = log_evidence(*model, all_images(s.data), s.data).exp().sum().item<double>();
      // A Gaussian keeps some mass outside the range of pixels.
      CHECK(total <= 1 + 1e-6);
      if (s.config.likelihood != VAELikelihood::gaussian) CHECK(total == Approx(1).epsilon(1e-6));
    } else {
      const double h = 0.2;
      const Tensor x = torch::arange(-40, 40, h, torch::kDouble).unsqueeze(1);
      CHECK(log_evidence(*model, x, s.data).exp().sum().item<double>() * h == Approx(1).epsilon(1e-3));
    }
  }
}

TEST_CASE("a VAE's bounds are below log p(x), grow with k and reach it", "[models][vae][law]") {
  const torch::NoGradGuard no_grad;
  for (const Setting& s : small_settings()) {
    VAE model = make(s.config, s.data);
    const Tensor x = random_examples(4, s.data);
    const Tensor log_p = log_evidence(*model, x, s.data);
    double previous = -std::numeric_limits<double>::infinity();
    for (const int64_t k : {1, 4, 32}) {
      const auto [bound, standard_error] = mean_bound(*model, x, k, /*draws=*/1500);
      INFO(s.name << ", k = " << k << ": " << bound << " against " << log_p);
      CHECK((bound <= log_p + 4 * standard_error).all().item<bool>());
      CHECK(bound.mean().item<double>() > previous);
      previous = bound.mean().item<double>();
    }
    INFO(s.name << ", many draws");
    CHECK_THAT(mean_bound(*model, x, 4000, /*draws=*/2).first, IsClose(log_p, 0.15));
  }
}

TEST_CASE("the gap of the ELBO is KL(q(z|x) || p(z|x))", "[models][vae][law]") {
  const torch::NoGradGuard no_grad;
  const DataSpec data = images({1, 2, 2}, 2);
  VAE model = make(tiny_mlp(VAELikelihood::bernoulli), data);
  const Tensor x = random_examples(1, data);
  const double h = 0.05;
  const Tensor axis = torch::arange(-8, 8, h, torch::kDouble);
  const Tensor z = torch::cartesian_prod({axis, axis});
  const Tensor wide = x.repeat_interleave(z.size(0), 0);
  const Tensor log_joint =
      std::visit([&](const auto& d) { return d.log_prob(wide); }, model->decode(z)) + standard_normal_log_prob(z);
  const Tensor log_p = log_joint.logsumexp(0) + 2 * std::log(h);
  const DiagNormal q = model->encode(x);
  const Tensor log_q = DiagNormal{q.mean.expand_as(z), q.log_std.expand_as(z)}.log_prob(z);
  const double gap = (log_q.exp() * (log_q - (log_joint - log_p))).sum().item<double>() * h * h;
  const auto [elbo, standard_error] = mean_bound(*model, x, 1, /*draws=*/20000);
  REQUIRE(gap > 0.01);
  CHECK(std::abs(elbo.item<double>() + gap - log_p.item<double>()) < 4 * standard_error.item<double>());
}

TEST_CASE("the loss is the reconstruction and the weighted KL", "[models][vae]") {
  const DataSpec data = images({1, 4, 4}, 256);
  const Batch batch{random_examples(5, data), {}};
  const auto loss_of = [&](VAEConfig config, int64_t step) {
    Rng rng = noise();
    const Loss loss = make(config, data)->loss(batch, rng, step);
    return std::tuple{loss.total.item<double>(), loss.terms.at("reconstruction").item<double>(),
                      loss.terms.at("kl").item<double>()};
  };
  VAEConfig config = tiny_mlp(VAELikelihood::discretized_logistic);
  const auto [plain, reconstruction, kl] = loss_of(config, 0);
  const Tensor kl_by_dimension = kl_to_standard_normal(make(config, data)->encode(batch.x)).mean(0);
  REQUIRE(kl > 0.01);
  CHECK(kl == Approx(kl_by_dimension.sum().item<double>()));
  CHECK(plain == Approx(reconstruction + kl));

  SECTION("beta") {
    config.beta = 4;
    CHECK(std::get<0>(loss_of(config, 0)) == Approx(reconstruction + 4 * kl));
  }
  SECTION("warm-up, linear from nothing") {
    config.beta = 2;
    config.kl_warmup_steps = 10;
    CHECK(std::get<0>(loss_of(config, 0)) == Approx(reconstruction));
    CHECK(std::get<0>(loss_of(config, 5)) == Approx(reconstruction + kl));
    CHECK(std::get<0>(loss_of(config, 10)) == Approx(reconstruction + 2 * kl));
    CHECK(std::get<0>(loss_of(config, kAfterTraining)) == Approx(reconstruction + 2 * kl));
  }
  SECTION("free bits, of each dimension's mean over the batch") {
    config.free_bits = kl_by_dimension.mean().item<double>();  // between the two dimensions
    const double expected = kl_by_dimension.max().item<double>() + config.free_bits;
    CHECK(std::get<0>(loss_of(config, 0)) == Approx(reconstruction + expected));
    CHECK(std::get<2>(loss_of(config, 0)) == Approx(kl));
  }
}

TEST_CASE("a VAE's loss is minus its bound", "[models][vae]") {
  for (const Setting& s : all_settings()) {
    const Batch batch{random_examples(3, s.data), {}};
    for (const int64_t k : {1, 5}) {
      VAEConfig config = s.config;
      config.importance_samples = k;
      VAE model = make(config, s.data);
      Rng rng = noise(), again = noise();
      INFO(s.name << ", k = " << k);
      CHECK_THAT(model->loss(batch, rng, 0).total, IsClose(-model->log_prob(batch.x, k, again).mean(), 1e-9));
    }
  }
}

TEST_CASE("a VAE's gradients are its loss's slopes and reach every parameter", "[models][vae][law]") {
  for (const Setting& s : all_settings()) {
    const Batch batch{random_examples(4, s.data), {}};
    for (const int64_t k : {1, 3}) {
      VAEConfig config = s.config;
      config.importance_samples = k;
      VAE model = make(config, s.data);
      INFO(s.name << ", k = " << k);
      CHECK(loss_gradient_error(*model, batch) < 1e-5);
      for (const auto& item : model->named_parameters()) {
        INFO(item.key());
        REQUIRE(item.value().grad().defined());
        CHECK(item.value().grad().abs().max().item<double>() > 0);
      }
    }
  }
}

TEST_CASE("uniform noise costs a VAE at least 8 bits a pixel, trained on it or not", "[models][vae][law]") {
  const DataSpec data = images({1, 4, 4}, 256);
  for (const auto likelihood : {VAELikelihood::gaussian, VAELikelihood::discretized_logistic}) {
    for (const VAEConfig& config : {tiny_mlp(likelihood), tiny_conv(likelihood)}) {
      Rng init = Rng::for_batch(0, Purpose::initialization, 0);
      VAE model(config, data, init);
      const auto bits_per_dim = [&](int64_t k) {
        const EvalMode evaluating(*model);
        Rng rng = noise(1000);
        const Tensor bound = model->log_prob(random_examples(2000, data), k, rng);
        return -bound.mean().item<double>() / (16 * std::numbers::ln2);
      };
      const double untrained = bits_per_dim(1);
      torch::optim::Adam optimizer(model->parameters(), torch::optim::AdamOptions(1e-2));
      for (uint64_t step = 0; step < 100; ++step) {
        Rng rng = noise(step), data_rng = Rng::for_batch(4, Purpose::synthetic_data, step);
        const Batch batch{data_rng.integers(256, {64, 1, 4, 4}).to(torch::kByte), {}};
        optimizer.zero_grad();
        model->loss(batch, rng, 0).total.backward();
        optimizer.step();
      }
      INFO(kVAELikelihoodNames[static_cast<size_t>(likelihood)] << ", untrained " << untrained);
      CHECK(untrained >= 8);
      CHECK(bits_per_dim(1) >= 8);
      CHECK(bits_per_dim(1) < untrained);
      CHECK(bits_per_dim(8) >= 8);
    }
  }
}

TEST_CASE("row i of a VAE's samples and scores does not depend on the other rows", "[models][vae][law]") {
  for (const Setting& s : all_settings()) {
    VAE model = make(s.config, s.data);
    const EvalMode evaluating(*model);
    const auto rows = [](int64_t n) { return Rng::for_rows(1, Purpose::sample, 0, n); };
    INFO(s.name);
    Rng three = rows(3), seven = rows(7);
    CHECK_THAT(model->sample(7, seven, {}).slice(0, 0, 3), IsClose(model->sample(3, three, {}), 1e-5));
    const Tensor x = random_examples(7, s.data);
    for (const int64_t k : {1, 11}) {
      Rng few = rows(3), many = rows(7);
      CHECK_THAT(model->log_prob(x, k, many).slice(0, 0, 3), IsClose(model->log_prob(x.slice(0, 0, 3), k, few), 1e-9));
    }
  }
}

}  // namespace genzoo
