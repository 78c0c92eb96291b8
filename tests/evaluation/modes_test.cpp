#include "evaluation/modes.h"

#include <cmath>

#include "core/error.h"
#include "data/toys.h"
#include "tests/support.h"

namespace genzoo {

TEST_CASE("modes covered, quality and histogram of samples, by hand", "[evaluation]") {
  const Modes modes{.centers = torch::tensor({{0.0, 0.0}, {10.0, 0.0}, {0.0, 10.0}}, torch::kDouble),
                    .weights = torch::tensor({0.5, 0.25, 0.25}, torch::kDouble),
                    .std = 1.0};
  // Mode 0: two of high quality, one of them just, and one beyond; mode 1: one of high quality, one beyond; mode 2: one
  // beyond, so not covered.
  const Tensor samples =
      torch::tensor({{0.1F, 0.2F}, {3.0F, 0.0F}, {2.2F, 2.2F}, {9.0F, 1.0F}, {10.0F, -3.1F}, {0.0F, 6.0F}});
  const ModeMetrics metrics = mode_metrics(samples, modes);
  CHECK(metrics.modes == 3);
  CHECK(metrics.covered == 2);
  CHECK(metrics.high_quality == 0.5);
  REQUIRE(metrics.reverse_kl);
  CHECK(*metrics.reverse_kl == Approx(2 / 3.0 * std::log(2 / 3.0 / 0.5) + 1 / 3.0 * std::log(1 / 3.0 / 0.25)));

  const ModeMetrics none = mode_metrics(samples + 50, modes);
  CHECK(none.covered == 0);
  CHECK(none.high_quality == 0);
  CHECK_FALSE(none.reverse_kl);
  CHECK_THROWS_AS(mode_metrics(samples / 0, modes), RunError);
  CHECK_THROWS_AS(mode_metrics(samples.slice(1, 0, 1), modes), std::logic_error);
}

TEST_CASE("the mixtures of the plane know their modes, and their own samples have them all", "[evaluation]") {
  const Dataset eight = open(EightGaussiansConfig{}, DataPlaces{}), grid = open(GridGaussiansConfig{}, DataPlaces{});
  for (const Dataset* set : {&eight, &grid}) {
    INFO(set->spec.dataset);
    REQUIRE(set->modes);
    const int64_t count = set->spec.classes;
    CHECK(set->modes->centers.sizes() == torch::IntArrayRef({count, 2}));
    CHECK_THAT(set->modes->weights,
               IsClose(torch::full({count}, 1.0 / static_cast<double>(count), torch::kDouble), 1e-12));
    const ModeMetrics metrics = mode_metrics(set->test.x, *set->modes);
    CHECK(metrics.modes == count);
    CHECK(metrics.covered == count);
    // Within three standard deviations: 1 - exp(-9/2), of 10,000 +- 0.00105.
    CHECK(metrics.high_quality == Approx(1 - std::exp(-4.5)).margin(5 * 0.00105));
    REQUIRE(metrics.reverse_kl);
    CHECK(*metrics.reverse_kl < 0.005);  // (M - 1) / 2N on average
    CHECK(*metrics.reverse_kl > 0);

    const Tensor one = set->test.x.index({set->test.y.eq(3)});
    const ModeMetrics collapsed = mode_metrics(one, *set->modes);
    CHECK(collapsed.covered == 1);
    CHECK(*collapsed.reverse_kl == Approx(std::log(count)).epsilon(1e-12));
  }
  CHECK_FALSE(open(TwoMoonsConfig{}, DataPlaces{}).modes);
}

}  // namespace genzoo
