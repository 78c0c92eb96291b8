#include "evaluation/machine_limits.h"

#include <ATen/ATen.h>
#include <torch/types.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <vector>

#include "core/kernels/kernels.h"
#include "core/workers.h"

namespace genzoo {
namespace {

using torch::Tensor;

/// The shortest time of one call.
double best_seconds(double seconds, const std::function<void()>& action) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  action();
  double best = 1e30;
  for (const auto start = Clock::now(); since(start) < seconds;) {
    const auto begin = Clock::now();
    action();
    best = std::min(best, since(begin));
  }
  return best;
}

/// The best of a square product that fits the caches and of one as wide as a transformer's.
double product_flops(at::ScalarType dtype, double seconds) {
  struct Size {
    int64_t m, k, n;
  };
  double best = 0;
  for (const auto& [m, k, n] : {Size{1024, 1024, 1024}, Size{2048, 384, 1536}}) {
    const auto options = torch::TensorOptions(torch::kFloat);
    const Tensor a = at::ones({m, k}, options).to(dtype), b = at::ones({n, k}, options).to(dtype).t();
    Tensor c = at::empty({m, n}, options.dtype(dtype));
    const double flops = 2.0 * static_cast<double>(m) * static_cast<double>(k) * static_cast<double>(n);
    best = std::max(best, flops / best_seconds(seconds / 2, [&] { at::mm_out(c, a, b); }));
  }
  return best;
}

constexpr int64_t kFloats = int64_t{1} << 26;  // 256 MiB an array: beyond any cache that is ours alone

}  // namespace

MachineLimits measure_limits(double seconds) {
  MachineLimits limits;
  limits.float32_flops = product_flops(torch::kFloat, seconds);
  limits.bfloat16_flops = product_flops(torch::kBFloat16, seconds);

  std::vector<float> x(kFloats), y(kFloats, 1.0F);
  const double bytes = static_cast<double>(kFloats) * sizeof(float);
  std::atomic<double> total = 0;  // of all sums, so that none is left out as useless
  const auto each_its_part = [&](const std::function<void(int64_t begin, int64_t end)>& part) {
    return best_seconds(seconds, [&] { for_ranges(/*workers=*/nullptr, kFloats, /*align=*/64, part); });
  };
  limits.read_bytes =
      bytes / each_its_part([&](int64_t begin, int64_t end) { total = kernels().sum(y.data() + begin, end - begin); });
  limits.update_bytes = 3 * bytes / each_its_part([&](int64_t begin, int64_t end) {
                          kernels().add(x.data() + begin, x.data() + begin, y.data() + begin, end - begin);
                        });
  return limits;
}

Json MachineLimits::to_json() const {
  return {{"float32_gflops", 1e-9 * float32_flops},
          {"bfloat16_gflops", 1e-9 * bfloat16_flops},
          {"read_gb_per_s", 1e-9 * read_bytes},
          {"update_gb_per_s", 1e-9 * update_bytes}};
}

}  // namespace genzoo
