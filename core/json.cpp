#include "core/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace genzoo {

namespace {

/// How deep lists and objects are nested. Whoever walks through them nests calls as deep.
size_t depth_of(const std::string& text) {
  size_t depth = 0, deepest = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      quoted = c != '"';
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (c == ']' || c == '}') {
      depth -= depth > 0;
    } else {
      quoted = c == '"';
    }
  }
  return deepest;
}

template <class AnyJson>
AnyJson parse(const std::string& text, const std::string& where) {
  constexpr size_t kDeepest = 256;
  if (const size_t depth = depth_of(text); depth > kDeepest) {
    throw RunError(
        fmt::format("{}: JSON with {} levels of lists and objects, wanted at most {}", where, depth, kDeepest));
  }
  try {
    return AnyJson::parse(text);
  } catch (const typename AnyJson::exception& error) {  // a parse_error, or a number that is out of range
    // "[json.exception.parse_error.101] parse error at line 1, column 5: ...": the kind in brackets is for programs.
    const std::string what = error.what();
    const size_t kind = what.find("] ");
    throw RunError(fmt::format("{}: not JSON: {}", where, kind == std::string::npos ? what : what.substr(kind + 2)));
  }
}

}  // namespace

Json parse_json(const std::string& text, const std::string& where) { return parse<Json>(text, where); }

SortedJson parse_sorted_json(const std::string& text, const std::string& where) {
  return parse<SortedJson>(text, where);
}

bool is_utf8(const std::string& text) {
  try {
    const std::string ignored = Json(text).dump();
    return true;
  } catch (const Json::type_error&) {
    return false;
  }
}

Json finite_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
Json finite_or_null(const std::optional<double>& value) { return value ? finite_or_null(*value) : Json(nullptr); }

}  // namespace genzoo
