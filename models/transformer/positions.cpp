#include "models/transformer/positions.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>

#include "models/fused_embedding.h"

namespace genzoo {
namespace {

/// base^(-2i / dim) for i = 0 ... dim / 2 - 1. (dim / 2), double.
Tensor frequencies(int64_t dim, double base, torch::Device device) {
  const auto options = torch::TensorOptions(device).dtype(torch::kDouble);
  return at::exp(at::arange(0, dim, 2, options) * (-std::log(base) / static_cast<double>(dim)));
}

/// t times each frequency, for t = 0 ... count - 1. (count, frequencies)
Tensor angles(int64_t count, const Tensor& frequency) {
  return at::outer(at::arange(count, frequency.options()), frequency);
}

Tensor scaled(const Tensor& frequency, const UnscaledAngles&) { return frequency; }

Tensor scaled(const Tensor& frequency, const LinearAngles& s) { return frequency / s.factor; }

Tensor scaled(const Tensor& frequency, const Llama3Angles& s) {
  // How many times a wave fits into the context: above `high` it is kept, below `low` stretched.
  const Tensor waves = frequency * (static_cast<double>(s.trained_context) / (2 * std::numbers::pi));
  const Tensor kept =
      ((waves - s.low_frequency_factor) / (s.high_frequency_factor - s.low_frequency_factor)).clamp(0, 1);
  return frequency * kept + frequency / s.factor * (1 - kept);
}

}  // namespace

void LinearAngles::fields(Fields& f) { f("factor", factor, "by which positions are divided", positive); }

void Llama3Angles::fields(Fields& f) {
  f("factor", factor, "by which the angles of long waves are divided", positive);
  f("low_frequency_factor", low_frequency_factor, "waves that fit less often into the trained context are stretched",
    positive);
  f("high_frequency_factor", high_frequency_factor, "waves that fit more often into it are left as they are", positive);
  f("trained_context", trained_context, "tokens the model saw before its context was extended", positive);
  f.require(low_frequency_factor < high_frequency_factor, "low_frequency_factor",
            "'low_frequency_factor' must be below 'high_frequency_factor'");
}

void RotaryPositions::fields(Fields& f) {
  f("theta", theta, "base of the wavelengths", positive);
  f("share", share, "of a head's channels, which are turned; the others know no position",
    Range{0, 1, true, false, "in (0, 1]"});
  f("scaling", scaling, "of the angles, for a longer context than that of the first training");
}

void AlibiPositions::fields(Fields& f) {
  f("largest_exponent", largest_exponent, "m: the heads' slopes go down to 2^-m", positive);
}

PositionTable PositionTable::slice(int64_t first, int64_t count) const {
  const auto narrow = [&](const Tensor& t) { return t.defined() ? t.narrow(/*dim=*/0, first, count) : t; };
  return {narrow(added), narrow(cos), narrow(sin), slopes, {}};
}

PositionTable PositionTable::slice(int64_t first, int64_t count, const Tensor& begins) const {
  const Tensor places = (at::arange(first, first + count, begins.options()) - begins.unsqueeze(1)).clamp_min(0);
  const auto gather = [&](const Tensor& t) { return t.defined() ? t.index({places.to(t.device())}) : t; };
  const Tensor own = added.defined() ? embed(added, places.to(added.device())) : added;
  return {own, gather(cos), gather(sin), slopes, begins};  // (B, T, ...)
}

Tensor sinusoidal_positions(int64_t count, int64_t channels, const torch::TensorOptions& options) {
  const Tensor angle = angles(count, frequencies(channels, /*base=*/10000.0, options.device()));
  return at::stack({angle.sin(), angle.cos()}, /*dim=*/-1).flatten(1).to(options);  // sin, cos, sin, cos, ...
}

int64_t rotary_channels(const RotaryPositions& config, int64_t head_channels) {
  return static_cast<int64_t>(config.share * static_cast<double>(head_channels));
}

PositionTable rotary_positions(int64_t count, int64_t head_channels, const torch::TensorOptions& options,
                               const RotaryPositions& config) {
  const int64_t turned = rotary_channels(config, head_channels);
  Tensor frequency = frequencies(turned, config.theta, options.device());
  frequency = std::visit([&](const auto& scaling) { return scaled(frequency, scaling); }, config.scaling);
  frequency = at::constant_pad_nd(frequency, {0, (head_channels - turned) / 2});  // angles of zero: not turned
  const Tensor angle = angles(count, frequency).unsqueeze(1);                     // (T, 1, D / 2)
  return {.cos = angle.cos().to(options), .sin = angle.sin().to(options)};
}

PositionTable alibi_positions(int64_t n_head, const torch::TensorOptions& options, const AlibiPositions& config) {
  int64_t power = 1;
  while (2 * power <= n_head) power *= 2;
  // On its device from the start: nothing is copied there at each pass.
  const auto exact = torch::TensorOptions(options.device()).dtype(torch::kDouble);
  const Tensor own = at::arange(1, power + 1, exact) / static_cast<double>(power);
  const Tensor between = at::arange(1, 2 * power, 2, exact) / static_cast<double>(2 * power);
  const Tensor exponents = at::cat({own, between.narrow(/*dim=*/0, 0, n_head - power)});
  return {.slopes = at::exp2(exponents * -config.largest_exponent).to(options)};
}

Tensor rotate(const Tensor& x, const PositionTable& positions) {
  if (!positions.cos.defined()) return x;
  const auto halves = x.chunk(2, /*dim=*/-1);  // (B, T, H, D / 2) each
  const Tensor &a = halves[0], &b = halves[1], &cos = positions.cos, &sin = positions.sin;
  return at::cat({a * cos - b * sin, a * sin + b * cos}, /*dim=*/-1).to(x.scalar_type());
}

}  // namespace genzoo
