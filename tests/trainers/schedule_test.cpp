#include "trainers/schedule.h"

#include <cmath>

#include "tests/support.h"

namespace genzoo {
namespace {

bool near(double a, double b) { return std::abs(a - b) < 1e-12; }

TEST_CASE("every schedule rises linearly over its warm-up and then begins at lr", "[trainers]") {
  const std::vector<ScheduleConfig> schedules{ConstantSchedule{9}, LinearSchedule{9, 0.0}, CosineSchedule{9, 0.1},
                                              InverseSqrtSchedule{9}};
  for (const auto& schedule : schedules) {
    for (int64_t step = 0; step < 9; ++step) {
      CHECK(near(learning_rate(schedule, 2.0, step, 100), 2.0 * static_cast<double>(step + 1) / 10));
    }
    CHECK(learning_rate(schedule, 2.0, 9, 100) > 2.0 * 0.9);
    CHECK(learning_rate(schedule, 2.0, 9, 100) <= 2.0);
  }
}

TEST_CASE("the cosine is nanoGPT's", "[trainers]") {
  // train.py: lr 1e-3, min_lr 1e-4, warmup_iters 100, lr_decay_iters 2000.
  const ScheduleConfig schedule = CosineSchedule{100, 1e-4};
  CHECK(near(learning_rate(schedule, 1e-3, 0, 2000), 1e-3 / 101));
  CHECK(near(learning_rate(schedule, 1e-3, 100, 2000), 1e-3));
  CHECK(near(learning_rate(schedule, 1e-3, 1050, 2000), 0.5 * (1e-3 + 1e-4)));
  CHECK(learning_rate(schedule, 1e-3, 1999, 2000) < 1e-4 + 1e-9);
}

TEST_CASE("the inverse square root falls as Vaswani et al. say", "[trainers]") {
  const ScheduleConfig schedule = InverseSqrtSchedule{400};
  CHECK(near(learning_rate(schedule, 1.0, 399, 0), 400.0 / 401));
  CHECK(near(learning_rate(schedule, 1.0, 1599, 0), 0.5));
}

TEST_CASE("a warm-up longer than the training is legal", "[trainers]") {
  CHECK(near(learning_rate(CosineSchedule{100, 0.0}, 1.0, 9, 10), 10.0 / 101));
}

TEST_CASE("only schedules with an end depend on the number of steps", "[trainers]") {
  CHECK(depends_on_steps(LinearSchedule{}));
  CHECK(depends_on_steps(CosineSchedule{}));
  CHECK_FALSE(depends_on_steps(ConstantSchedule{}));
  CHECK_FALSE(depends_on_steps(InverseSqrtSchedule{}));
}

}  // namespace
}  // namespace genzoo
