#include "data/images.h"

#include <fmt/ranges.h>
#include <torch/types.h>

#include <algorithm>

#include "core/error.h"
#include "data/synthetic.h"

namespace genzoo {
namespace {

// Zeros around (N, C, H, W), evenly; an odd row or column goes to the end.
Tensor pad_images(const Tensor& x, int64_t size, const std::string& name) {
  if (size == 0 || !x.defined()) return x;
  const int64_t rows = size - x.size(2), columns = size - x.size(3);
  if (rows < 0 || columns < 0) {
    throw UsageError(fmt::format("data.{}.pad_to: {}, wanted 0 (off) or at least the size of the images, {}x{}", name,
                                 size, x.size(2), x.size(3)));
  }
  return torch::constant_pad_nd(x, {columns / 2, columns - columns / 2, rows / 2, rows - rows / 2});
}

Examples rows_of(const Examples& all, int64_t first, int64_t count) {
  return {all.x.narrow(/*dim=*/0, first, count), all.y.defined() ? all.y.narrow(/*dim=*/0, first, count) : Tensor()};
}

}  // namespace

void ImageOptions::fields(Fields& f) {
  f("root", root, "the folder with the files; empty: looked for in the usual places");
  f("validation", validation, "images kept for validation: the last of the training images", positive);
  f("binarize", binarize, kBinarizeNames,
    "pixels to bits: none, static (one fixed draw), dynamic (anew in every batch)");
  f("pad_to", pad_to, "zeros around the images up to this height and width; 0: as they are",
    Range{0, 4096, false, false, "in [0, 4096]"});
}

Tensor draw_bits(const Tensor& x, Rng& rng) {
  // u < x / 255 with u in [0, 1): never for 0, always for 255.
  return rng.uniform(x.sizes()).mul_(255).lt(x).to(torch::kByte);
}

Tensor binarize_once(const Tensor& x, Split split) {
  // In pieces, each with a stream of its own: the memory stays bounded, and row i gets the same bits however many rows
  // there are.
  constexpr int64_t kPiece = 1000;
  Tensor bits = torch::empty_like(x);
  for (int64_t first = 0; first < x.size(0); first += kPiece) {
    const int64_t count = std::min(kPiece, x.size(0) - first);
    Rng rng = synthetic_stream(/*data_seed=*/0, split, first / kPiece);
    bits.narrow(/*dim=*/0, first, count).copy_(draw_bits(x.narrow(/*dim=*/0, first, count), rng));
  }
  return bits;
}

Dataset make_image_dataset(const std::string& name, Examples train, Examples test, int64_t classes,
                           const ImageOptions& options) {
  const int64_t count = train.x.size(0);
  if (options.validation >= count) {
    throw UsageError(fmt::format("data.{}.validation: {}, wanted fewer than the {} training images", name,
                                 options.validation, count));
  }
  if (test.x.defined() && test.x.sizes().slice(1) != train.x.sizes().slice(1)) {
    throw RunError(fmt::format("data/{}: test images are {}, wanted {} as the training images", name,
                               fmt::join(test.x.sizes().slice(1), "x"), fmt::join(train.x.sizes().slice(1), "x")));
  }
  train.x = pad_images(train.x, options.pad_to, name);
  test.x = pad_images(test.x, options.pad_to, name);

  Dataset dataset;
  dataset.spec.dataset = name;
  dataset.spec.kind = DataKind::images;
  dataset.spec.shape = train.x.sizes().slice(1).vec();
  dataset.spec.levels = options.binarize == Binarize::none ? 256 : 2;
  dataset.spec.classes = classes;
  dataset.binarize = options.binarize;
  dataset.train = rows_of(train, 0, count - options.validation);
  dataset.validation = rows_of(train, count - options.validation, options.validation);
  dataset.test = test;
  if (options.binarize == Binarize::none) return dataset;

  if (options.binarize == Binarize::fixed) dataset.train.x = binarize_once(dataset.train.x, Split::train);
  dataset.validation.x = binarize_once(dataset.validation.x, Split::validation);
  if (test.x.defined()) dataset.test.x = binarize_once(test.x, Split::test);
  return dataset;
}

}  // namespace genzoo
