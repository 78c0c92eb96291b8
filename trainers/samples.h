#pragma once
// What a model draws, as something to look at. Sample i depends on (seed, i) only, whatever the number of samples.

#include <string>

#include "data/dataset.h"
#include "models/model.h"

namespace genzoo {

/// n samples as stored: images (n, C, H, W) uint8 or vectors (n, D) float32, on the CPU. The network runs at one fixed
/// batch size, the last batch filled up, because a product may round a row differently when the number of rows changes.
/// Throws UsageError when the model has no samples of that kind.
Tensor draw_samples(const AnyModel& model, int64_t n, uint64_t seed, Purpose purpose, const SampleOptions& options,
                    torch::Device device);

/// n x `steps` images between pairs of latents drawn from the prior, along great circles (White, 2016), both ends
/// included, row by row: (n steps, ...) as stored.
Tensor interpolate_latents(const AnyModel& model, int64_t n, int64_t steps, uint64_t seed, torch::Device device);

/// Maps rows (N, ...) through `f` at one fixed batch size, the last batch filled up by repeating its last row.
Tensor map_rows(const Tensor& rows, const std::function<Tensor(const Tensor&)>& f);

/// Throws UsageError when n samples need more than half of the machine's memory, or their picture would have more
/// pixels a side than viewers open.
void require_room(int64_t n, const DataSpec& spec);
void require_picture(int64_t n, const DataSpec& spec, int64_t columns);

/// Images as a grid, 2-D vectors as a scatter plot, other vectors as a plot of their first two dimensions. (C, H, W).
Tensor picture_of(const Tensor& samples, const DataSpec& spec, int64_t columns);

/// A model's density over the square that picture_of shows, beside nothing: (3, H, W); undefined when the model has no
/// exact density of 2-D vectors.
Tensor density_picture(const AnyModel& model, const DataSpec& spec, torch::Device device);

/// Grid values 0 ... levels - 1 as 0 ... 255, for pictures of binarized images.
Tensor as_pixels(const Tensor& images, int64_t levels);

}  // namespace genzoo
