#include <fmt/ranges.h>

#include <array>

#include "core/error.h"
#include "core/file.h"
#include "core/safetensors.h"
#include "data/dataset.h"

namespace genzoo {
namespace {

constexpr std::array<const char*, 5> kKindNames = {"images", "vectors", "tokens", "pairs", "documents"};

// No image or vector of a data set of this program is larger; a larger number is damage.
constexpr int64_t kLargestSize = int64_t{1} << 20;
constexpr int64_t kLargestVocabulary = int64_t{1} << 31;

[[noreturn]] void damaged(const std::string& what) {
  throw RunError(fmt::format("data description: {}; the file is damaged or not of this program", what));
}

const Json& member(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end()) damaged(fmt::format("no \"{}\"", key));
  return *found;
}

std::string text_member(const Json& json, const char* key) {
  const Json& value = member(json, key);
  if (!value.is_string()) damaged(fmt::format("\"{}\" is not text", key));
  return value.get<std::string>();
}

int64_t size_value(const Json& value, const char* key, int64_t smallest, int64_t largest) {
  if (!value.is_number_integer()) damaged(fmt::format("\"{}\" is not an integer", key));
  // An unsigned number beyond int64 would wrap around.
  const bool fits = !value.is_number_unsigned() || value.get<uint64_t>() <= static_cast<uint64_t>(largest);
  const int64_t number = fits ? value.get<int64_t>() : -1;
  if (number < smallest || number > largest) {
    damaged(fmt::format("\"{}\" is {}, wanted {} to {}", key, value.dump(), smallest, largest));
  }
  return number;
}

DataKind kind_named(const std::string& name) {
  for (size_t i = 0; i < kKindNames.size(); ++i) {
    if (name == kKindNames[i]) return static_cast<DataKind>(i);
  }
  damaged(fmt::format("\"kind\" is \"{}\", wanted images, vectors, tokens, pairs or documents", name));
}

size_t sizes_of(DataKind kind) {
  switch (kind) {
    case DataKind::images:
      return 3;
    case DataKind::pairs:
      return 2;
    case DataKind::vectors:
    case DataKind::documents:
      return 1;
    case DataKind::tokens:
      break;
  }
  return 0;
}

std::vector<int64_t> shape_member(const Json& json, DataKind kind) {
  const Json& value = member(json, "shape");
  if (!value.is_array()) damaged("\"shape\" is not a list");
  const size_t wanted = sizes_of(kind);
  if (value.size() != wanted) {
    damaged(fmt::format("\"shape\" of {} has {} sizes, wanted {}", kKindNames[static_cast<size_t>(kind)], value.size(),
                        wanted));
  }
  std::vector<int64_t> shape;
  for (const Json& size : value) shape.push_back(size_value(size, "shape", 1, kLargestSize));
  return shape;
}

std::vector<std::string> names_member(const Json& json, int64_t classes) {
  const Json& value = member(json, "class_names");
  if (!value.is_array() || value.size() != static_cast<size_t>(classes)) {
    damaged(fmt::format("\"class_names\" are not {} names", classes));
  }
  std::vector<std::string> names;
  for (const Json& name : value) {
    if (!name.is_string()) damaged("one of \"class_names\" is not text");
    names.push_back(name.get<std::string>());
  }
  return names;
}

std::string classes_of(int64_t classes) {
  return classes == 0 ? "" : fmt::format(", {} class{}", classes, classes == 1 ? "" : "es");
}

}  // namespace

int64_t DataSpec::dims() const {
  int64_t product = 1;
  for (const int64_t size : shape) product *= size;
  return product;
}

Json DataSpec::to_json() const {
  Json json;
  json["dataset"] = dataset;
  json["kind"] = kKindNames[static_cast<size_t>(kind)];
  json["shape"] = shape;
  json["levels"] = levels;
  json["classes"] = classes;
  if (!class_names.empty()) json["class_names"] = class_names;
  json["vocabulary"] = vocabulary;
  if (end_token >= 0) json["end_token"] = end_token;
  json["token_unit"] = token_unit;
  json["tokenizer"] = tokenizer;
  if (!chat.empty()) json["chat"] = chat;
  return json;
}

DataSpec DataSpec::from_json(const Json& json) {
  if (!json.is_object()) damaged("not a JSON object");
  DataSpec spec;
  spec.dataset = text_member(json, "dataset");
  spec.kind = kind_named(text_member(json, "kind"));
  spec.shape = shape_member(json, spec.kind);
  const bool images = spec.kind == DataKind::images;
  const bool tokens = spec.has_tokens();
  spec.levels = size_value(member(json, "levels"), "levels", images ? 2 : 0, tokens ? 0 : 256);
  spec.classes = size_value(member(json, "classes"), "classes", 0, kLargestSize);
  if (json.contains("class_names")) spec.class_names = names_member(json, spec.classes);
  spec.vocabulary =
      size_value(member(json, "vocabulary"), "vocabulary", tokens ? 1 : 0, tokens ? kLargestVocabulary : 0);
  const bool ended = spec.kind == DataKind::pairs || spec.kind == DataKind::documents;
  if (ended || (tokens && json.contains("end_token"))) {
    spec.end_token = size_value(member(json, "end_token"), "end_token", 0, spec.vocabulary - 1);
  }
  spec.token_unit = text_member(json, "token_unit");
  spec.tokenizer = text_member(json, "tokenizer");
  if (json.contains("chat")) spec.chat = text_member(json, "chat");
  return spec;
}

