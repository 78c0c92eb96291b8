#pragma once
// The data of a comparison's contestants, and whether they are the same.

#include <map>
#include <memory>
#include <string>

#include "data/dataset.h"
#include "trainers/experiment.h"

namespace genzoo {

/// Each data set is opened once, however many contestants learn from it.
class SharedData final {
 public:
  explicit SharedData(const DataPlaces& places) : places_(places) {}

  /// The one that a config names. Throws as open_dataset does.
  const Dataset& of(const ExperimentConfig& config);

  /// Whether two configs' data are the same examples in the same splits: same_data of what they name, or documents
  /// whose settings differ in their tokens alone, as those of which a tokenizer keeps too little to tell.
  bool same(const ExperimentConfig& a, const ExperimentConfig& b);

 private:
  const DataPlaces& places_;
  std::map<std::string, std::unique_ptr<Dataset>> opened_;
};

/// Whether two data sets are the same examples in the same splits, perhaps treated differently: pixels and bits of the
/// same images (then the labels must agree), characters and bytes of the same text, of the same pairs of texts, or of
/// the same documents with the same labels.
bool same_data(const Dataset& a, const Dataset& b);

}  // namespace genzoo
