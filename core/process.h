#pragma once
// The clocks of this process and of the machine it shares with others.

namespace genzoo {

/// Seconds since this process began, to a hundredth: also those before main.
double seconds_since_process_start();

/// CPU seconds so far. Where the system does not tell, all zero.
struct CpuSeconds {
  double capacity = 0.0;  ///< of all cores the machine has, busy or idle
  double busy = 0.0;      ///< of all processes
  double own = 0.0;       ///< of this one
};
CpuSeconds cpu_seconds();

/// The share of the machine that other processes used between two readings.
double share_of_others(const CpuSeconds& before, const CpuSeconds& after);

}  // namespace genzoo
