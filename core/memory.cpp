#include "core/memory.h"

#include <fstream>
#include <string>
#ifdef __GLIBC__
#include <malloc.h>  // malloc_trim
#endif

// Of tcmalloc, where the program is linked with it.
extern "C" __attribute__((weak)) void MallocExtension_ReleaseFreeMemory();

namespace genzoo {

void start_peak_memory() {
  if (MallocExtension_ReleaseFreeMemory) MallocExtension_ReleaseFreeMemory();
#ifdef __GLIBC__
  malloc_trim(0);
#endif
  std::ofstream("/proc/self/clear_refs") << "5\n";  // proc(5): resets VmHWM; where it is not there nothing happens
}

std::optional<int64_t> peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;  // "VmHWM:   123456 kB"
  }
  return {};
}

}  // namespace genzoo