std::string DataSpec::describe() const {
  switch (kind) {
    case DataKind::images:
      return fmt::format("images {}, {} levels{}", fmt::join(shape, "x"), levels, classes_of(classes));
    case DataKind::vectors:
      return fmt::format("vectors of {} dimension{}{}{}", dims(), dims() == 1 ? "" : "s",
                         levels > 0 ? fmt::format(", {} levels", levels) : "", classes_of(classes));
    case DataKind::tokens:
      return fmt::format("text of {}s, vocabulary {}", token_unit, vocabulary);
    case DataKind::pairs:
      return fmt::format("pairs of texts, up to {} and {} {}s, vocabulary {}", shape[0], shape[1], token_unit,
                         vocabulary);
    case DataKind::documents:
      return fmt::format("documents of up to {} {}s, vocabulary {}{}", shape[0], token_unit, vocabulary,
                         classes_of(classes));
  }
  return "";
}

void require_stored(const Tensor& x, const DataSpec& spec, const std::string& whose) {
  const bool images = spec.kind == DataKind::images;
  const auto wanted = images ? torch::kByte : torch::kFloat;
  if (x.dim() != static_cast<int64_t>(spec.shape.size()) + 1 || x.sizes().slice(1) != at::IntArrayRef(spec.shape) ||
      x.scalar_type() != wanted) {
    throw UsageError(fmt::format("the array has shape {} and type {}; {} takes (N, {}) {}", fmt::join(x.sizes(), "x"),
                                 c10::toString(x.scalar_type()), whose, fmt::join(spec.shape, ", "),
                                 images ? "uint8" : "float32"));
  }
  if (x.size(0) == 0) throw UsageError("the array has no examples");
  if (!images && !at::isfinite(x).all().item<bool>()) throw UsageError("the array has numbers that are not finite");
  if (images && spec.levels < 256 && x.max().item<int64_t>() >= spec.levels) {
    throw UsageError(fmt::format("the array has values up to {}; images of {} levels, as {} takes, have 0 to {}",
                                 x.max().item<int64_t>(), spec.levels, whose, spec.levels - 1));
  }
  if (images || spec.levels == 0) return;
  if (x.min().item<double>() < 0 || x.max().item<double>() > static_cast<double>(spec.levels - 1) ||
      !x.eq(x.round()).all().item<bool>()) {
    throw UsageError(fmt::format("the array has values from {:g} to {:g}; {} takes the whole numbers 0 to {}",
                                 x.min().item<double>(), x.max().item<double>(), whose, spec.levels - 1));
  }
}

const Examples& Dataset::operator[](Split split) const {
  switch (split) {
    case Split::train:
      return train;
    case Split::validation:
      return validation;
    case Split::test:
      break;
  }
  return test;
}

std::string Dataset::digest() const {
  Sha256 digest;
  const std::string facts = spec.to_json().dump() + kBinarizeNames[static_cast<size_t>(binarize)];
  digest.update(facts.data(), facts.size());
  for (const Split split : {Split::train, Split::validation, Split::test}) {
    for (const Tensor& tensor : {(*this)[split].x, (*this)[split].y}) {
      // With its shape: the same examples split elsewhere are other data.
      const std::string shape = tensor.defined() ? fmt::format("({})", fmt::join(tensor.sizes(), ",")) : "()";
      digest.update(shape.data(), shape.size());
      if (tensor.defined()) add_bytes(digest, tensor);
    }
  }
  return digest.hex();
}

void Dataset::require(Split split) const {
  if (has(split)) return;
  std::vector<std::string> there;
  for (const Split other : {Split::train, Split::validation, Split::test}) {
    if (has(other)) there.push_back(kSplitNames[static_cast<int>(other)]);
  }
  throw UsageError(fmt::format("{} has no {} split; it has {}", spec.dataset, kSplitNames[static_cast<int>(split)],
                               fmt::join(there, " and ")));
}

Dataset Dataset::learning_from(int64_t n) const {
  if (n == 0) return *this;
  if (n > count(Split::train)) {
    throw UsageError(fmt::format("train.examples {}: {} has {} to learn from; take fewer, or 0 for all", n,
                                 spec.dataset, count(Split::train)));
  }
  Dataset part = *this;
  part.train.x = train.x.narrow(/*dim=*/0, 0, n);
  if (train.y.defined()) part.train.y = train.y.narrow(/*dim=*/0, 0, n);
  return part;
}

int64_t Dataset::count(Split split) const {
  const Tensor& x = (*this)[split].x;
  return x.defined() ? x.size(0) : 0;
}

}  // namespace genzoo
