// Convolutions of stride 2 by minimal filtering in bfloat16. Compiled once for each instruction set; see kernels.h.
#include "core/kernels/minimal_filtering.h"

namespace genzoo::GENZOO_KERNELS {

extern const LoweredConvolution<BFloat16> kMinimalFiltering16 = kByMinimalFiltering<BFloat16>;

}  // namespace genzoo::GENZOO_KERNELS
