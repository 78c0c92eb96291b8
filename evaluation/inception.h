#pragma once
// The features that FID (Heusel et al., 2017) and KID (Binkowski et al., 2018) are of: the last pooling layer of
// InceptionV3 (Szegedy et al., 2016), with the weights that the user supplies.
//
// It is the network of pytorch-fid, which repeats the original one of TensorFlow: average pools do not count the zeros
// around a picture, and the last block has a maximum where the paper has an average. Its weights become a file for here
// by safetensors.torch.save_file(torch.load("pt_inception-2015-12-05-6726825d.pth"), "inception.safetensors").
//
// One core of a Xeon with AVX-512 takes 0.09 s for an image, so a quarter of an hour for 10,000; a GPU is not measured.

#include <torch/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "evaluation/features.h"

namespace genzoo {

inline constexpr int64_t kInceptionFeatures = 2048;

/// Every tensor that the network needs with its shape, named as in torchvision's inception_v3:
/// "Mixed_5b.branch1x1.conv.weight" (64, 192, 1, 1), "Mixed_5b.branch1x1.bn.running_var" (64), ...
std::map<std::string, std::vector<int64_t>> inception_layout();

/// Throws UsageError when the data are no images of 256 levels and one or three channels, or the file is missing or
/// lacks tensors or has some of another shape (those the network does not need are ignored); RunError when it is
/// damaged. Reads no weights.
void require_inception(const std::filesystem::path& weights, const DataSpec& spec);

/// The 2048 features of images of 256 levels, grey ones as three equal channels: resized to 299 x 299 bilinearly
/// without antialiasing, as pytorch-fid does. `map` takes images of any height and width and works in float32 on the
/// device, a few images at a time. The name is "inception"; `of` and `detail` hold the digest of the weights. Only
/// with weights whose fc.weight is of 1008 classes, as those of published FIDs, distances are called FID and KID;
/// torchvision's own are of 1000.
/// Throws as require_inception, and UsageError when weights are not finite.
Features inception_features(const std::filesystem::path& weights, const DataSpec& spec, torch::Device device);

}  // namespace genzoo
