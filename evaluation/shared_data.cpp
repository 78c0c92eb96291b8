#include "evaluation/shared_data.h"

#include <torch/utils.h>

#include <utility>
#include <vector>

#include "data/images.h"
#include "data/pairs.h"
#include "data/tokenizers/tokenizer.h"

namespace genzoo {
namespace {

/// A data set's settings as text.
std::string text_of(const Choice& data) {
  ExperimentConfig only;
  only.data = data;
  return write_config(only);
}

/// A data set's settings without those of its tokens, by which documents are neither chosen, ordered nor split.
std::vector<std::pair<std::string, std::string>> settings_but_tokens(const Choice& data) {
  ExperimentConfig only;
  only.data = data;
  auto settings = flatten_config([&](Fields& f) { only.fields(f); });
  const std::string tokens = "data." + data.name + ".tokens", most = "data." + data.name + ".max_tokens";
  std::erase_if(settings, [&](const auto& setting) {
    return setting.first == tokens || setting.first.starts_with(tokens + ".") || setting.first == most;
  });
  return settings;
}

/// A split's images as stored, or where `bits`, for treatments that differ, the draw that binarization makes of them
/// once.
Tensor images_of(const Dataset& dataset, Split split, bool bits) {
  const bool grey = dataset.spec.levels > 2 || (dataset.binarize == Binarize::dynamic && split == Split::train);
  return bits && grey ? binarize_once(dataset[split].x, split) : dataset[split].x;
}

bool same_examples(const Dataset& a, const Dataset& b, Split split) {
  if (a[split].y.defined() != b[split].y.defined()) return false;
  if (a[split].y.defined() && !torch::equal(a[split].y, b[split].y)) return false;
  if (a.spec.kind != DataKind::images) return torch::equal(a[split].x, b[split].x);
  const bool bits = a.spec.levels != b.spec.levels || a.binarize != b.binarize;
  return torch::equal(images_of(a, split, bits), images_of(b, split, bits));
}

/// The text of a split, or its pairs of texts, or its documents with their labels, a line each.
std::string text_of(const Dataset& dataset, Split split) {
  const DataSpec& spec = dataset.spec;
  const auto tokenizer = tokenizer_from_json(spec.tokenizer);
  if (spec.kind == DataKind::tokens) return tokenizer->decode(dataset[split].x.to(torch::kLong));
  std::string text;
  const Examples& examples = dataset[split];
  for (int64_t i = 0; i < dataset.count(split); ++i) {
    const std::string other = spec.kind == DataKind::documents
                                  ? spec.class_names[static_cast<size_t>(examples.y[i].item<int64_t>())]
                                  : text_before_end(spec, *tokenizer, examples.y[i]);
    text += text_before_end(spec, *tokenizer, examples.x[i]) + "\t" + other + "\n";
  }
  return text;
}

}  // namespace

const Dataset& SharedData::of(const ExperimentConfig& config) {
  auto& place = opened_[text_of(config.data)];
  if (!place) place = std::make_unique<Dataset>(open_dataset(config.data, places_));
  return *place;
}

bool SharedData::same(const ExperimentConfig& a, const ExperimentConfig& b) {
  const Dataset &first = of(a), &other = of(b);
  const bool documents = first.spec.kind == DataKind::documents && other.spec.kind == DataKind::documents;
  if (documents && settings_but_tokens(a.data) == settings_but_tokens(b.data)) return true;
  return same_data(first, other);
}

bool same_data(const Dataset& a, const Dataset& b) {
  if (a.spec.dataset != b.spec.dataset || a.spec.kind != b.spec.kind) return false;
  if (!a.spec.has_tokens() && a.spec.shape != b.spec.shape) return false;
  if (&a == &b) return true;
  for (const Split split : {Split::train, Split::validation, Split::test}) {
    if (a.has(split) != b.has(split)) return false;
    if (!a.has(split)) continue;
    if (a.spec.has_tokens()) {
      if (text_of(a, split) != text_of(b, split)) return false;
    } else if (a.count(split) != b.count(split) || !same_examples(a, b, split)) {
      return false;
    }
  }
  return true;
}

}  // namespace genzoo
