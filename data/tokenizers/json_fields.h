#pragma once
// Typed fields of a tokenizer.json, with errors that name the section they are missing in.

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "core/error.h"
#include "core/json.h"

namespace genzoo {

inline std::string text_in(const SortedJson& section, const char* key, const std::string& where) {
  if (!section.is_object() || !section.contains(key) || !section[key].is_string()) {
    throw RunError(fmt::format("tokenizer: {}: \"{}\" is missing, or no text", where, key));
  }
  return section[key].get<std::string>();
}

/// `fallback` where there is none.
inline bool flag_in(const SortedJson& section, const char* key, bool fallback, const std::string& where) {
  if (!section.contains(key) || section[key].is_null()) return fallback;
  if (!section[key].is_boolean())
    throw RunError(fmt::format("tokenizer: {}: \"{}\", wanted true or false", where, key));
  return section[key].get<bool>();
}

inline const SortedJson& list_in(const SortedJson& section, const char* key, const std::string& where) {
  if (!section.is_object() || !section.contains(key) || !section[key].is_array()) {
    throw RunError(fmt::format("tokenizer: {}: \"{}\" is missing, or no list", where, key));
  }
  return section[key];
}

inline const SortedJson& object_in(const SortedJson& section, const char* key, const std::string& where) {
  if (!section.is_object() || !section.contains(key) || !section[key].is_object()) {
    throw RunError(fmt::format("tokenizer: {}: \"{}\" is missing, or no object", where, key));
  }
  return section[key];
}

/// Whether a value is a whole number, not negative.
inline bool is_count(const SortedJson& value) { return value.is_number_integer() && value >= 0; }

/// The index of one of `count` tokens. There may be gaps between them, but not so many that a damaged index would
/// allocate something huge.
inline int32_t index_of(const SortedJson& value, size_t count, const std::string& where) {
  const auto most = static_cast<int64_t>(std::min(4 * count + (size_t{1} << 16), size_t{1} << 24)) - 1;
  if (!value.is_number_integer() || value.get<int64_t>() < 0 || value.get<int64_t>() > most) {
    throw RunError(fmt::format("tokenizer: {}: the index {}, wanted 0 to {}", where, value.dump(), most));
  }
  return static_cast<int32_t>(value.get<int64_t>());
}

}  // namespace genzoo
