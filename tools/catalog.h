#pragma once
// Tables of contents: all entries in brief, or one of them with its keys.

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/json.h"
#include "tools/output.h"
#include "tools/verb.h"

namespace genzoo {

/// Throws UsageError: "VERB: no 'NAME'; did you mean ...? there are ...".
[[noreturn]] void refuse_name(const std::string& verb, const std::string& name, const std::vector<std::string>& known);

/// The entry of that name in a table whose rows have one. Throws UsageError (refuse_name).
template <class Entry>
const Entry& find_entry(const std::string& verb, const std::string& name, std::span<const Entry> table) {
  std::vector<std::string> known;
  for (const Entry& entry : table) {
    if (entry.name == name) return entry;
    known.emplace_back(entry.name);
  }
  refuse_name(verb, name, known);
}

/// The keys of a config, their defaults, what they take and what they mean: a line each, or an array of objects.
std::string describe_keys(AnyConfig defaults);
Json keys_to_json(AnyConfig defaults);

/// How the entries of a table are shown.
template <class Entry>
struct Catalog {
  std::span<const Entry> table;
  std::string (*describe_all)();
  std::string (*describe)(const Entry& entry);
  Json (*to_json)(const Entry& entry);
};

/// A verb with the positional [NAME] and the option --json.
template <class Entry>
ExitCode show_catalog(const std::string& verb, const Catalog<Entry>& catalog, const Arguments& arguments) {
  const bool as_json = arguments.flag("json");
  if (arguments.has("NAME")) {
    const Entry& entry = find_entry(verb, arguments.text("NAME"), catalog.table);
    as_json ? print_json(catalog.to_json(entry)) : print(catalog.describe(entry));
  } else if (as_json) {
    Json all = Json::array();
    for (const Entry& entry : catalog.table) all.push_back(catalog.to_json(entry));
    print_json(all);
  } else {
    print(catalog.describe_all());
  }
  return ExitCode::done;
}

}  // namespace genzoo
