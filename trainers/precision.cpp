#include "trainers/precision.h"

#include <ATen/autocast_mode.h>

namespace genzoo {

Autocast::Autocast(torch::Device device, Precision precision)
    : device_(device.type()), on_(precision == Precision::bfloat16) {
  if (!on_) return;
  was_enabled_ = at::autocast::is_autocast_enabled(device_);
  was_type_ = at::autocast::get_autocast_dtype(device_);
  at::autocast::set_autocast_dtype(device_, at::kBFloat16);  // CUDA's default is float16
  at::autocast::set_autocast_enabled(device_, true);
  at::autocast::increment_nesting();
}

Autocast::~Autocast() {
  if (!on_) return;
  // Cached casts of the weights are stale once the optimizer has moved them.
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(device_, was_enabled_);
  at::autocast::set_autocast_dtype(device_, was_type_);
}

}  // namespace genzoo
