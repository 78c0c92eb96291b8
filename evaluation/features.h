#pragma once
// Feature extractors: named maps from examples to vectors, in which samples are compared with real data. A distance
// between sets of samples means nothing without the name of the space it was measured in.

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "data/dataset.h"

namespace genzoo {

struct Features {
  std::string name;    ///< for columns: "pixels", "coordinates", "classifier 3f2a91c0"
  std::string of;      ///< with the treatment of the data: "classifier 3f2a91c0 of pixels of 256 levels"
  std::string detail;  ///< how it came to be: "trained on fashion_mnist, 91.3 % of test labels right, ..."
  std::function<Tensor(const Tensor& x)> map;  ///< x (N, ...) as stored -> (N, F) float32 on the CPU
  std::string frechet_name = {};  ///< "FID", where the Frechet distance of these features is known by that name
  std::string kernel_name = {};   ///< "KID"
};

extern const std::string_view kClassifierRecipe;  ///< configs/classifier_fashion_mnist.yaml

/// The values themselves: pixels as 0 ... 1, or coordinates of vectors.
Features raw_features(const DataSpec& spec);

/// What happens while one waits, in plain words.
using Progress = std::function<void(const std::string&)>;

/// The features of a small classifier that is trained on the labelled images by a fixed recipe
/// (configs/classifier_fashion_mnist.yaml with these data in it), once: it is kept in `places.cache`/features/, under
/// the digest of recipe and data. Its accuracy and the digest of its weights stand in `detail`, the latter in the name.
/// Throws UsageError when the data are no labelled images, and Error with the signal's code when training is stopped.
Features classifier_features(const Choice& data, const Dataset& dataset, const DataPlaces& places,
                             const Progress& progress);

/// All feature spaces in which samples of these data are measured: raw values, of labelled images the classifier's, and
/// Inception features where a file with weights is given (inception_features); these are computed on `device`.
std::vector<Features> features_for(const Choice& data, const Dataset& dataset, const DataPlaces& places,
                                   const Progress& progress, const std::filesystem::path& inception = {},
                                   torch::Device device = torch::kCPU);

}  // namespace genzoo
