#pragma once
// The tokens of a tokenizer's file: {"token": index, ...}.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/json.h"

namespace genzoo {

/// By index; an empty one is none. Throws RunError naming `where` on an empty token, an index out of bounds or given
/// twice.
std::vector<std::string> read_vocabulary(const SortedJson& file, const std::string& where);

/// The same as the text of a JSON object, a line each, in the order of the indices.
std::string vocabulary_json(const std::vector<std::string>& tokens);

/// A map or list with a line for each entry.
std::string lines_of(const std::vector<std::string>& entries, char open, char close);

/// A text as JSON writes it, in quotes.
std::string quoted_json(const std::string& text);

/// Where each token is in a vocabulary, of two that are alike the last. It looks into the vocabulary's own texts.
class TokenIndex final {
 public:
  explicit TokenIndex(const std::vector<std::string>& tokens);
  std::optional<int32_t> find(std::string_view token) const;
  /// Throws RunError naming `key` if it is not there.
  int32_t at(const std::string& token, const char* key) const;

 private:
  std::unordered_map<std::string_view, int32_t> index_;
};

}  // namespace genzoo
