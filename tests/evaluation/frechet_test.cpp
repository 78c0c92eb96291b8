#include "evaluation/frechet.h"

#include <cmath>

#include "core/error.h"
#include "core/random.h"
#include "data/images.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using Catch::Matchers::Contains;

Tensor normal(int64_t rows, int64_t dims, uint64_t stream = 0) {
  return Rng::for_batch(0, Purpose::synthetic_data, stream).normal({rows, dims}).to(torch::kDouble);
}

GaussianMoments gaussian(const Tensor& mean, const Tensor& covariance) { return {mean, covariance, 1000000}; }

Tensor rotation(double angle) {
  return torch::tensor({std::cos(angle), -std::sin(angle), std::sin(angle), std::cos(angle)}, torch::kDouble)
      .view({2, 2});
}

// Dequantized (pixel + u) / 256, then logit(lambda + (1 - 2 lambda) x), lambda = 1e-6: (N, 784) float32.
Tensor logit_pixels(const Tensor& x, uint64_t stream) {
  constexpr double kLambda = 1e-6;
  Rng rng = Rng::for_batch(0, Purpose::score, stream);
  std::vector<Tensor> parts;
  for (const Tensor& rows : x.flatten(1).split(5000)) {
    const Tensor pixels = (rows.to(torch::kDouble) + rng.uniform(rows.sizes())) / 256;
    parts.push_back((kLambda + (1 - 2 * kLambda) * pixels).logit().to(torch::kFloat));
  }
  return torch::cat(parts);
}

}  // namespace

TEST_CASE("the moments of examples are their mean and unbiased covariance, far from the origin too", "[evaluation]") {
  const Tensor x = normal(3000, 3) * torch::tensor({1.0, 2.0, 0.0}, torch::kDouble);  // several blocks; a constant
  const auto moments = GaussianMoments::of(x + 1e6);
  CHECK(moments.count == 3000);
  CHECK_THAT(moments.mean, IsClose(x.mean(/*dim=*/0) + 1e6, 1e-8));
  const Tensor centered = x - x.mean(/*dim=*/0);
  CHECK_THAT(moments.covariance, IsClose(centered.t().matmul(centered) / 2999, 1e-8));

  CHECK_THROWS_AS(GaussianMoments::of(x.slice(0, 0, 1)), UsageError);
  const Tensor diverged = torch::full({4, 2}, NAN);
  CHECK_THROWS_AS(GaussianMoments::of(diverged), RunError);
}

TEST_CASE("the density of a Gaussian is its formula, and a flat one has none", "[evaluation]") {
  const Tensor mean = torch::tensor({1.0, -2.0}, torch::kDouble);
  const Tensor covariance = torch::tensor({2.0, 0.6, 0.6, 0.5}, torch::kDouble).view({2, 2});  // determinant 0.64
  const Tensor x = torch::tensor({{1.0, -2.0}, {2.0, -1.0}});
  // (1, 1) inverse(covariance) (1, 1)' = (0.5 - 0.6 - 0.6 + 2) / 0.64.
  const double peak = -std::log(2 * M_PI) - 0.5 * std::log(0.64);
  CHECK_THAT(gaussian(mean, covariance).log_density(x),
             IsClose(torch::tensor({peak, peak - 0.5 * 1.3 / 0.64}, torch::kDouble), 1e-12));
  CHECK_THROWS_WITH(gaussian(mean, torch::ones({2, 2}, torch::kDouble)).log_density(x),
                    Contains("not positive definite"));
}

TEST_CASE("a covariance is refused fewer samples than it has rank", "[evaluation]") {
  CHECK_NOTHROW(require_samples_for_covariance(785, 784));
  CHECK_THROWS_AS(require_samples_for_covariance(784, 784), UsageError);
  CHECK_THROWS_WITH(require_samples_for_covariance(500, 784), Contains("got 500") && Contains("at least 785"));
}

TEST_CASE("the Frechet distance of Gaussians has its closed forms", "[evaluation]") {
  const Tensor zero = torch::zeros({2}, torch::kDouble);
  const auto diagonal = [](double a, double b) { return torch::diag(torch::tensor({a, b}, torch::kDouble)); };
  SECTION("covariances that commute: the distance of the standard deviations") {
    const Tensor mean = torch::tensor({3.0, 4.0}, torch::kDouble), turn = rotation(0.7);
    const auto turned = [&](const Tensor& c) { return turn.matmul(c).matmul(turn.t()); };
    const auto a = gaussian(zero, turned(diagonal(4, 9))), b = gaussian(mean, turned(diagonal(1, 25)));
    CHECK(frechet_distance(a, b) == Approx(25 + 1 + 4).epsilon(1e-12));
  }
  SECTION("covariances that do not: the trace of the root of a 2x2 matrix from its trace and determinant") {
    // tr (A B)^1/2 = sqrt(tr AB + 2 sqrt(det A det B)).
    const Tensor a = diagonal(4, 9), b = rotation(0.5).matmul(diagonal(1, 25)).matmul(rotation(-0.5));
    const double root = std::sqrt(a.matmul(b).trace().item<double>() + 2 * std::sqrt(36.0 * 25.0));
    CHECK(frechet_distance(gaussian(zero, a), gaussian(zero, b)) == Approx(13 + 26 - 2 * root).epsilon(1e-12));
    CHECK(std::abs(root - (2 * 1 + 3 * 5)) > 0.1);  // that of commuting ones is another
  }
  SECTION("singular covariances") {
    CHECK(frechet_distance(gaussian(zero, diagonal(4, 0)), gaussian(zero, diagonal(0, 9))) == Approx(13));
    CHECK(frechet_distance(gaussian(zero, diagonal(4, 0)), gaussian(zero, diagonal(1, 0))) == Approx(1));
  }
  CHECK_THROWS_AS(frechet_distance(gaussian(zero, diagonal(1, 1)), GaussianMoments::of(normal(9, 3))),
                  std::logic_error);
}

TEST_CASE("the Frechet distance of a set from itself is zero and from its shift the square of that", "[evaluation]") {
  for (const int64_t rows : {1000, 50}) {  // of full rank; of rank 49 in 100 dimensions
    const Tensor x = normal(rows, 100);
    const auto a = GaussianMoments::of(x), shifted = GaussianMoments::of(x + 0.5);
    INFO(rows << " examples: " << frechet_distance(a, a));
    CHECK(std::abs(frechet_distance(a, a)) < 1e-6);
    CHECK(frechet_distance(a, shifted) == Approx(25).margin(1e-6));
  }
}

TEST_CASE("a Gaussian on logit MNIST has the log-likelihood of the literature", "[evaluation]") {
  if (!data_dir("mnist")) SKIP("no MNIST: set GENZOO_DATA to the folder that holds mnist/");
  // Papamakarios et al., Masked Autoregressive Flow (2017), table 2: -1366.9 +- 1.4 nats, two standard errors.
  MNISTConfig config;
  config.validation = 10000;
  const Dataset mnist = open(config, DataPlaces::from_environment());
  REQUIRE(mnist.train.x.size(0) == 50000);
  const auto fitted = GaussianMoments::of(logit_pixels(mnist.train.x, 0));
  const Tensor log_p = fitted.log_density(logit_pixels(mnist.test.x, 1));
  const double mean = log_p.mean().item<double>(), error = log_p.std().item<double>() / 100;
  INFO(mean << " +- " << 2 * error << " nats");
  CHECK(std::abs(mean + 1366.9) < 1.4);
  CHECK(2 * error == Approx(1.4).margin(0.05));
}

}  // namespace genzoo
