#pragma once
// What a report shows of models: grids of samples, neighbours, interpolations, reconstructions.

#include <torch/types.h>

#include <string>
#include <vector>

#include "evaluation/comparison.h"

namespace genzoo {

/// A picture with the words that stand for it.
struct ReportPicture {
  std::string name;     ///< of the model, or "real data"
  std::string caption;  ///< "64 samples, in the order of their index"
  std::string alt;      ///< what it shows, for those who do not see it
  bool external = false;
  Tensor pixels;  ///< (C, H, W) uint8
};

/// Real data first, then each model that has some: sample i of each in the same place, as many of each. Vectors as
/// points in one plane, of more than two dimensions the first two.
std::vector<ReportPicture> sample_pictures(const Comparison& comparison);

std::vector<ReportPicture> nearest_pictures(const Comparison& comparison);         ///< samples above their neighbours
std::vector<ReportPicture> interpolation_pictures(const Comparison& comparison);   ///< a row each
std::vector<ReportPicture> reconstruction_pictures(const Comparison& comparison);  ///< images above what became of them

}  // namespace genzoo
