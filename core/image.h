#pragma once
// Pictures out: PNG files, grids of samples, animations, plots of points and densities. OpenCV and libwebp are named
// in image.cpp and animation.cpp only.

#include <torch/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace genzoo {

using torch::Tensor;

/// Images (N, C, H, W) uint8, C 1 or 3 (RGB), side by side in rows of `columns` with a border of `gap` pixels, each
/// pixel enlarged `scale` times. (C, H', W') uint8. The last row is filled up with the border's grey.
Tensor image_grid(const Tensor& images, int64_t columns, int64_t scale = 1, int64_t gap = 2);

/// The scale at which a grid of this many columns of images this wide is comfortable to look at (about 600 pixels).
int64_t comfortable_scale(int64_t width, int64_t columns);

/// A picture (C, H, W) uint8 with a line of text above it, dark on white: (3, H', W). Of a text wider than the picture
/// the beginning is shown; what is not ASCII is shown as '?'.
Tensor with_caption(const Tensor& image, const std::string& text);

/// Pictures (3, H, W), of any sizes, in rows of `columns` on white, `gap` pixels apart: (3, H', W').
Tensor arrange(const std::vector<Tensor>& pictures, int64_t columns, int64_t gap = 12);

std::string encode_png(const Tensor& image);                             ///< (C, H, W) uint8 -> bytes of a PNG
void write_png(const std::filesystem::path& path, const Tensor& image);  ///< whole or not at all; throws RunError

/// A PNG as (C, H, W) uint8, C 1 or 3. Throws UsageError if there is none, RunError if it cannot be decoded.
Tensor read_png(const std::filesystem::path& path);

/// Points (N, 2) as an image (3, size, size) uint8 over the square [-extent, extent]^2, y up, on white.
Tensor scatter_plot(const Tensor& points, double extent, int64_t size = 400);

/// A density given as log-values (R, R) on the grid of pixel centers over [-extent, extent]^2 (row 0 at the bottom,
/// i.e. y increasing with the row) as an image (3, size, size) uint8 with a perceptually ordered color map.
Tensor density_plot(const Tensor& log_density, double extent, int64_t size = 400);

/// Frames (3, H, W) uint8 of one size as an animated WebP, played for `milliseconds` each, endlessly. Throws RunError.
void write_animation(const std::filesystem::path& path, const std::vector<Tensor>& frames, int milliseconds);

}  // namespace genzoo
