#include "models/fused_batch_norm.h"

#include <ATen/ATen.h>
#include <torch/autograd.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/kernels/kernels.h"
#include "core/workers.h"
#include "models/gradients_of_gradients.h"
#include "models/leaf_gradients.h"

namespace genzoo {
namespace {

using c10::BFloat16;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Rows that are summed up in one piece, whose sums are added in order: the number of threads changes no bit.
constexpr int64_t kPiece = 256;

/// x as rows of channels: channels last in memory.
Tensor with_channels_last(const Tensor& x) {
  return x.dim() == 4 ? x.contiguous(at::MemoryFormat::ChannelsLast) : x.contiguous();
}

bool is_reduced(const Tensor& t) { return t.scalar_type() == torch::kBFloat16; }

/// f(first row, rows) over pieces of the rows of x, C channels each.
template <class F>
void by_pieces(const Tensor& x, const F& f) {
  const int64_t channels = x.size(1), rows = x.numel() / channels;
  for_ranges(/*workers=*/nullptr, x.numel(), kPiece * channels, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin / channels; row < end / channels; row += kPiece) f(row, std::min(kPiece, rows - row));
  });
}

/// Sums of pieces, (pieces, C) each.
struct Pieces {
  Tensor first, second;
  explicit Pieces(const Tensor& x) {
    const int64_t rows = x.numel() / x.size(1);
    first = at::empty({(rows + kPiece - 1) / kPiece, x.size(1)}, x.options().dtype(torch::kFloat));
    second = at::empty_like(first);
  }
  float* first_of(int64_t row) const { return first.mutable_data_ptr<float>() + row / kPiece * first.size(1); }
  float* second_of(int64_t row) const { return second.mutable_data_ptr<float>() + row / kPiece * first.size(1); }
};

/// Mean and sum of squared deviations of each channel, from those of pieces: Chan et al. (1979).
void join_moments(const Pieces& pieces, int64_t rows, double* mean, double* squares) {
  const int64_t channels = pieces.first.size(1);
  std::fill_n(mean, channels, 0.0);
  std::fill_n(squares, channels, 0.0);
  for (int64_t row = 0; row < rows; row += kPiece) {
    const auto before = static_cast<double>(row), count = static_cast<double>(std::min(kPiece, rows - row));
    const float *m = pieces.first_of(row), *s = pieces.second_of(row);
    for (int64_t c = 0; c < channels; ++c) {
      const double delta = m[c] - mean[c];
      mean[c] += delta * count / (before + count);
      squares[c] += s[c] + delta * delta * before * count / (before + count);
    }
  }
}

void map(const Tensor& x, const Tensor& y, const ChannelMap& channel_map) {
  const int64_t channels = x.size(1);
  for_ranges(/*workers=*/nullptr, x.numel(), channels, [&](int64_t begin, int64_t end) {
    const int64_t rows = (end - begin) / channels;
    if (is_reduced(x)) {
      kernels().map_channels_16(x.const_data_ptr<BFloat16>() + begin, y.mutable_data_ptr<BFloat16>() + begin,
                                channel_map, rows, channels);
    } else {
      kernels().map_channels(x.const_data_ptr<float>() + begin, y.mutable_data_ptr<float>() + begin, channel_map, rows,
                             channels);
    }
  });
}

