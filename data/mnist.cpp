// MNIST (LeCun et al., 1998) and Fashion-MNIST (Xiao et al., 2017): 60,000 + 10,000 grey images 28x28 of 10 classes.

#include <array>
#include <string>
#include <utility>

#include "data/idx.h"
#include "data/images.h"
#include "data/places.h"

namespace genzoo {
namespace {

constexpr int64_t kClasses = 10;

Examples read_split(const std::filesystem::path& folder, const std::string& prefix) {
  const auto images = plain_or_gzip(folder, prefix + "-images-idx3-ubyte");
  const auto labels = plain_or_gzip(folder, prefix + "-labels-idx1-ubyte");
  LabelledImages read = read_idx_images(images, labels, kClasses);
  return {std::move(read.x), std::move(read.y)};
}

Dataset open_idx_set(const std::string& name, const ImageOptions& options, const DataPlaces& places,
                     const std::string& package_folder, const std::string& advice) {
  static const std::array<std::string, 4> files = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                                   "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};
  const auto folder = find_data(name, options.root, places, files, package_folder, advice);
  return make_image_dataset(name, read_split(folder, "train"), read_split(folder, "t10k"), kClasses, options);
}

}  // namespace

Dataset open(const FashionMNISTConfig& config, const DataPlaces& places) {
  return open_idx_set("fashion_mnist", config, places, "datasets/fashion-mnist",
                      "run `genzoo fetch fashion_mnist`, or install the package dataset-fashion-mnist");
}

Dataset open(const MNISTConfig& config, const DataPlaces& places) {
  return open_idx_set("mnist", config, places, "", "run `genzoo fetch mnist`");
}

}  // namespace genzoo
