#pragma once
// Binary vectors of the density-estimation benchmark that circuits, NADE and flows are compared on: 20 sets of 16 to
// 1,556 bits with fixed splits. Lowd & Davis (2010); Van Haaren & Davis (2012).
// https://github.com/arranger1044/DEBD

#include <cstdint>
#include <string>

#include "data/dataset.h"

namespace genzoo {

struct DebdConfig {
  std::string name = "nltcs";
  std::string root;

  void fields(Fields& f);
};

/// The set NAME of the files NAME.train, NAME.valid and NAME.test (or .gz): a line is an example, 0 and 1 between
/// commas. Throws RunError naming the file and line of what is neither.
Dataset open(const DebdConfig& config, const DataPlaces& places);

/// As many uniform bits as the set NAME has, made by the program.
Dataset stand_in(const DebdConfig& config);

}  // namespace genzoo
