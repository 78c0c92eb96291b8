#include "models/distributions.h"

#include <ATen/CPUGeneratorImpl.h>

#include "tests/support.h"

namespace genzoo {
namespace {

const auto kDouble = torch::TensorOptions(torch::kDouble);

Rng stream(uint64_t step = 0) { return Rng::for_batch(7, Purpose::loss, step); }

Tensor column(std::initializer_list<double> values) {
  return torch::tensor(std::vector<double>(values), kDouble).unsqueeze(1);
}

/// log P of each level (rows) under each mean and scale (columns); every tail is reached.
Tensor log_prob_of_levels(const Tensor& mean, const Tensor& log_scale, int64_t levels) {
  const Tensor level = torch::arange(levels).unsqueeze(1).expand({levels, mean.numel()});
  const DiscretizedLogistic p{mean.expand_as(level).reshape({-1, 1}), log_scale.expand_as(level).reshape({-1, 1}),
                              levels};
  return p.log_prob(level.reshape({-1, 1})).view({levels, mean.numel()});
}

}  // namespace

TEST_CASE("a normal density integrates to one and has its mean and spread", "[models][distributions][law]") {
  const double h = 0.01;
  const Tensor x = torch::arange(-20, 20, h, kDouble).unsqueeze(1);
  const DiagNormal p{torch::full_like(x, 0.7), torch::full_like(x, 0.3)};
  const Tensor density = p.log_prob(x).exp() * h;
  CHECK(density.sum().item<double>() == Approx(1).epsilon(1e-9));
  CHECK((density * x.squeeze(1)).sum().item<double>() == Approx(0.7).epsilon(1e-9));
  CHECK((density * (x.squeeze(1) - 0.7).square()).sum().item<double>() == Approx(std::exp(0.6)).epsilon(1e-9));
  CHECK_THAT(standard_normal_log_prob(x),
             IsClose(DiagNormal{torch::zeros_like(x), torch::zeros_like(x)}.log_prob(x), 1e-12));
}

TEST_CASE("a log-probability sums over everything but the batch", "[models][distributions]") {
  Rng rng = stream();
  const Tensor x = rng.normal({3, 2, 4, 5});
  const DiagNormal p{rng.normal({3, 2, 4, 5}), rng.normal({1, 2, 1, 1})};  // a log_std to be broadcast
  const DiagNormal flat{p.mean.flatten(1), p.log_std.expand_as(x).flatten(1)};
  REQUIRE(p.log_prob(x).sizes() == torch::IntArrayRef({3}));
  CHECK_THAT(p.log_prob(x), IsClose(flat.log_prob(x.flatten(1)), 1e-4));
  CHECK_THAT(p.log_prob(x).slice(0, 1, 2),
             IsClose(DiagNormal{p.mean.slice(0, 1, 2), p.log_std}.log_prob(x.slice(0, 1, 2))));
}

TEST_CASE("reparameterized draws have the distribution's moments, and its gradients", "[models][distributions][law]") {
  const int64_t n = 200000;
  Rng rng = stream();
  Tensor mean = torch::tensor({-1.0, 2.0}, kDouble).requires_grad_();
  Tensor log_std = torch::tensor({0.5, -1.0}, kDouble).requires_grad_();
  const Tensor x = DiagNormal{mean.expand({n, 2}), log_std.expand({n, 2})}.rsample(rng);
  CHECK_THAT(x.mean(0), IsClose(mean, 5 * 1.7 / std::sqrt(n)));
  CHECK_THAT(x.std(0).log(), IsClose(log_std, 5 / std::sqrt(2.0 * n)));
  // d/dmean E[x^2] = 2 mean, d/dlog_std E[x^2] = 2 std^2
  x.square().mean(0).sum().backward();
  CHECK_THAT(mean.grad(), IsClose(2 * mean, 0.05));
  CHECK_THAT(log_std.grad(), IsClose(2 * (2 * log_std).exp(), 0.1));
}

TEST_CASE("the closed-form KL to the standard normal is the mean log-ratio of draws", "[models][distributions][law]") {
  const int64_t n = 200000;
  Rng rng = stream();
  const Tensor mean = torch::tensor({0.0, -1.0, 2.0}, kDouble), log_std = torch::tensor({0.0, 0.4, -1.5}, kDouble);
  const Tensor closed = kl_to_standard_normal({mean.unsqueeze(0), log_std.unsqueeze(0)}).squeeze(0);
  const Tensor z = DiagNormal{mean.expand({n, 3}), log_std.expand({n, 3})}.rsample(rng);
  for (int64_t d = 0; d < 3; ++d) {
    const Tensor zd = z.select(1, d).unsqueeze(1);
    const DiagNormal q{mean[d].expand({n, 1}), log_std[d].expand({n, 1})};
    const Tensor log_ratio = q.log_prob(zd) - standard_normal_log_prob(zd);
    const double standard_error = log_ratio.std().item<double>() / std::sqrt(n);
    INFO("dimension " << d);
    CHECK(std::abs(log_ratio.mean().item<double>() - closed[d].item<double>()) <= 4 * standard_error + 1e-12);
  }
}

TEST_CASE("Bernoulli probabilities sum to one and match the draws", "[models][distributions][law]") {
  const Tensor logits = torch::tensor({-0.4, 2.0, 0.0}, kDouble);
  const Tensor bits = torch::arange(8).unsqueeze(1).bitwise_right_shift(torch::arange(3)).bitwise_and(1);
  const Bernoulli p{logits.expand({8, 3})};
  CHECK(p.log_prob(bits).exp().sum().item<double>() == Approx(1).epsilon(1e-12));

  const int64_t n = 100000;
  Rng rng = stream();
  const Tensor drawn = Bernoulli{logits.expand({n, 3})}.sample(rng);
  CHECK(drawn.eq(0).logical_or(drawn.eq(1)).all().item<bool>());
  CHECK_THAT(drawn.mean(0), IsClose(logits.sigmoid(), 4 * 0.5 / std::sqrt(n)));
}

TEST_CASE("Bernoulli log-probabilities of extreme logits are finite", "[models][distributions]") {
  const Bernoulli p{torch::tensor({{200.0F}, {-200.0F}})};
  CHECK_THAT(p.log_prob(torch::tensor({{0.0F}, {1.0F}})), IsClose(torch::tensor({-200.0, -200.0}), 1e-4));
}

TEST_CASE("discretized logistic probabilities sum to one over the levels", "[models][distributions][law]") {
  const Tensor means = torch::tensor({-30.0, -1.0, -0.3137, 0.0, 0.999, 1.7}, kDouble);
  for (const int64_t levels : {2, 4, 256}) {
    for (const double log_scale : {-12.0, -7.0, -2.0, 0.0, 3.0, 12.0}) {
      for (const auto dtype : {torch::kDouble, torch::kFloat}) {
        const Tensor mean = means.to(dtype);
        const Tensor total = log_prob_of_levels(mean, torch::full_like(mean, log_scale), levels).exp().sum(0);
        INFO("levels " << levels << ", log-scale " << log_scale << ", " << dtype);
        // A scale s turns the rounding of an edge, 1e-7 in float32, into one of 1e-7 / s in the logistic's argument.
        const double rounding = dtype == torch::kDouble ? 1e-9 : 2e-6 + 2e-7 * std::exp(std::min(-log_scale, 9.0));
        CHECK_THAT(total, IsClose(torch::ones_like(total), rounding));
      }
    }
  }
}

TEST_CASE("the discretized logistic is the logistic's mass in a pixel's bin", "[models][distributions]") {
  // Salimans et al. (2017), eq. (2), with pixels at level / 127.5 - 1 and bins of half-width 1 / 255.
  const Tensor mean = torch::tensor({-0.2, 0.5}, kDouble), log_scale = torch::tensor({-2.0, -1.0}, kDouble);
  const Tensor center = torch::arange(256, kDouble).unsqueeze(1) / 127.5 - 1;
  const double infinity = std::numeric_limits<double>::infinity();
  Tensor upper = center + 1.0 / 255, lower = center - 1.0 / 255;
  upper[255].fill_(infinity);
  lower[0].fill_(-infinity);
  const Tensor scale = log_scale.exp();
  const Tensor expected = ((upper - mean) / scale).sigmoid() - ((lower - mean) / scale).sigmoid();
  CHECK_THAT(log_prob_of_levels(mean, log_scale, 256).exp(), IsClose(expected, 1e-13));
}

TEST_CASE("the discretized logistic is finite far out in float32, and so are its gradients",
          "[models][distributions]") {
  for (const double log_scale : {-7.0, 0.0, 30.0}) {
    Tensor mean = torch::tensor({-40.0F, -1.0F, 0.0F, 1.0F, 40.0F}).requires_grad_();
    Tensor scale = torch::full({5}, log_scale).requires_grad_();
    const Tensor log_p = log_prob_of_levels(mean, scale, 256);
    log_p.sum().backward();
    INFO("log-scale " << log_scale);
    CHECK(log_p.isfinite().all().item<bool>());
    CHECK(log_p.le(0).all().item<bool>());
    CHECK(mean.grad().isfinite().all().item<bool>());
    CHECK(scale.grad().isfinite().all().item<bool>());
  }
}

TEST_CASE("the discretized logistic's gradients are its slopes", "[models][distributions][law]") {
  const Tensor level = torch::arange(256).unsqueeze(1);
  const auto f = [&](const Tensor& mean_and_log_scale) {
    const Tensor wide = mean_and_log_scale.expand({256, 2});
    return DiscretizedLogistic{wide.slice(1, 0, 1), wide.slice(1, 1, 2), 256}.log_prob(level);
  };
  auto generator = at::make_generator<at::CPUGeneratorImpl>(3);
  CHECK(gradient_error(f, torch::tensor({{0.1, -3.0}}), generator) < 1e-6);
  CHECK(gradient_error(f, torch::tensor({{-0.9, 8.0}}), generator) < 1e-6);
}

TEST_CASE("discretized logistic draws have its probabilities", "[models][distributions][law]") {
  const int64_t n = 100000, levels = 5;
  Rng rng = stream();
  const Tensor mean = torch::full({n, 1}, 0.2), log_scale = torch::full({n, 1}, -1.2);
  const Tensor drawn = DiscretizedLogistic{mean, log_scale, levels}.sample(rng);
  const Tensor frequency = drawn.to(torch::kLong).flatten().bincount(/*weights=*/{}, levels).to(torch::kDouble) / n;
  const Tensor p =
      log_prob_of_levels(torch::tensor({0.2}, kDouble), torch::tensor({-1.2}, kDouble), levels).exp().flatten();
  CHECK_THAT(frequency, IsClose(p, 4 * 0.5 / std::sqrt(n)));
}

TEST_CASE("the mean level is the one whose bin holds the mean", "[models][distributions]") {
  const Tensor mean = torch::cat({torch::arange(256).to(torch::kFloat) / 127.5 - 1, torch::tensor({-3.0F, 3.0F})});
  const Tensor level = DiscretizedLogistic{mean, torch::zeros_like(mean)}.mean_level();
  CHECK_THAT(level, IsClose(torch::cat({torch::arange(256), torch::tensor({0, 255})}), 0));
}

TEST_CASE("draws of row streams do not depend on the other rows", "[models][distributions][law]") {
  const auto draw = [](int64_t rows) {
    Rng rng = Rng::for_rows(1, Purpose::sample, /*first_row=*/0, rows);
    const Tensor zeros = torch::zeros({rows, 3, 4});
    return torch::stack({DiagNormal{zeros, zeros}.rsample(rng), Bernoulli{zeros}.sample(rng),
                         DiscretizedLogistic{zeros, zeros}.sample(rng)},
                        1);
  };
  CHECK_THAT(draw(5).slice(0, 0, 2), IsClose(draw(2), 0));
}

TEST_CASE("log_mean_exp is the log of a mean, whatever its size", "[models][distributions]") {
  const Tensor x = column({0.5, -1, 2});
  CHECK_THAT(log_mean_exp(x, 0), IsClose(x.exp().mean(0).log(), 1e-14));
  CHECK_THAT(log_mean_exp(x - 1e4, 0), IsClose(x.exp().mean(0).log() - 1e4, 1e-11));
}

}  // namespace genzoo
