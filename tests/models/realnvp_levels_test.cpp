// Flows of whole numbers, and settings other than the paper's.
#include <cmath>
#include <numbers>

#include "tests/models/small_flow.h"

namespace genzoo {

using namespace small_flow;

TEST_CASE("the likelihoods of all vectors of whole numbers sum to the mass of their range", "[models][realnvp]") {
  RealNVP model = perturbed({.couplings = 3, .hidden_dim = 8}, whole_numbers(2, 3), /*size=*/0.2);
  const EvalMode eval(*model);
  const Tensor value = torch::arange(3., torch::kDouble);
  Rng rng = stream(9);
  const Tensor estimate = model->log_prob(torch::cartesian_prod({value, value}), /*k=*/4000, rng).exp();
  // The same mass by a sum over a fine grid, of the density of real numbers.
  const double spacing = 0.01;
  const Tensor axis = torch::arange(spacing / 2, 3.0, spacing, torch::kDouble);
  const auto [z, log_det] = model->forward(torch::cartesian_prod({axis, axis}));
  const Tensor log_density = -0.5 * z.square().sum(1) - std::log(2 * std::numbers::pi) + log_det;
  const double mass = log_density.exp().sum().item<double>() * spacing * spacing;
  CHECK(estimate.sum().item<double>() == Approx(mass).epsilon(0.02));
  CHECK(mass < 1);
  CHECK(model->likelihood().kind == LikelihoodKind::lower_bound);
}

TEST_CASE("encoding and decoding whole numbers is an exact round trip", "[models][realnvp]") {
  RealNVP model = perturbed({.couplings = 3, .hidden_dim = 8}, whole_numbers(5, 2), /*size=*/0.2);
  const EvalMode eval(*model);
  const Tensor x = stream(15).integers(2, {64, 5}).to(torch::kFloat);
  CHECK(torch::equal(model->decode_latent(model->encode_latent(x)), x));
  Rng rng = stream(16);
  const Tensor samples = model->sample(64, rng, {});
  CHECK(samples.scalar_type() == torch::kFloat);
  CHECK((samples.eq(0).logical_or(samples.eq(1))).all().item<bool>());
}

TEST_CASE("a flow that does not start as the identity starts as PyTorch's linear layers do", "[models][realnvp]") {
  Rng init = stream(8);
  const RealNVPConfig config{.couplings = 1, .hidden_dim = 400, .learned_scale = false, .identity_start = false};
  RealNVP model(config, vectors(6), init);
  for (const auto& item : model->named_parameters()) {
    INFO(item.key());
    CHECK(item.key().find("log_scale_bound") == std::string::npos);
    if (item.key().find("network.1.weight") == std::string::npos) continue;
    const double bound = 1 / std::sqrt(400.0);
    CHECK(item.value().abs().max().item<double>() <= bound);
    CHECK(item.value().std().item<double>() == Approx(bound / std::sqrt(3.0)).epsilon(0.05));
  }
}

}  // namespace genzoo
