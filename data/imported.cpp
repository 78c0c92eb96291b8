#include "data/imported.h"

#include <fmt/format.h>

namespace genzoo {

void ImportedConfig::fields(Fields& f) { f("folder", folder, "where the weights came from"); }

Dataset open(const ImportedConfig& config, const DataPlaces&) {
  throw DataMissing(
      fmt::format("data/imported: the weights came from {}, and what they were trained on is not known "
                  "here; generate and score need no data, and train.init_from takes the run as a start",
                  config.folder.empty() ? "elsewhere" : config.folder));
}

}  // namespace genzoo
