#pragma once

#include <vector>

#include "core/kernels/kernels.h"
#include "tests/support.h"

namespace genzoo {

/// The copies of the kernels that this processor can run.
inline std::vector<const Kernels*> tables() {
  std::vector<const Kernels*> all{&kernels_plain::kTable};
#if defined(__x86_64__) && defined(__GNUC__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) all.push_back(&kernels_avx2::kTable);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq")) {
    all.push_back(&kernels_avx512::kTable);
  }
#endif
  return all;
}

/// Those of them whose products of bfloat16 blocks it can run.
inline std::vector<const Kernels*> tables_16() {
  std::vector<const Kernels*> all = tables();
#if defined(__x86_64__) && defined(__GNUC__)
  if (!__builtin_cpu_supports("avx512bf16")) std::erase(all, &kernels_avx512::kTable);
#endif
  return all;
}

}  // namespace genzoo
