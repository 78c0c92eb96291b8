// Laws of the GAN's losses and penalties, on scores and critics set by hand.

#include <torch/nn/functional.h>

#include <cmath>

#include "models/gan/losses.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using gan::Objective;

Rng stream(uint64_t step) { return Rng::for_batch(1, Purpose::loss, step); }

double value(const Tensor& scalar) { return scalar.item<double>(); }

}  // namespace

TEST_CASE("each objective is its paper's formula", "[models][gan]") {
  const Tensor real = torch::tensor({2.0, -1.0, 0.5}, torch::kDouble);
  const Tensor fake = torch::tensor({-3.0, 0.25}, torch::kDouble);
  const auto log_d = [](double s) { return -std::log1p(std::exp(-s)); };      // log sigmoid(s)
  const auto log_not_d = [](double s) { return -std::log1p(std::exp(s)); };   // log(1 - sigmoid(s))
  const auto mean3 = [](auto f) { return (f(2.0) + f(-1.0) + f(0.5)) / 3; };  // over real
  const auto mean2 = [](auto f) { return (f(-3.0) + f(0.25)) / 2; };          // over fake
  const auto d = [&](Objective o) { return value(gan::discriminator_objective(o, real, fake)); };
  const auto g = [&](Objective o) { return value(gan::generator_objective(o, fake)); };

  const double cross_entropy = -mean3(log_d) - mean2(log_not_d);
  CHECK(d(Objective::non_saturating) == Approx(cross_entropy));
  CHECK(d(Objective::minimax) == Approx(cross_entropy));
  CHECK(g(Objective::non_saturating) == Approx(-mean2(log_d)));
  CHECK(g(Objective::minimax) == Approx(mean2(log_not_d)));

  CHECK(d(Objective::least_squares) == Approx((1 + 4 + 0.25) / 6 + (9 + 0.0625) / 4));
  CHECK(g(Objective::least_squares) == Approx((16 + 0.5625) / 4));
  CHECK(d(Objective::hinge) == Approx((0 + 2 + 0.5) / 3 + (0 + 1.25) / 2));
  CHECK(g(Objective::hinge) == Approx(2.75 / 2));
  CHECK(d(Objective::wasserstein) == Approx(-2.75 / 2 - 0.5));
  CHECK(g(Objective::wasserstein) == Approx(2.75 / 2));

  CHECK(value(gan::mean_belief(Objective::hinge, fake)) == Approx(-2.75 / 2));
  CHECK(value(gan::mean_belief(Objective::minimax, fake)) ==
        Approx(mean2([&](double s) { return std::exp(log_d(s)); })));
}

TEST_CASE("objectives stay finite at scores where sigmoid rounds to 0 or 1", "[models][gan]") {
  const Tensor far = torch::tensor({-2000.0, 2000.0}, torch::kFloat);
  for (const Objective o : {Objective::non_saturating, Objective::minimax}) {
    CHECK(value(gan::discriminator_objective(o, far, far)) == Approx(2000));
    CHECK(std::isfinite(value(gan::generator_objective(o, far))));
  }
}

// Goodfellow et al. (2014), theorem 1: when fakes are distributed as the data the best D is 1/2 everywhere, and there
// the game's value is -log 4.
TEST_CASE("at equal distributions D = 1/2 is optimal and the game's value is -log 4", "[models][gan]") {
  const Tensor same = torch::linspace(-1, 1, 7, torch::kDouble);
  Tensor slope = torch::zeros({}, torch::kDouble).requires_grad_(), offset = torch::zeros({}, torch::kDouble);
  offset.requires_grad_();
  const Tensor scores = slope * same + offset;  // D(x) = sigmoid(slope x + offset)
  const Tensor loss = gan::discriminator_objective(Objective::minimax, scores, scores);
  CHECK(value(loss) == Approx(std::log(4)));
  for (const Tensor& gradient : torch::autograd::grad({loss}, {slope, offset}))
    CHECK(std::abs(value(gradient)) < 1e-15);

  CHECK(value(gan::generator_objective(Objective::minimax, torch::zeros({4}))) == Approx(-std::log(2)));
  CHECK(value(gan::generator_objective(Objective::non_saturating, torch::zeros({4}))) == Approx(std::log(2)));
}

