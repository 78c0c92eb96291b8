#include "core/process.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace genzoo {
namespace {

double ticks_per_second() { return static_cast<double>(sysconf(_SC_CLK_TCK)); }

double seconds_of(const timeval& t) { return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec); }

}  // namespace

double seconds_since_process_start() {
  std::ifstream file("/proc/self/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  // proc(5): the second field is a name in parentheses, which may hold anything; field 22 is when it started.
  std::istringstream fields(text.substr(std::min(text.size(), text.rfind(')') + 1)));
  std::string field;
  for (int i = 3; i <= 22; ++i) fields >> field;
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const double since_boot = static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
  return fields ? since_boot - std::stod(field) / ticks_per_second() : 0.0;
}

CpuSeconds cpu_seconds() {
  std::ifstream file("/proc/stat");
  std::string word;
  if (!(file >> word) || word != "cpu") return {};
  // proc(5): user, nice, system, idle, ...
  double user = 0, nice = 0, system = 0, idle = 0;
  file >> user >> nice >> system >> idle;
  rusage own{};
  getrusage(RUSAGE_SELF, &own);
  const double busy = (user + nice + system) / ticks_per_second();
  return {busy + idle / ticks_per_second(), busy, seconds_of(own.ru_utime) + seconds_of(own.ru_stime)};
}

double share_of_others(const CpuSeconds& before, const CpuSeconds& after) {
  const double capacity = after.capacity - before.capacity;
  if (!(capacity > 0)) return 0.0;
  return std::max(0.0, (after.busy - before.busy) - (after.own - before.own)) / capacity;
}

}  // namespace genzoo
