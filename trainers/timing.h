#pragma once
// How long updates take. Measured on a trainer whose model is thrown away: what is timed is what a training does, but
// nobody is told and nothing is saved.

#include <functional>
#include <vector>

#include "trainers/trainer.h"

namespace genzoo {

/// Mean seconds of an update, from about `limit` seconds of them, at least two updates.
double seconds_per_update(Trainer& trainer, double limit);

/// Seconds of one call, from repeated calls.
struct Timing {
  std::vector<double> windows;  ///< seconds a call, the mean of each window
  double median() const;
  double min() const;
  double max() const;
};

/// Calls `action` in windows of about two seconds, `seconds` in all, after warming up; `finish` waits until the device
/// is done with what was asked of it. Of the calls in a window only the last 50 ms' are waited for.
Timing time_calls(const std::function<void()>& action, const std::function<void()>& finish, double seconds);

}  // namespace genzoo
