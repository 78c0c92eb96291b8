#include "trainers/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace genzoo {
namespace {

constexpr const char* kWarmupDoc = "steps over which the learning rate rises linearly";
constexpr const char* kFinalDoc = "learning rate that the fall ends at";

/// How far the fall from lr to final_lr has come, 0 ... 1, at a step after the warm-up.
double progress(int64_t step, int64_t warmup_steps, int64_t steps) {
  const double length = static_cast<double>(std::max<int64_t>(steps - warmup_steps, 1));
  return std::clamp(static_cast<double>(step - warmup_steps) / length, 0.0, 1.0);
}

struct After {
  double lr;
  int64_t step, steps;
  double operator()(const ConstantSchedule&) const { return lr; }
  double operator()(const LinearSchedule& s) const {
    return lr + (s.final_lr - lr) * progress(step, s.warmup_steps, steps);
  }
  double operator()(const CosineSchedule& s) const {
    const double share = 0.5 * (1 + std::cos(std::numbers::pi * progress(step, s.warmup_steps, steps)));
    return s.final_lr + (lr - s.final_lr) * share;
  }
  double operator()(const InverseSqrtSchedule& s) const {
    const double top = static_cast<double>(std::max<int64_t>(s.warmup_steps, 1));
    return lr * std::sqrt(top / std::max(static_cast<double>(step + 1), top));
  }
};

}  // namespace

void ConstantSchedule::fields(Fields& f) { f("warmup_steps", warmup_steps, kWarmupDoc, non_negative); }

void LinearSchedule::fields(Fields& f) {
  f("warmup_steps", warmup_steps, kWarmupDoc, non_negative);
  f("final_lr", final_lr, kFinalDoc, non_negative);
}

void CosineSchedule::fields(Fields& f) {
  f("warmup_steps", warmup_steps, kWarmupDoc, non_negative);
  f("final_lr", final_lr, kFinalDoc, non_negative);
}

void InverseSqrtSchedule::fields(Fields& f) { f("warmup_steps", warmup_steps, kWarmupDoc, non_negative); }

double learning_rate(const ScheduleConfig& schedule, double lr, int64_t step, int64_t steps) {
  const int64_t warmup = std::visit([](const auto& s) { return s.warmup_steps; }, schedule);
  if (step < warmup) return lr * static_cast<double>(step + 1) / static_cast<double>(warmup + 1);
  return std::visit(After{lr, step, steps}, schedule);
}

bool depends_on_steps(const ScheduleConfig& schedule) {
  return std::holds_alternative<LinearSchedule>(schedule) || std::holds_alternative<CosineSchedule>(schedule);
}

}  // namespace genzoo
