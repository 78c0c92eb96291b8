#pragma once
// A config's text as a tree with positions: what config_source.cpp makes of YAML and config_reader.cpp reads. Private
// to the config reader.

#include <compare>
#include <string>
#include <vector>

#include "core/config.h"

namespace genzoo {

/// Where something was written. In order: the file from top to bottom, then the overrides as they were given.
struct ConfigPlace {
  int assignment = -1;  ///< index of the override; -1: the file
  int line = 0;         ///< from 0; of an override, within its value
  int column = 0;       ///< from 0, in bytes
  auto operator<=>(const ConfigPlace&) const = default;
};

struct ConfigMistake {
  ConfigPlace place;
  std::string message;
};

/// A value as written.
struct ConfigNode {
  enum class Kind { null, scalar, sequence, map };
  struct Entry;

  Kind kind = Kind::null;
  ConfigPlace place;
  std::string text;               ///< of a scalar
  bool quoted = false;            ///< a scalar in quotes, or a block of text: never a number
  std::vector<ConfigNode> items;  ///< of a sequence
  std::vector<Entry> entries;     ///< of a map; of a scalar or sequence, the keys that overrides set below it

  Entry* find(std::string_view key);
  const Entry* find(std::string_view key) const;
};

/// One key of a map.
struct ConfigNode::Entry {
  std::string key;
  ConfigPlace place;  ///< of the key
  int touched = -1;   ///< the last override that set it or something below it; -1: none
  ConfigNode value;
};

struct ConfigSource::Tree {
  std::string name;                      ///< stands for FILE in mistakes
  ConfigNode root;                       ///< a map
  std::vector<std::string> assignments;  ///< the overrides, as given
  std::vector<ConfigMistake> mistakes;   ///< found without knowing what the keys mean: duplicate keys and the like
};

/// What a source's text was made into.
const ConfigNode& root_of(const ConfigSource& source);

}  // namespace genzoo
