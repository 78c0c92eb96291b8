#pragma once
// What image sets have in common: binarization, padding, the last part of the training data for validation.

#include <cstdint>
#include <string>

#include "data/dataset.h"

namespace genzoo {

/// The options of a set of images of one size.
struct ImageOptions {
  std::string root;
  int64_t validation = 5000;
  Binarize binarize = Binarize::none;
  int64_t pad_to = 0;

  void fields(Fields& f);
};

struct FashionMNISTConfig : ImageOptions {};
struct MNISTConfig : ImageOptions {};
struct CIFAR10Config : ImageOptions {};

Dataset open(const FashionMNISTConfig& config, const DataPlaces& places);
Dataset open(const MNISTConfig& config, const DataPlaces& places);
Dataset open(const CIFAR10Config& config, const DataPlaces& places);

/// How a picture of any shape becomes a square: its middle, all of it between black bars, or all of it distorted.
enum class Fit { crop, pad, stretch };
inline constexpr const char* kFitNames[] = {"crop", "pad", "stretch"};

struct ImageFolderConfig {
  std::string root;
  int64_t size = 64;
  Fit fit = Fit::crop;
  bool grey = false;
  double validation = 0.1;
  Binarize binarize = Binarize::none;

  void fields(Fields& f);
};

/// Throws RunError naming the first file, in the order of the paths, that is no whole picture.
Dataset open(const ImageFolderConfig& config, const DataPlaces& places);

struct UniformNoiseConfig {
  int64_t examples = 10000;
  int64_t validation = 1000;
  int64_t test = 2000;
  int64_t data_seed = 0;

  void fields(Fields& f);
};

/// 1x28x28, every pixel uniform on 0 ... 255, so no model that gives probabilities can need fewer than 8 bits/dim.
Dataset open(const UniformNoiseConfig& config, const DataPlaces& places);

/// dims * log 256.
double entropy_of(const UniformNoiseConfig& config);

/// The data set made of images as read, uint8 (N, C, H, W): padded with zeros to pad_to x pad_to, the last `validation`
/// of `train` split off, binarized. `test.x` may be undefined. Throws UsageError when an option does not fit the
/// images.
Dataset make_image_dataset(const std::string& name, Examples train, Examples test, int64_t classes,
                           const ImageOptions& options);

/// Bits (N, C, H, W) uint8 of 0 and 1: one draw with the pixel's brightness x / 255 as probability, always the same one
/// for row i of a split (Salakhutdinov & Murray, 2008, sec. 5, for MNIST).
Tensor binarize_once(const Tensor& x, Split split);

/// One draw of bits with the brightness of x (B, C, H, W) uint8 as probability.
Tensor draw_bits(const Tensor& x, Rng& rng);

}  // namespace genzoo
