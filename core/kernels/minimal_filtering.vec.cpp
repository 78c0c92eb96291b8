// Convolutions of stride 2 by minimal filtering in float32. Compiled once for each instruction set; see kernels.h.
#include "core/kernels/minimal_filtering.h"

namespace genzoo::GENZOO_KERNELS {

extern const LoweredConvolution<float> kMinimalFiltering = kByMinimalFiltering<float>;

}  // namespace genzoo::GENZOO_KERNELS