class FusedBatchNorm final : public torch::autograd::Function<FusedBatchNorm> {
 public:
  static variable_list forward(AutogradContext* ctx, const Tensor& given, const Tensor& weight, const Tensor& bias,
                               double eps, double negative_slope) {
    const Tensor x = with_channels_last(given);
    const int64_t channels = x.size(1), rows = x.numel() / channels;
    const Pieces pieces(x);
    by_pieces(x, [&](int64_t row, int64_t n) {
      if (is_reduced(x)) {
        kernels().channel_moments_16(x.const_data_ptr<BFloat16>() + row * channels, pieces.first_of(row),
                                     pieces.second_of(row), n, channels);
      } else {
        kernels().channel_moments(x.const_data_ptr<float>() + row * channels, pieces.first_of(row),
                                  pieces.second_of(row), n, channels);
      }
    });
    std::vector<double> means(static_cast<size_t>(channels)), squares(means.size());
    join_moments(pieces, rows, means.data(), squares.data());

    const auto options = weight.options().requires_grad(false);
    const Tensor mean = at::empty({channels}, options), inverse_std = at::empty({channels}, options);
    const Tensor variance = at::empty({channels}, options);
    const Tensor scale = at::empty({channels}, options), shift = at::empty({channels}, options);
    const auto *gain = weight.const_data_ptr<float>(), *offset = bias.const_data_ptr<float>();
    for (int64_t c = 0; c < channels; ++c) {
      const auto at = static_cast<size_t>(c);
      const double spread = 1 / std::sqrt(squares[at] / static_cast<double>(rows) + eps);
      mean.mutable_data_ptr<float>()[c] = static_cast<float>(means[at]);
      inverse_std.mutable_data_ptr<float>()[c] = static_cast<float>(spread);
      variance.mutable_data_ptr<float>()[c] = static_cast<float>(squares[at] / static_cast<double>(rows - 1));
      scale.mutable_data_ptr<float>()[c] = static_cast<float>(gain[c] * spread);
      shift.mutable_data_ptr<float>()[c] = static_cast<float>(offset[c] - means[at] * gain[c] * spread);
    }
    const Tensor y = at::empty_like(x);
    map(x, y, {scale.const_data_ptr<float>(), shift.const_data_ptr<float>(), static_cast<float>(negative_slope)});
    ctx->save_for_backward({given, weight, bias, mean, inverse_std, scale, shift});
    ctx->saved_data["eps"] = eps;
    ctx->saved_data["negative_slope"] = negative_slope;
    ctx->mark_non_differentiable({mean, variance});
    return {y, mean, variance};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &given = saved[0], &weight = saved[1], &bias = saved[2];
    const double negative_slope = ctx->saved_data["negative_slope"].toDouble();
    variable_list results(5);
    if (at::GradMode::is_enabled()) {
      const Tensor y = plain_batch_norm(given, weight, bias, ctx->saved_data["eps"].toDouble(), negative_slope).y;
      results = gradients_with_graph({y}, {gradients[0]}, {given, weight, bias});
      results.resize(5);
      return results;
    }
    const Tensor x = with_channels_last(given), dy = with_channels_last(gradients[0]);
    const int64_t channels = x.size(1), rows = x.numel() / channels;
    const ChannelMap channel_map{saved[5].const_data_ptr<float>(), saved[6].const_data_ptr<float>(),
                                 static_cast<float>(negative_slope)};
    const auto* mean = saved[3].const_data_ptr<float>();
    const auto* inverse_std = saved[4].const_data_ptr<float>();
    const Pieces pieces(x);
    by_pieces(x, [&](int64_t row, int64_t n) {
      const int64_t at = row * channels;
      if (is_reduced(x)) {
        kernels().channel_gradients_16(x.const_data_ptr<BFloat16>() + at, dy.const_data_ptr<BFloat16>() + at,
                                       channel_map, mean, pieces.first_of(row), pieces.second_of(row), n, channels);
      } else {
        kernels().channel_gradients(x.const_data_ptr<float>() + at, dy.const_data_ptr<float>() + at, channel_map, mean,
                                    pieces.first_of(row), pieces.second_of(row), n, channels);
      }
    });
    const Tensor sum = pieces.first.sum(0), product = pieces.second.sum(0);
    const auto add = [&](size_t parameter, const Tensor& gradient) {
      const Tensor place = LeafGradients::place(saved[parameter], ctx->needs_input_grad(parameter), results[parameter]);
      if (place.defined()) place.add_(gradient);
    };
    add(1, product * saved[4]);
    add(2, sum);
    if (!ctx->needs_input_grad(0)) return results;

    // dx = scale (d - mean(d) - n mean(d n)), n = (x - mean) / std
    const Tensor factor = at::empty({channels}, saved[3].options()), offset = at::empty_like(factor);
    for (int64_t c = 0; c < channels; ++c) {
      const double scale = channel_map.scale[c], count = static_cast<double>(rows);
      const double slope = -scale * product.const_data_ptr<float>()[c] * inverse_std[c] * inverse_std[c] / count;
      factor.mutable_data_ptr<float>()[c] = static_cast<float>(slope);
      offset.mutable_data_ptr<float>()[c] =
          static_cast<float>(-scale * sum.const_data_ptr<float>()[c] / count - slope * mean[c]);
    }
    results[0] = at::empty_like(x);
    for_ranges(/*workers=*/nullptr, x.numel(), channels, [&](int64_t begin, int64_t end) {
      const auto *f = factor.const_data_ptr<float>(), *o = offset.const_data_ptr<float>();
      const int64_t n = (end - begin) / channels;
      if (is_reduced(x)) {
        kernels().map_channels_backward_16(x.const_data_ptr<BFloat16>() + begin, dy.const_data_ptr<BFloat16>() + begin,
                                           results[0].mutable_data_ptr<BFloat16>() + begin, channel_map, f, o, n,
                                           channels);
      } else {
        kernels().map_channels_backward(x.const_data_ptr<float>() + begin, dy.const_data_ptr<float>() + begin,
                                        results[0].mutable_data_ptr<float>() + begin, channel_map, f, o, n, channels);
      }
    });
    return results;
  }
};

}  // namespace

NormalizedBatch plain_batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps,
                                 double negative_slope) {
  // With momentum 1 the operator's running statistics become the batch's: no pass of our own for them.
  const auto options = weight.options().requires_grad(false);
  const Tensor mean = at::zeros({x.size(1)}, options), variance = at::ones({x.size(1)}, options);
  Tensor y = at::batch_norm(x, weight, bias, mean, variance, /*training=*/true, /*momentum=*/1, eps,
                            /*cudnn_enabled=*/true);
  if (negative_slope == 0) y = y.relu();
  if (negative_slope != 0 && negative_slope != 1) y = at::leaky_relu(y, negative_slope);
  return {y, {mean, variance}};
}

NormalizedBatch fused_batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps,
                                 double negative_slope) {
  const auto of_channels = [&](const Tensor& t) {
    return t.is_cpu() && t.scalar_type() == torch::kFloat && t.numel() == x.size(1);
  };
  const bool fits = x.is_cpu() && (x.dim() == 2 || x.dim() == 4) && of_channels(weight) && of_channels(bias) &&
                    (x.scalar_type() == torch::kFloat || is_reduced(x)) && x.numel() > 0;
  if (!fits) return plain_batch_norm(x, weight, bias, eps, negative_slope);
  const variable_list made = FusedBatchNorm::apply(x, weight, bias, eps, negative_slope);
  return {made[0], {made[1], made[2]}};
}

}  // namespace genzoo
