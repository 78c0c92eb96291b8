#pragma once
// What this machine can do at best: the ceilings that a step's speed is a share of.

#include "core/json.h"

namespace genzoo {

/// Best of many short measurements.
struct MachineLimits {
  double float32_flops = 0.0;   ///< matrix products, FLOP/s
  double bfloat16_flops = 0.0;  ///< the same in bfloat16, summed in float32
  double read_bytes = 0.0;      ///< bytes/s read from main memory by all threads at once
  double update_bytes = 0.0;    ///< bytes/s of x += y: two read, one written

  Json to_json() const;
};

/// Measures with the threads that are set, about `seconds` for each of the four.
MachineLimits measure_limits(double seconds);

}  // namespace genzoo
