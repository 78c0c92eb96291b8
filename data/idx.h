#pragma once
// The IDX format of MNIST: 00 00 08 ndim, ndim sizes (u32, big-endian), bytes. http://yann.lecun.com/exdb/mnist/

#include <torch/types.h>

#include <cstdint>
#include <filesystem>

namespace genzoo {

using torch::Tensor;

/// The array of bytes with `dims` sizes in a file, plain or gzip: uint8 of that shape. Throws RunError that names the
/// file, what was got and what was wanted: another magic number, absurd sizes, too short, too long, damaged gzip.
Tensor read_idx(const std::filesystem::path& path, int64_t dims);

/// Images (N, 1, H, W) uint8 (magic 0x803) with labels (N) int64 in [0, classes) (magic 0x801). Throws RunError.
struct LabelledImages {
  Tensor x, y;
};
LabelledImages read_idx_images(const std::filesystem::path& images, const std::filesystem::path& labels,
                               int64_t classes);

/// Throws RunError naming the file and the first label (N) int64 outside [0, classes).
void check_labels(const Tensor& labels, int64_t classes, const std::filesystem::path& path);

}  // namespace genzoo
