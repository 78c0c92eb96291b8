#include "tools/catalog.h"

#include <fmt/ranges.h>

#include "tools/table.h"

namespace genzoo {
namespace {

std::vector<KeyDoc> keys_of(AnyConfig& config) {
  return document_config([&](Fields& f) { config.fields(f); });
}

}  // namespace

void refuse_name(const std::string& verb, const std::string& name, const std::vector<std::string>& known) {
  const std::string near = nearest_name(name, known);
  throw UsageError(fmt::format("{}: no '{}'; {}there are {}", verb, name,
                               near.empty() ? "" : fmt::format("did you mean '{}'? ", near), fmt::join(known, ", ")));
}

std::string describe_keys(AnyConfig defaults) {
  Table table;
  for (const KeyDoc& key : keys_of(defaults)) {
    table.add({"  " + key.key, key.fallback, key.type + (key.range.empty() ? "" : ", " + key.range), key.doc});
  }
  return "keys, their defaults and what they take:\n" + table.text();
}

Json keys_to_json(AnyConfig defaults) {
  Json keys = Json::array();
  for (const KeyDoc& key : keys_of(defaults)) {
    keys.push_back(
        {{"key", key.key}, {"type", key.type}, {"default", key.fallback}, {"range", key.range}, {"doc", key.doc}});
  }
  return keys;
}

}  // namespace genzoo
