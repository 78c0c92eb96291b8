#include "evaluation/report_pictures.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "core/image.h"

namespace genzoo {
namespace {

constexpr int64_t kColumns = 8, kMostSamples = 64, kMostPairs = 10;
constexpr int64_t kMostNumbers = 200'000;  // in one picture before it is enlarged: a page of a few megabytes
constexpr int64_t kPlot = 360;             // pixels a side of points in the plane
constexpr double kWidth = 480;             // pixels a picture should have about: sharp at half of it on dense screens

bool is_images(const Tensor& tensor) {
  return tensor.defined() && tensor.dim() == 4 && tensor.numel() > 0 && tensor.scalar_type() == torch::kUInt8 &&
         (tensor.size(1) == 1 || tensor.size(1) == 3);
}

bool is_vectors(const Tensor& tensor) {
  return tensor.defined() && tensor.dim() == 2 && tensor.numel() > 0 && at::isFloatingType(tensor.scalar_type());
}

/// The first images, as many as `most` and a picture's size allow, in whole groups of `group`.
Tensor first_images(const Tensor& images, int64_t most, int64_t group) {
  const int64_t numbers = images[0].numel();
  const int64_t fit = std::max(group, kMostNumbers / numbers / group * group);
  return images.narrow(0, 0, std::min({images.size(0), most, fit}));
}

Tensor grid_of(const Tensor& images, int64_t columns) {
  columns = std::min(columns, images.size(0));
  const double scale = kWidth / static_cast<double>(columns * images.size(3));
  return image_grid(images, columns, std::max<int64_t>(1, std::llround(scale)));
}

/// Half the side of the square that holds nearly all real points, a little wider; 5 when there are none.
double extent_of(const Tensor& real) {
  if (!is_vectors(real)) return 5.0;
  const Tensor shown = real.narrow(1, 0, std::min<int64_t>(2, real.size(1))).to(torch::kDouble).abs();
  const Tensor finite = shown.masked_select(shown.isfinite());
  const double largest = finite.numel() == 0 ? 0.0 : finite.max().item<double>();
  return largest > 0 ? 1.25 * largest : 5.0;
}

Tensor points_of(const Tensor& vectors, double extent) {
  const Tensor xy = vectors.size(1) == 1 ? at::cat({vectors, at::zeros_like(vectors)}, 1) : vectors.narrow(1, 0, 2);
  return scatter_plot(xy, extent, kPlot);
}

using Show = std::function<void(const std::string& name, const Tensor& samples, bool external)>;

void show_all(const Comparison& comparison, const Show& show) {
  show("real data", comparison.real, false);
  for (const ComparedModel& model : comparison.models) show(model.name, model.samples, model.external);
}

/// Two rows of images, partners below each other, of three channels where one of them has them.
Tensor pairs_of(const Tensor& above, const Tensor& below) {
  const int64_t channels = std::max(above.size(1), below.size(1));
  const auto widened = [&](const Tensor& images) { return images.expand({-1, channels, -1, -1}); };
  return grid_of(at::cat({widened(above), widened(below)}), above.size(0));
}

bool same_size(const Tensor& a, const Tensor& b) { return a.size(2) == b.size(2) && a.size(3) == b.size(3); }

}  // namespace

std::vector<ReportPicture> sample_pictures(const Comparison& comparison) {
  std::vector<ReportPicture> pictures;
  const double extent = extent_of(comparison.real);
  show_all(comparison, [&](const std::string& name, const Tensor& samples, bool external) {
    const char* what = name == "real data" ? "examples" : "samples";
    if (is_images(samples)) {
      const Tensor shown = first_images(samples, kMostSamples, kColumns);
      const auto caption = fmt::format("{} {}", shown.size(0), what);
      pictures.push_back({name, caption, fmt::format("{} of {}, images in rows of {}", caption, name, kColumns),
                          external, grid_of(shown, kColumns)});
    } else if (is_vectors(samples)) {
      const auto caption =
          fmt::format("{} {}{}", samples.size(0), what, samples.size(1) > 2 ? ", the first two dimensions" : "");
      pictures.push_back({name, caption,
                          fmt::format("{} of {} as points in the plane, from {:.3g} to {:.3g} both ways", caption, name,
                                      -extent, extent),
                          external, points_of(samples, extent)});
    }
  });
  for (const ComparedModel& model : comparison.models) {
    if (!is_images(model.means)) continue;
    const Tensor shown = first_images(model.means, kMostSamples, kColumns);
    const auto caption = fmt::format("{} means of p(x|z) at the same latents; no metric measures them", shown.size(0));
    pictures.push_back({model.name + ", means", caption,
                        fmt::format("means of p(x|z) of {}, images in rows of {}", model.name, kColumns),
                        model.external, grid_of(shown, kColumns)});
  }
  return pictures;
}

std::vector<ReportPicture> nearest_pictures(const Comparison& comparison) {
  std::vector<ReportPicture> pictures;
  for (const ComparedModel& model : comparison.models) {
    if (!is_images(model.samples) || !is_images(model.nearest) || !same_size(model.samples, model.nearest)) continue;
    const Tensor below = first_images(model.nearest, std::min(kMostPairs, model.samples.size(0)), 1);
    const Tensor above = model.samples.narrow(0, 0, below.size(0));
    pictures.push_back(
        {model.name, fmt::format("{} samples above their neighbours", below.size(0)),
         fmt::format("{} samples of {}, and below each the training image nearest to it", below.size(0), model.name),
         model.external, pairs_of(above, below)});
  }
  return pictures;
}

std::vector<ReportPicture> interpolation_pictures(const Comparison& comparison) {
  std::vector<ReportPicture> pictures;
  for (const ComparedModel& model : comparison.models) {
    if (!is_images(model.interpolation)) continue;
    const Tensor shown = first_images(model.interpolation, kMostSamples, kInterpolationSteps);
    const int64_t rows = shown.size(0) / kInterpolationSteps;
    pictures.push_back({model.name, fmt::format("{} ways in {} steps", rows, kInterpolationSteps),
                        fmt::format("{} rows of images in which {} goes from one point of its latent space to another",
                                    rows, model.name),
                        model.external, grid_of(shown, kInterpolationSteps)});
  }
  return pictures;
}

std::vector<ReportPicture> reconstruction_pictures(const Comparison& comparison) {
  std::vector<ReportPicture> pictures;
  for (const ComparedModel& model : comparison.models) {
    if (!is_images(model.reconstruction) || model.reconstruction.size(0) < 2) continue;
    const int64_t half = model.reconstruction.size(0) / 2;
    const Tensor above = first_images(model.reconstruction.narrow(0, 0, half), kMostPairs, 1);
    const Tensor below = model.reconstruction.narrow(0, half, above.size(0));
    pictures.push_back({model.name, fmt::format("{} images above their reconstructions", above.size(0)),
                        fmt::format("{} images, and below each its reconstruction by {}", above.size(0), model.name),
                        model.external, pairs_of(above, below)});
  }
  return pictures;
}

}  // namespace genzoo
