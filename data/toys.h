#pragma once
// Points in the plane whose density is known: the only data of which a model's log-likelihood can be compared with the
// truth.

#include <cstdint>

#include "data/dataset.h"

namespace genzoo {

/// How many points, and by which seed.
struct ToySizes {
  int64_t examples = 100000;
  int64_t validation = 10000;
  int64_t test = 10000;
  int64_t data_seed = 0;

  void fields(Fields& f);
};

/// Equal weights, centers on a circle of radius 2, the first at angle 0; not rescaled. Labels: the component.
struct EightGaussiansConfig : ToySizes {
  double std = 0.2;
  void fields(Fields& f);
};

/// 5x5 centers at {-4, -2, 0, 2, 4}^2, equal weights. Labels: the component.
struct GridGaussiansConfig : ToySizes {
  double std = 0.05;
  void fields(Fields& f);
};

/// Two half circles of radius 1, (cos t, sin t) and (1 - cos t, 1/2 - sin t) with t uniform on [0, pi], plus Gaussian
/// noise: scikit-learn's make_moons with t random. Labels: the moon.
struct TwoMoonsConfig : ToySizes {
  double noise = 0.1;
  void fields(Fields& f);
};

/// Concentric circles of radius spacing, 2 spacing, ..., equally probable, angle uniform, plus Gaussian noise. Labels:
/// the circle.
struct RingsConfig : ToySizes {
  int64_t rings = 4;
  double spacing = 0.75;
  double noise = 0.08;
  void fields(Fields& f);
};

/// Uniform on 8 of the 16 squares of side 2 in [-4, 4]^2, those whose column and row have an even sum.
struct CheckerboardConfig : ToySizes {};

Dataset open(const EightGaussiansConfig& config, const DataPlaces& places);
Dataset open(const GridGaussiansConfig& config, const DataPlaces& places);
Dataset open(const TwoMoonsConfig& config, const DataPlaces& places);
Dataset open(const RingsConfig& config, const DataPlaces& places);
Dataset open(const CheckerboardConfig& config, const DataPlaces& places);

/// Differential entropies, nats: by quadrature to at least 8 digits (checkerboard: log 32).
double entropy_of(const EightGaussiansConfig& config);
double entropy_of(const GridGaussiansConfig& config);
double entropy_of(const TwoMoonsConfig& config);
double entropy_of(const RingsConfig& config);
double entropy_of(const CheckerboardConfig& config);

}  // namespace genzoo
