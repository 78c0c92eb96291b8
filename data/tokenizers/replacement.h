#pragma once
// "Replace" of a tokenizer.json, as a normalizer or a decoder: a pattern, and what takes its place.

#include <optional>
#include <string>
#include <string_view>

#include "core/json.h"
#include "data/tokenizers/pattern.h"

namespace genzoo {

class Replacement final {
 public:
  /// Of {"pattern": {"String": ...} or {"Regex": ...}, "content": ...}. Throws RunError naming `where`.
  Replacement(const SortedJson& description, const char* where);

  std::string in(std::string_view text) const;

 private:
  std::string literal_;  ///< what is replaced, where there is no pattern
  std::optional<Pattern> pattern_;
  std::string content_;
};

/// The pattern of a "Split" or "Replace" as a regular expression. Throws RunError naming `where`.
std::string expression_in(const SortedJson& description, const char* where);

}  // namespace genzoo
