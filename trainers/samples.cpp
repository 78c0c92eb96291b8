#include "trainers/samples.h"

#include <fmt/format.h>
#include <torch/utils.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/image.h"

namespace genzoo {
namespace {

constexpr int64_t kChunk = 64;   // rows a network sees at once
constexpr double kExtent = 5.0;  // half the side of the square in which 2-D data are shown
constexpr int64_t kDensityGrid = 200;
constexpr int64_t kGridGap = 2;              // pixels between images
constexpr int64_t kMaxPictureSide = 65'500;  // pixels; GIMP's, ImageMagick's and browsers' limits are near

/// Points between a and b (n, Z) at share t of the angle between them.
Tensor great_circle(const Tensor& a, const Tensor& b, double t) {
  const Tensor cosine = at::cosine_similarity(a, b, 1).clamp(-1, 1).unsqueeze(1);
  const Tensor angle = cosine.acos(), sine = angle.sin();
  const Tensor arc = ((1 - t) * angle).sin() / sine * a + (t * angle).sin() / sine * b;
  // Nearly the same or opposite directions (in one dimension there are no others) span no circle: the straight way.
  return at::where(sine > 1e-2, arc, (1 - t) * a + t * b);
}

}  // namespace

Tensor draw_samples(const AnyModel& model, int64_t n, uint64_t seed, Purpose purpose, const SampleOptions& options,
                    torch::Device device) {
  if (!model.can.sample) throw UsageError(fmt::format("{} draws no samples of images or vectors", model.family));
  if (options.mean && !model.can.samples_have_mean) {
    throw UsageError(fmt::format("{}: its samples have no mean to show; leave out --mean", model.family));
  }
  if (options.temperature != 1.0 && !model.can.samples_have_temperature) {
    throw UsageError(fmt::format("{}: its samples have no temperature; leave out --temperature", model.family));
  }
  const EvalMode eval(*model.module);
  std::vector<Tensor> chunks;
  for (int64_t first = 0; first < n; first += kChunk) {
    Rng rng = Rng::for_rows(seed, purpose, static_cast<uint64_t>(first), kChunk, device);
    const Tensor chunk = model.can.sample(kChunk, rng, options).to(torch::kCPU);
    chunks.push_back(chunk.narrow(0, 0, std::min(kChunk, n - first)));
  }
  return at::cat(chunks);
}

Tensor map_rows(const Tensor& rows, const std::function<Tensor(const Tensor&)>& f) {
  std::vector<Tensor> chunks;
  const int64_t n = rows.size(0);
  for (int64_t first = 0; first < n; first += kChunk) {
    const int64_t count = std::min(kChunk, n - first);
    Tensor chunk = rows.narrow(0, first, count);
    if (count < kChunk) {
      const auto filling = chunk.narrow(0, count - 1, 1).expand([&] {
        auto size = chunk.sizes().vec();
        size[0] = kChunk - count;
        return size;
      }());
      chunk = at::cat({chunk, filling});
    }
    chunks.push_back(f(chunk).narrow(0, 0, count).to(torch::kCPU));
  }
  return at::cat(chunks);
}

Tensor interpolate_latents(const AnyModel& model, int64_t n, int64_t steps, uint64_t seed, torch::Device device) {
  if (!model.can.decode) throw UsageError(fmt::format("{} has no latent space to interpolate in", model.family));
  const EvalMode eval(*model.module);
  std::vector<int64_t> size = model.can.latent_shape;
  size.insert(size.begin(), n);
  Rng rng = Rng::for_rows(seed, Purpose::latent, 0, n, device);
  const Tensor a = rng.normal(size).flatten(1), b = rng.normal(size).flatten(1);
  std::vector<Tensor> between;
  for (int64_t i = 0; i < steps; ++i) {
    between.push_back(great_circle(a, b, static_cast<double>(i) / static_cast<double>(steps - 1)));
  }
  std::vector<int64_t> flat = model.can.latent_shape;
  flat.insert(flat.begin(), n * steps);
  const Tensor z = at::stack(between, 1).reshape(flat);  // (n, steps, Z) -> (n steps, Z...)
  return map_rows(z, model.can.decode);
}

Tensor as_pixels(const Tensor& images, int64_t levels) {
  return levels == 256
             ? images
             : (images.to(torch::kFloat) * (255.0 / static_cast<double>(levels - 1))).round().to(torch::kByte);
}

void require_room(int64_t n, const DataSpec& spec) {
  const double bytes = static_cast<double>(spec.dims()) * (spec.kind == DataKind::images ? 1 : sizeof(float));
  const double memory = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  if (static_cast<double>(n) * bytes <= memory / 2) return;
  throw UsageError(
      fmt::format("{} samples are {:.0f} GB, more than half of this machine's {:.0f} GB; at most {:.0f} fit", n,
                  static_cast<double>(n) * bytes / 1e9, memory / 1e9, memory / 2 / bytes));
}

void require_picture(int64_t n, const DataSpec& spec, int64_t columns) {
  if (spec.kind != DataKind::images) return;
  const double across = static_cast<double>(std::min(columns, n)) * static_cast<double>(spec.shape[2] + kGridGap);
  const double rows = std::ceil(static_cast<double>(n) / static_cast<double>(columns));
  const double down = rows * static_cast<double>(spec.shape[1] + kGridGap);
  if (std::max(across, down) + kGridGap <= kMaxPictureSide) return;
  throw UsageError(
      fmt::format("a picture of {} images, {} a row, would be {:.0f} by {:.0f} pixels; at most {} a side are "
                  "shown by viewers: take fewer images, another number of columns, or a .safetensors",
                  n, columns, across, down, kMaxPictureSide));
}

Tensor picture_of(const Tensor& samples, const DataSpec& spec, int64_t columns) {
  if (spec.kind == DataKind::images) {
    const Tensor pixels = as_pixels(samples, spec.levels);
    const int64_t across = std::min(columns, pixels.size(0)), rows = (pixels.size(0) + across - 1) / across;
    const int64_t fits = (kMaxPictureSide - kGridGap) /
                         (std::max(rows * pixels.size(2), across * pixels.size(3)) + std::max(rows, across) * kGridGap);
    const int64_t scale = std::min(comfortable_scale(pixels.size(3), across), std::max<int64_t>(fits, 1));
    return image_grid(pixels, across, scale, kGridGap);
  }
  const Tensor points =
      samples.size(1) == 1 ? at::cat({samples, torch::zeros_like(samples)}, 1) : samples.narrow(1, 0, 2);
  return scatter_plot(points, kExtent);
}

Tensor density_picture(const AnyModel& model, const DataSpec& spec, torch::Device device) {
  const bool exact = model.can.likelihood.kind == LikelihoodKind::exact;
  if (spec.kind != DataKind::vectors || spec.dims() != 2 || !exact) return {};
  const EvalMode eval(*model.module);
  const double cell = 2 * kExtent / kDensityGrid;
  const Tensor axis = (torch::arange(kDensityGrid, torch::kFloat) + 0.5) * cell - kExtent;
  const auto grid = at::meshgrid({axis, axis}, "ij");  // y, x
  const Tensor points = at::stack({grid[1], grid[0]}, 2).reshape({-1, 2}).to(device);
  Rng rng = Rng::for_batch(0, Purpose::score, 0, 0, device);
  const Tensor log_density = model.can.log_prob(points, 1, rng).reshape({kDensityGrid, kDensityGrid});
  return density_plot(log_density.to(torch::kCPU), kExtent);
}

}  // namespace genzoo