// Goodfellow et al. (2014), section 3: the same fixed point, but where D rejects fakes with confidence the minimax loss
// has no gradient left and the other has all of it.
TEST_CASE("the minimax loss saturates where D is sure and the non-saturating one does not", "[models][gan]") {
  const auto slope_at = [](Objective o, double score) {
    const Tensor s = torch::full({1}, score, torch::kDouble).requires_grad_();
    return value(torch::autograd::grad({gan::generator_objective(o, s)}, {s})[0]);
  };
  const double d = 1 / (1 + std::exp(10.0));  // D(G(z)) at score -10
  CHECK(slope_at(Objective::minimax, -10) == Approx(-d));
  CHECK(slope_at(Objective::non_saturating, -10) == Approx(-(1 - d)));
  CHECK(slope_at(Objective::minimax, 0) == Approx(slope_at(Objective::non_saturating, 0)));
}

TEST_CASE("the gradient penalty of a linear critic is (|w| - 1)^2", "[models][gan]") {
  Rng noise = stream(0);
  const Tensor real = noise.normal({6, 1, 3, 3}).to(torch::kDouble),
               fake = noise.normal({6, 1, 3, 3}).to(torch::kDouble);
  const Tensor direction = torch::nn::functional::normalize(noise.normal({9}).to(torch::kDouble),
                                                            torch::nn::functional::NormalizeFuncOptions().dim(0));
  for (const double length : {1.0, 0.25, 3.0}) {
    const Tensor w = (direction * length).requires_grad_();
    const auto critic = [&](const Tensor& x) { return x.flatten(1).mv(w) + 7; };
    Rng rng = stream(1);
    const Tensor penalty = gan::gradient_penalty(critic, real, fake, rng);
    CHECK(value(penalty) == Approx((length - 1) * (length - 1)).margin(1e-12));
    // Differentiable in w: d/dw (|w| - 1)^2 = 2 (|w| - 1) w / |w|; and w's own gradient buffer was not touched.
    CHECK_FALSE(w.grad().defined());
    CHECK_THAT(torch::autograd::grad({penalty}, {w})[0], IsClose(2 * (length - 1) * direction, 1e-12));
  }
}

TEST_CASE("the gradient penalty is taken on the lines between data and fakes", "[models][gan]") {
  const Tensor real = torch::zeros({64, 2}, torch::kDouble), fake = torch::full({64, 2}, 4.0, torch::kDouble);
  Tensor seen;
  const auto critic = [&](const Tensor& x) {
    seen = x.detach();
    return x.sum(1);
  };
  Rng rng = stream(2);
  gan::gradient_penalty(critic, real, fake, rng);
  CHECK(torch::equal(seen.select(1, 0), seen.select(1, 1)));  // one epsilon an example
  CHECK(seen.min().item<double>() >= 0);
  CHECK(seen.max().item<double>() <= 4);
  CHECK(seen.mean().item<double>() == Approx(2).margin(0.6));  // 4 standard errors of 64 uniforms on [0, 4]
  CHECK(seen.std().item<double>() > 0.5);
}

TEST_CASE("R1 of a linear discriminator is half its squared slope", "[models][gan]") {
  const Tensor w = torch::tensor({1.0, -2.0, 0.5}, torch::kDouble).requires_grad_();
  const Tensor real = stream(3).normal({5, 3}).to(torch::kDouble).requires_grad_();
  const Tensor penalty = gan::r1_penalty(real.mv(w) - 1, real);
  CHECK(value(penalty) == Approx(0.5 * (1 + 4 + 0.25)));
  CHECK_THAT(torch::autograd::grad({penalty}, {w})[0], IsClose(w.detach(), 1e-12));
  CHECK_FALSE(w.grad().defined());
  CHECK_FALSE(real.grad().defined());
}

}  // namespace genzoo
