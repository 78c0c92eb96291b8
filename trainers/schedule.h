#pragma once
// Learning rates as pure functions of the step. Every schedule rises linearly over its warm-up.

#include <cstdint>
#include <variant>

#include "core/config.h"

namespace genzoo {

struct ConstantSchedule {
  static constexpr const char* kName = "constant";
  int64_t warmup_steps = 0;
  void fields(Fields& f);
};

/// Falls linearly from lr to final_lr, which step number `steps`, one after the last, would have.
struct LinearSchedule {
  static constexpr const char* kName = "linear";
  int64_t warmup_steps = 0;
  double final_lr = 0.0;
  void fields(Fields& f);
};

/// Falls from lr to final_lr along half a cosine, to the same end (as nanoGPT's). Loshchilov & Hutter (2017), without
/// restarts.
struct CosineSchedule {
  static constexpr const char* kName = "cosine";
  int64_t warmup_steps = 0;
  double final_lr = 0.0;
  void fields(Fields& f);
};

/// lr sqrt(warmup / step) after the warm-up. Vaswani et al. (2017), section 5.3, scaled to reach lr at its top.
struct InverseSqrtSchedule {
  static constexpr const char* kName = "inverse_sqrt";
  int64_t warmup_steps = 4000;
  void fields(Fields& f);
};

using ScheduleConfig = std::variant<ConstantSchedule, LinearSchedule, CosineSchedule, InverseSqrtSchedule>;

/// The learning rate of step 0, 1, ... steps - 1.
double learning_rate(const ScheduleConfig& schedule, double lr, int64_t step, int64_t steps);

/// Whether the rate of a step depends on how many steps there will be; such a run cannot be lengthened.
bool depends_on_steps(const ScheduleConfig& schedule);

}  // namespace genzoo
