#pragma once

#include "tests/support.h"

namespace genzoo {

/// The largest difference in relation to the largest value that was wanted.
inline double relative_error(const Tensor& got, const Tensor& wanted) {
  return ((got - wanted).abs().max() / wanted.abs().max().clamp_min(1e-12)).item<double>();
}

}  // namespace genzoo
