#include "models/fused_gaussian.h"

#include "core/random.h"
#include "models/distributions.h"
#include "tests/models/relative_error.h"
#include "tests/support.h"

namespace genzoo {
namespace {

Rng stream(uint64_t seed) { return Rng::for_batch(seed, Purpose::initialization, 0); }

struct Posterior {
  Tensor moments, noise, of_z, of_divergence;  ///< the last two: gradients
  Posterior(int64_t rows, int64_t dims)
      : moments((2 * stream(1).normal({rows, 2 * dims})).requires_grad_()),
        noise(stream(2).normal({rows, dims})),
        of_z(stream(3).normal({rows, dims})),
        of_divergence(stream(4).normal({rows, dims})) {}
};

}  // namespace

TEST_CASE("the fused draw from a Gaussian, its divergence and their gradients are the plain ones", "[models][fused]") {
  for (const int64_t dims : {1, 2, 15, 16, 17, 33}) {
    for (const int64_t rows : {1, 3, 700}) {
      INFO(rows << " x " << dims);
      const Posterior q(rows, dims);
      const GaussianDraw fused = draw_gaussian(q.moments, q.noise), plain = plain_draw_gaussian(q.moments, q.noise);
      CHECK(relative_error(fused.z, plain.z) < 1e-6);
      CHECK(relative_error(fused.divergence, plain.divergence) < 1e-6);
      const auto gradient = [&](const GaussianDraw& draw) {
        return torch::autograd::grad({draw.z, draw.divergence}, {q.moments}, {q.of_z, q.of_divergence})[0];
      };
      CHECK(relative_error(gradient(fused), gradient(plain)) < 1e-6);
      const torch::NoGradGuard no_grad;
      const GaussianDraw again = draw_gaussian(q.moments, q.noise);
      CHECK(torch::equal(again.z, fused.z));
      CHECK(torch::equal(again.divergence, fused.divergence));
    }
  }
}

TEST_CASE("of a Gaussian's draw either result may go unused", "[models][fused]") {
  const Posterior q(5, 3);
  const GaussianDraw fused = draw_gaussian(q.moments, q.noise), plain = plain_draw_gaussian(q.moments, q.noise);
  const auto of = [&](const Tensor& output, const Tensor& gradient) {
    return torch::autograd::grad({output}, {q.moments}, {gradient}, /*retain_graph=*/true)[0];
  };
  CHECK_THAT(of(fused.z, q.of_z), IsClose(of(plain.z, q.of_z), 1e-5));
  CHECK_THAT(of(fused.divergence, q.of_divergence), IsClose(of(plain.divergence, q.of_divergence), 1e-5));
}

TEST_CASE("gradients of a Gaussian's draw have gradients", "[models][fused]") {
  const Posterior q(4, 3);
  const auto second = [&](const GaussianDraw& draw) {
    const Tensor first = torch::autograd::grad({(draw.z.square() + draw.divergence).sum()}, {q.moments}, {},
                                               /*retain_graph=*/true, /*create_graph=*/true)[0];
    return torch::autograd::grad({first.square().sum()}, {q.moments})[0];
  };
  CHECK(relative_error(second(draw_gaussian(q.moments, q.noise)), second(plain_draw_gaussian(q.moments, q.noise))) <
        1e-5);
}

TEST_CASE("a Gaussian's draw is the distributions' own", "[models][fused]") {
  const Tensor moments = stream(1).normal({6, 8});
  const DiagNormal q{moments.narrow(1, 0, 4), moments.narrow(1, 4, 4) / 2};
  Rng own = stream(9), fused = stream(9);
  const GaussianDraw draw = draw_gaussian(moments, fused.normal({6, 4}));
  CHECK_THAT(draw.z, IsClose(q.rsample(own), 1e-6));
  CHECK_THAT(draw.divergence, IsClose(kl_to_standard_normal(q), 1e-6));
  CHECK_THROWS_WITH(draw_gaussian(moments, own.normal({6, 5})), Catch::Matchers::Contains("[6, 8] by noise [6, 5]"));
}

}  // namespace genzoo
