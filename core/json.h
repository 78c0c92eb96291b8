#pragma once
// JSON for the run folder and the verbs' --json. The library's name is spelled here and nowhere else.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace genzoo {

/// An ordered JSON value: keys keep the order in which they were written.
using Json = nlohmann::ordered_json;

/// The same with keys in ascending order: for objects of many keys, which a Json looks through one by one.
using SortedJson = nlohmann::json;

/// Parses text; throws RunError naming `where` and the position of the mistake.
Json parse_json(const std::string& text, const std::string& where);
SortedJson parse_sorted_json(const std::string& text, const std::string& where);

/// Whether a text may stand in JSON, in metadata and in a config.
bool is_utf8(const std::string& text);

/// A number for JSON: null when there is none or it is not finite (JSON has no NaN).
Json finite_or_null(double value);
Json finite_or_null(const std::optional<double>& value);

}  // namespace genzoo
