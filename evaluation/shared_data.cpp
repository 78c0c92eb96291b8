#include "evaluation/shared_data.h"

#include <torch/utils.h>

#include "data/tokenizer.h"

namespace genzoo {
namespace {

/// A data set's settings as text.
std::string text_of(const Choice& data) {
  ExperimentConfig only;
  only.data = data;
  return write_config(only);
}

/// The text of a split.
std::string text_of(const Dataset& dataset, Split split) {
  return tokenizer_from_json(dataset.spec.tokenizer)->decode(dataset[split].x.to(torch::kLong));
}

}  // namespace

const Dataset& SharedData::of(const ExperimentConfig& config) {
  auto& place = opened_[text_of(config.data)];
  if (!place) place = std::make_unique<Dataset>(open_dataset(config.data, places_));
  return *place;
}

bool same_data(const Dataset& a, const Dataset& b) {
  if (a.spec.dataset != b.spec.dataset || a.spec.kind != b.spec.kind || a.spec.shape != b.spec.shape) return false;
  const bool alike_treated = a.spec == b.spec && a.binarize == b.binarize;
  if (alike_treated) return a.digest() == b.digest();
  for (const Split split : {Split::train, Split::validation, Split::test}) {
    if (a.has(split) != b.has(split)) return false;
    if (!a.has(split)) continue;
    if (a.spec.kind == DataKind::tokens) {
      if (text_of(a, split) != text_of(b, split)) return false;
    } else if (a.count(split) != b.count(split) || a[split].y.defined() != b[split].y.defined() ||
               (a[split].y.defined() && !torch::equal(a[split].y, b[split].y))) {
      return false;
    }
  }
  return true;
}

}  // namespace genzoo
