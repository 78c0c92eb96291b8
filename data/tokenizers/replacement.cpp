#include "data/tokenizers/replacement.h"

#include <fmt/format.h>

#include "core/error.h"
#include "data/tokenizers/json_fields.h"

namespace genzoo {

std::string expression_in(const SortedJson& description, const char* where) {
  const SortedJson pattern = description.value("pattern", SortedJson());
  return pattern.contains("Regex") ? text_in(pattern, "Regex", where)
                                   : Pattern::quoted(text_in(pattern, "String", where));
}

Replacement::Replacement(const SortedJson& description, const char* where)
    : content_(text_in(description, "content", where)) {
  const SortedJson& pattern = object_in(description, "pattern", where);
  if (pattern.contains("Regex")) {
    pattern_.emplace(text_in(pattern, "Regex", where));
    return;
  }
  literal_ = text_in(pattern, "String", where);
  if (literal_.empty()) throw RunError(fmt::format("tokenizer: {}: Replace: nothing to replace", where));
}

std::string Replacement::in(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  if (pattern_) {
    Pattern::Matches matches(*pattern_, text);
    size_t done = 0;
    while (matches.next()) {
      out.append(text.substr(done, matches.begin() - done)).append(content_);
      done = matches.end();
    }
    return out.append(text.substr(done));
  }
  for (size_t at = 0;;) {
    const size_t found = text.find(literal_, at);
    if (found == text.npos) return out.append(text.substr(at));
    out.append(text.substr(at, found - at)).append(content_);
    at = found + literal_.size();
  }
}

}  // namespace genzoo
