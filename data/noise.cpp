#include <torch/types.h>

#include <algorithm>
#include <cmath>

#include "data/images.h"
#include "data/synthetic.h"

namespace genzoo {
namespace {

constexpr int64_t kSize = 28;

Examples noise(int64_t count, int64_t data_seed, Split split) {
  // In pieces: the integers are drawn as int64, eight times the size of what is kept.
  constexpr int64_t kPiece = 1000;
  Tensor x = torch::empty({count, 1, kSize, kSize}, torch::kByte);
  for (int64_t first = 0; first < count; first += kPiece) {
    const int64_t rows = std::min(kPiece, count - first);
    x.narrow(/*dim=*/0, first, rows)
        .copy_(synthetic_stream(data_seed, split, first / kPiece).integers(256, {rows, 1, kSize, kSize}));
  }
  return {x, {}};
}

}  // namespace

void UniformNoiseConfig::fields(Fields& f) {
  f("examples", examples, "training images", kSplitSize);
  f("validation", validation, "validation images", kSplitSize);
  f("test", test, "test images", kSplitSize);
  f("data_seed", data_seed, kDataSeedDoc, non_negative);
}

double entropy_of(const UniformNoiseConfig&) { return kSize * kSize * std::log(256.0); }

Dataset open(const UniformNoiseConfig& config, const DataPlaces&) {
  Dataset dataset;
  dataset.spec.dataset = "uniform_noise";
  dataset.spec.kind = DataKind::images;
  dataset.spec.shape = {1, kSize, kSize};
  dataset.spec.levels = 256;
  dataset.train = noise(config.examples, config.data_seed, Split::train);
  dataset.validation = noise(config.validation, config.data_seed, Split::validation);
  dataset.test = noise(config.test, config.data_seed, Split::test);
  dataset.entropy = entropy_of(config);
  return dataset;
}

}  // namespace genzoo
