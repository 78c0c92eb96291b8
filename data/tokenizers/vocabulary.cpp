#include "data/tokenizers/vocabulary.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/error.h"
#include "data/tokenizers/json_fields.h"

namespace genzoo {

std::vector<std::string> read_vocabulary(const SortedJson& file, const std::string& where) {
  std::vector<std::string> tokens;
  for (const auto& [written, value] : file.items()) {
    const auto index = static_cast<size_t>(index_of(value, file.size(), where));
    if (written.empty()) {
      throw RunError(fmt::format("tokenizer: {}: the token with the index {} is empty", where, index));
    }
    if (index >= tokens.size()) tokens.resize(index + 1);
    if (!tokens[index].empty()) {
      throw RunError(
          fmt::format("tokenizer: {}: the index {} is of \"{}\" and of \"{}\"", where, index, tokens[index], written));
    }
    tokens[index] = written;
  }
  return tokens;
}

std::string quoted_json(const std::string& text) { return Json(text).dump(); }

std::string lines_of(const std::vector<std::string>& entries, char open, char close) {
  return entries.empty() ? fmt::format("{}{}", open, close)
                         : fmt::format("{}\n{}\n{}", open, fmt::join(entries, ",\n"), close);
}

std::string vocabulary_json(const std::vector<std::string>& tokens) {
  std::vector<std::string> lines;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (!tokens[i].empty()) lines.push_back(fmt::format("{}:{}", quoted_json(tokens[i]), i));
  }
  return lines_of(lines, '{', '}');
}

TokenIndex::TokenIndex(const std::vector<std::string>& tokens) {
  index_.reserve(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (!tokens[i].empty()) index_.insert_or_assign(tokens[i], static_cast<int32_t>(i));
  }
}

std::optional<int32_t> TokenIndex::find(std::string_view token) const {
  const auto found = index_.find(token);
  return found == index_.end() ? std::optional<int32_t>() : found->second;
}

int32_t TokenIndex::at(const std::string& token, const char* key) const {
  const auto found = find(token);
  if (!found) throw RunError(fmt::format("tokenizer: model: {} \"{}\" is no token of the vocabulary", key, token));
  return *found;
}

}  // namespace genzoo
