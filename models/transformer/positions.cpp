#include "models/transformer/positions.h"

#include <ATen/ATen.h>

#include <cmath>

namespace genzoo {
namespace {

/// t / 10000^(2i / dim) for t = 0 ... count - 1 and i = 0 ... dim / 2 - 1. (count, dim / 2), double.
Tensor angles(int64_t count, int64_t dim, torch::Device device) {
  const auto options = torch::TensorOptions(device).dtype(torch::kDouble);
  const Tensor frequency = at::exp(at::arange(0, dim, 2, options) * (-std::log(10000.0) / static_cast<double>(dim)));
  return at::outer(at::arange(count, options), frequency);
}

}  // namespace

PositionTable PositionTable::slice(int64_t first, int64_t count) const {
  const auto narrow = [&](const Tensor& t) { return t.defined() ? t.narrow(/*dim=*/0, first, count) : t; };
  return {narrow(added), narrow(cos), narrow(sin)};
}

Tensor sinusoidal_positions(int64_t count, int64_t channels, const torch::TensorOptions& options) {
  const Tensor angle = angles(count, channels, options.device());
  return at::stack({angle.sin(), angle.cos()}, /*dim=*/-1).flatten(1).to(options);  // sin, cos, sin, cos, ...
}

PositionTable rotary_positions(int64_t count, int64_t head_channels, const torch::TensorOptions& options) {
  const Tensor angle = angles(count, head_channels, options.device()).unsqueeze(1);  // (T, 1, D / 2)
  return {{}, angle.cos().to(options), angle.sin().to(options)};
}

Tensor rotate(const Tensor& x, const PositionTable& positions) {
  if (!positions.cos.defined()) return x;
  const auto halves = x.chunk(2, /*dim=*/-1);  // (B, T, H, D / 2) each
  const Tensor &a = halves[0], &b = halves[1], &cos = positions.cos, &sin = positions.sin;
  return at::cat({a * cos - b * sin, a * sin + b * cos}, /*dim=*/-1).to(x.scalar_type());
}

}  // namespace genzoo
