#include "models/pixels.h"

#include <torch/utils.h>

#include "core/kernels/kernels.h"
#include "core/workers.h"

namespace genzoo {

Tensor scaled_pixels(const Tensor& x, double divisor, double shift, torch::ScalarType type) {
  if (!x.is_cpu() || x.scalar_type() != torch::kByte || type != torch::kFloat || !x.is_non_overlapping_and_dense()) {
    const Tensor scaled = x.to(type) / divisor;
    return shift == 0 ? scaled : scaled + shift;
  }
  const Tensor y = at::empty_like(x, x.options().dtype(type));  // with x's strides
  const auto* from = x.const_data_ptr<uint8_t>();
  auto* to = y.mutable_data_ptr<float>();
  for_ranges(/*workers=*/nullptr, x.numel(), /*align=*/64, [&](int64_t begin, int64_t end) {
    kernels().scale_bytes(from + begin, to + begin, static_cast<float>(divisor), static_cast<float>(shift),
                          end - begin);
  });
  return y;
}

}  // namespace genzoo
