// Each kind of data that a family may model, and examples as they would be stored.
#pragma once

#include <string>
#include <vector>

#include "models/model.h"
#include "tests/support.h"

namespace genzoo {

inline constexpr int64_t kRows = 8;

inline DataSpec images(const std::string& name, int64_t levels) {
  DataSpec spec;
  spec.dataset = name;
  spec.kind = DataKind::images;
  spec.shape = {1, 16, 16};  // of a few hundred pixels: some families draw one after the other
  spec.levels = levels;
  return spec;
}

inline DataSpec vectors() {
  DataSpec spec;
  spec.dataset = "vectors";
  spec.shape = {2};
  return spec;
}

inline DataSpec tokens() {
  DataSpec spec;
  spec.dataset = "tokens";
  spec.kind = DataKind::tokens;
  spec.vocabulary = 11;
  spec.token_unit = "char";
  return spec;
}

inline DataSpec pairs() {
  DataSpec spec = tokens();
  spec.dataset = "pairs";
  spec.kind = DataKind::pairs;
  spec.shape = {6, 5};
  spec.end_token = spec.vocabulary - 1;
  return spec;
}

inline DataSpec documents() {
  DataSpec spec = pairs();
  spec.dataset = "documents";
  spec.kind = DataKind::documents;
  spec.shape = {6};
  spec.classes = 3;
  spec.class_names = {"red", "green", "blue"};
  return spec;
}

inline const std::vector<DataSpec>& kinds_of_data() {
  static const std::vector<DataSpec> kinds = [] {
    DataSpec labelled = images("images", 256);
    labelled.classes = 3;
    return std::vector<DataSpec>{labelled, images("binarized", 2), vectors(), tokens(), pairs(), documents()};
  }();
  return kinds;
}

/// Random texts of any length up to `longest`, ended and filled up: (rows, longest).
inline Tensor ended_texts(const DataSpec& data, int64_t rows, int64_t longest, Rng& rng) {
  const Tensor length = rng.integers(longest, {rows, 1});
  const Tensor texts = rng.integers(data.end_token, {rows, longest});
  return texts.masked_fill(at::arange(longest).ge(length), data.end_token);
}

/// Random examples as they would be stored; of tokens: random text, the model's whole context.
inline Batch batch_for(const DataSpec& data, const AnyModel& model, uint64_t index, int64_t rows = kRows) {
  Rng rng = Rng::for_batch(11, Purpose::synthetic_data, index);
  if (data.kind == DataKind::tokens) {
    const Tensor text = rng.integers(data.vocabulary, {rows, model.can.context + 1});
    return {text.slice(1, 0, model.can.context), text.slice(1, 1)};
  }
  if (data.kind == DataKind::pairs) {
    const Tensor x = ended_texts(data, rows, data.shape[0], rng);
    return {x, ended_texts(data, rows, data.shape[1], rng)};
  }
  if (data.kind == DataKind::documents) {
    const Tensor x = ended_texts(data, rows, data.shape[0], rng);
    return {x, rng.integers(data.classes, {rows})};
  }
  std::vector<int64_t> size = data.shape;
  size.insert(size.begin(), rows);
  if (data.kind == DataKind::images) {
    const Tensor x = rng.integers(data.levels, size).to(torch::kByte);
    return {x, data.classes > 0 ? rng.integers(data.classes, {rows}) : Tensor()};
  }
  return {rng.normal(size), {}};
}

}  // namespace genzoo
