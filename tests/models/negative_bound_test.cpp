#include "models/vae/negative_bound.h"

#include <cmath>
#include <limits>

#include "core/random.h"
#include "tests/models/relative_error.h"
#include "tests/support.h"

namespace genzoo {
namespace {

Rng stream(uint64_t seed) { return Rng::for_batch(seed, Purpose::initialization, 0); }

struct Examples {
  Tensor log_likelihood, divergence;
  Examples(int64_t rows, int64_t dims, torch::ScalarType type = torch::kFloat)
      : log_likelihood((-100 * stream(1).uniform({rows})).to(type).requires_grad_()),
        divergence(stream(2).uniform({rows, dims}).to(type).requires_grad_()) {}
  std::vector<Tensor> gradients_of(const Tensor& total) const {
    return torch::autograd::grad({total}, {log_likelihood, divergence}, {torch::full_like(total, 1.5)});
  }
};

}  // namespace

TEST_CASE("a VAE's fused bound and its gradients are the plain ones", "[models][fused]") {
  for (const int64_t dims : {1, 3, 20}) {
    for (const int64_t rows : {1, 7, 128}) {
      for (const double free_bits : {0.0, 0.5}) {
        INFO(rows << " x " << dims << ", " << free_bits);
        const Examples e(rows, dims);
        const NegativeBound fused = negative_bound(e.log_likelihood, e.divergence, 0.7, free_bits),
                            plain = plain_negative_bound(e.log_likelihood, e.divergence, 0.7, free_bits);
        CHECK_THAT(fused.total, IsClose(plain.total, 1e-5));
        CHECK_THAT(fused.reconstruction, IsClose(plain.reconstruction, 1e-5));
        CHECK_THAT(fused.kl, IsClose(plain.kl, 1e-5));
        CHECK_FALSE(fused.reconstruction.requires_grad());
        CHECK_FALSE(fused.kl.requires_grad());
        const auto got = e.gradients_of(fused.total), wanted = e.gradients_of(plain.total);
        CHECK(relative_error(got[0], wanted[0]) < 1e-6);
        CHECK(relative_error(got[1], wanted[1]) < 1e-6);
        const torch::NoGradGuard no_grad;
        CHECK(torch::equal(negative_bound(e.log_likelihood, e.divergence, 0.7, free_bits).total, fused.total));
      }
    }
  }
}

TEST_CASE("of a VAE's bound a dimension within its free nats has no gradient", "[models][fused]") {
  const Tensor log_likelihood = torch::zeros({2}), divergence = torch::tensor({{0.1F, 3.0F}, {0.3F, 5.0F}});
  const Tensor d = divergence.requires_grad_();
  const NegativeBound bound = negative_bound(log_likelihood, d, 2, 1);
  CHECK(bound.total.item<double>() == Approx(2 * (1 + 4)));
  CHECK(bound.kl.item<double>() == Approx(0.2 + 4));
  bound.total.backward();
  CHECK_THAT(d.grad(), IsClose(torch::tensor({{0.0F, 1.0F}, {0.0F, 1.0F}}), 1e-6));
}

TEST_CASE("gradients of a VAE's bound have gradients", "[models][fused]") {
  const Examples e(5, 3);
  const auto second = [&](const auto& bound) {
    const Tensor x = e.log_likelihood.square(), total = bound(x, e.divergence.square(), 0.7, 0.2).total;
    const Tensor first = torch::autograd::grad({total.square()}, {e.divergence}, {}, /*retain_graph=*/true,
                                               /*create_graph=*/true)[0];
    return torch::autograd::grad({first.square().sum()}, {e.log_likelihood, e.divergence});
  };
  const auto got = second(negative_bound), wanted = second(plain_negative_bound);
  CHECK(relative_error(got[0], wanted[0]) < 1e-5);
  CHECK(relative_error(got[1], wanted[1]) < 1e-5);
}

TEST_CASE("a VAE's bound keeps what is no number, and takes other types", "[models][fused]") {
  Tensor log_likelihood = torch::zeros({3}), divergence = torch::zeros({3, 2});
  divergence.index_put_({1, 1}, std::numeric_limits<float>::quiet_NaN());
  CHECK(std::isnan(negative_bound(log_likelihood, divergence, 1, 0.1).total.item<double>()));
  const Examples wide(4, 2, torch::kDouble);
  const NegativeBound bound = negative_bound(wide.log_likelihood, wide.divergence, 1, 0);
  CHECK(bound.total.scalar_type() == torch::kDouble);
  CHECK_THROWS_WITH(negative_bound(log_likelihood, torch::zeros({4, 2}), 1, 0),
                    Catch::Matchers::Contains("[3] and divergences [4, 2]"));
}

}  // namespace genzoo
