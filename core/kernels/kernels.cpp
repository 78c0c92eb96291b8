#include "core/kernels/kernels.h"

#include <ATen/Version.h>

#include <string>

namespace genzoo {

const Kernels& kernels() {
  static const Kernels& chosen = []() -> const Kernels& {
#ifdef GENZOO_X86_KERNELS
    const std::string capability = at::get_cpu_capability();
    if (capability == "AVX512") return kernels_avx512::kTable;
    if (capability == "AVX2") return kernels_avx2::kTable;
#endif
    return kernels_plain::kTable;
  }();
  return chosen;
}

}  // namespace genzoo
