#include "core/json.h"

#include <fmt/format.h>

#include <cmath>

#include "core/error.h"

namespace genzoo {

Json parse_json(const std::string& text, const std::string& where) {
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 5: ...": the kind in brackets is for programs.
    const std::string what = error.what();
    const size_t kind = what.find("] ");
    throw RunError(fmt::format("{}: not JSON: {}", where, kind == std::string::npos ? what : what.substr(kind + 2)));
  }
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
