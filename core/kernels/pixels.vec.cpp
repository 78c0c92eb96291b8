// Whole numbers of a byte as numbers to compute with. Compiled once for each instruction set; see kernels.h.
#include "core/kernels/table.h"

namespace genzoo::GENZOO_KERNELS {

void scale_bytes(const uint8_t* x, float* y, float divisor, float shift, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<float>(x[i]) / divisor + shift;
}

}  // namespace genzoo::GENZOO_KERNELS
