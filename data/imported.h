#pragma once
// The data behind weights that were trained elsewhere: nobody has them here.

#include <string>

#include "data/dataset.h"

namespace genzoo {

struct ImportedConfig {
  std::string folder;
  void fields(Fields& f);
};

/// Throws DataMissing, saying what can be done without them.
Dataset open(const ImportedConfig& config, const DataPlaces& places);

}  // namespace genzoo
