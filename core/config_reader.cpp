// Reading: the visitor that fills a config from the tree and collects every mistake.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <regex>

#include "core/config_scalar.h"
#include "core/config_tree.h"
#include "core/error.h"

namespace genzoo {
namespace {

using Kind = ConfigNode::Kind;

bool contains(const Range& range, double value) {
  return (range.min_open ? value > range.min : value >= range.min) &&
         (range.max_open ? value < range.max : value <= range.max);
}

/// What was got, as messages quote it.
std::string got(const ConfigNode& node) {
  switch (node.kind) {
    case Kind::null:
      return "empty";
    case Kind::sequence:
      return "a list";
    case Kind::map:
      return "a map";
    case Kind::scalar:
      break;
  }
  return fmt::format("'{}'", clipped(node.text));
}

bool is_word(const ConfigNode& node, std::string_view word) {
  return node.kind == Kind::scalar && !node.quoted && node.text == word;
}

/// "; did you mean 'x'?" when there is a near one; else "; it takes a, b, c".
std::string suggestion(std::string_view got, std::span<const std::string> known) {
  const std::string nearest = nearest_name(got, known);
  if (!nearest.empty()) return fmt::format("; did you mean '{}'?", nearest);
  return known.empty() ? "; it takes no keys" : "; it takes " + joined(known);
}

}  // namespace

/// Reads one section; nested ones have readers of their own.
class ConfigReader final : public Fields {
 public:
  static const ConfigNode& root_of(const ConfigSource& source) { return source.tree_->root; }

  static void read(const ConfigSource& source, const std::function<void(Fields&)>& fields) {
    Report report{*source.tree_, source.tree_->mistakes, 0};
    ConfigReader root(report, &report.tree.root, "", report.tree.root.place);
    fields(root);
    root.refuse_unknown_keys();
    if (!report.mistakes.empty()) throw ConfigError(report.lines());
  }

  void require(bool holds, const char* key, const std::string& message) override {
    // A value that was refused left its default in place: a rule about several would then blame the wrong one.
    if (holds || report_.refused_values > refused_before_) return;
    const ConfigNode::Entry* entry = node_ ? node_->find(key) : nullptr;
    mistake(entry ? entry->place : place_, message);
  }

 protected:
  bool changes_values() const override { return true; }

  void boolean(const char* key, bool& value, const char* /*doc*/) override {
    read_leaf(key, "true or false", [&](const ConfigNode& node) {
      if (const auto parsed = unquoted(fmt::format("'{}'", key), node, parse_boolean)) value = *parsed;
    });
  }

  void integer(const char* key, int64_t& value, const char* /*doc*/, Range range) override {
    read_leaf(key, "an integer", [&](const ConfigNode& node) {
      if (const auto parsed = in_range(fmt::format("'{}'", key), node, parse_integer, range)) value = *parsed;
    });
  }

  void number(const char* key, double& value, const char* /*doc*/, Range range) override {
    read_leaf(key, "a number", [&](const ConfigNode& node) {
      if (const auto parsed = in_range(fmt::format("'{}'", key), node, parse_number, range)) value = *parsed;
    });
  }

  void text(const char* key, std::string& value, const char* /*doc*/, TextForm form) override {
    const bool given = node_ && node_->find(key);
    read_leaf(key, "text", [&](const ConfigNode& node) {
      if (*form.pattern && !std::regex_search(node.text, std::regex(form.pattern))) {
        refuse(node.place, fmt::format("'{}' must be {}, not '{}'", key, form.words, clipped(node.text)));
      } else {
        value = node.text;
      }
    });
    if (form.required && !given) refuse(place_, fmt::format("'{}' is missing; it is {}", path_of(key), form.words));
  }

  void integers(const char* key, std::vector<int64_t>& value, const char* /*doc*/, Range range) override {
    const ConfigNode::Entry* entry = find(key);
    if (!entry) return;
    const ConfigNode& node = entry->value;
    if (node.kind != Kind::sequence || !node.entries.empty()) {
      const bool single = node.kind == Kind::scalar && parse_integer(node.text).value && node.entries.empty();
      refuse(blamed(node), fmt::format("'{}' must be a list of integers, not {}{}", key, shown(node),
                                       single ? fmt::format("; write [{}]", node.text) : ""));
      return;
    }
    std::vector<int64_t> parsed;
    for (size_t i = 0; i < node.items.size(); ++i) {
      const std::string name = fmt::format("number {} of '{}'", i + 1, key);
      if (const auto item = in_range(name, node.items[i], parse_integer, range)) parsed.push_back(*item);
    }
    if (parsed.size() == node.items.size()) value = std::move(parsed);
  }

  void word(const char* key, size_t& index, std::span<const char* const> names, const char* /*doc*/) override {
    const std::vector<std::string> known(names.begin(), names.end());
    read_leaf(key, "one of " + joined(known), [&](const ConfigNode& node) {
      const auto found = std::ranges::find(known, node.text);
      if (found != known.end()) {
        index = static_cast<size_t>(found - known.begin());
        return;
      }
      const std::string nearest = nearest_name(node.text, known);
      refuse(node.place, fmt::format("'{}' must be one of {}, not {}{}", key, joined(known), got(node),
                                     nearest.empty() ? "" : fmt::format("; did you mean '{}'?", nearest)));
    });
  }

  void section(const char* key, const Nested& nested, const char* /*doc*/) override {
    const ConfigNode::Entry* entry = find(key);
    if (entry && entry->value.kind != Kind::map && entry->value.kind != Kind::null) {
      refuse(entry->value.place, fmt::format("'{}' must be a section of keys, not {}", key, got(entry->value)));
      return;
    }
    read_section(entry ? &entry->value : nullptr, path_of(key), entry ? entry->place : place_, nested);
  }

  void optional_section(const char* key, bool& on, const Nested& nested, const char* /*doc*/) override {
    const ConfigNode::Entry* entry = find(key);
    if (!entry) {
      if (on) read_section(nullptr, path_of(key), place_, nested);
      return;
    }
    const ConfigNode& node = entry->value;
    if (is_word(node, "none") && node.entries.empty()) {
      on = false;
    } else if (node.kind == Kind::map || is_word(node, "none")) {  // none, and an override that sets a key of it
      on = true;
      read_section(&node, path_of(key), entry->place, nested);
    } else if (node.kind == Kind::null) {
      refuse(node.place, fmt::format("'{}' is empty; write none to switch it off, {{}} for its defaults", key));
    } else {
      const auto truth = parse_boolean(node.text);
      const bool yes = truth.value.value_or(truth.advice == "write true");
      const bool no = !truth.value.value_or(truth.advice != "write false");
      refuse(node.place, fmt::format("'{}' must be a section of keys or none, not {}{}", key, got(node),
                                     yes  ? "; write {} for its defaults"
                                     : no ? "; write none"
                                          : ""));
    }
  }

  void choice(const char* key, int current, const std::vector<Alternative>& alternatives,
              const char* /*doc*/) override {
    std::vector<std::string> names;
    for (const Alternative& alternative : alternatives) names.push_back(alternative.name);
    const ConfigNode::Entry* entry = find(key);
    if (!entry || entry->value.kind == Kind::null) {
      if (current >= 0) {
        read_alternative(key, alternatives[current], {names[current], entry ? entry->place : place_, nullptr, -1});
      } else if (entry) {
        refuse(entry->place, fmt::format("'{}' is empty; it takes one of {}", key, joined(names)));
      } else {
        refuse(place_, fmt::format("'{}' is missing; it takes one of {}", path_of(key), joined(names)));
      }
      return;
    }
    if (entry->value.kind == Kind::sequence) {
      refuse(entry->value.place, fmt::format("'{}' takes one of {}, not a list", key, joined(names)));
      return;
    }
    std::vector<Chosen> chosen = chosen_in(entry->value);
    if (!one_of_several(key, entry->place, names, chosen)) return;
    const size_t index = std::ranges::find(names, chosen[0].name) - names.begin();
    if (index == names.size()) {
      refuse(chosen[0].place, fmt::format("unknown {} '{}' in '{}'{}", chosen[0].is_bare_word ? "choice" : "key",
                                          clipped(chosen[0].name), path_of(key), suggestion(chosen[0].name, names)));
      return;
    }
    if (static_cast<int>(index) != current) alternatives[index].select();
    const std::vector<std::string> keys = read_alternative(key, alternatives[index], chosen[0]);
    for (size_t i = 1; i < chosen.size(); ++i) refuse_beside(key, chosen[0], chosen[i], keys, names);
  }

 private:
  /// What all readers of one config share.
  struct Report {
    const ConfigSource::Tree& tree;
    std::vector<ConfigMistake> mistakes;
    int refused_values = 0;  ///< keys whose default stands because what was given is a mistake

    std::string lines();
  };

  /// One key of a choice's map, or its bare word.
  struct Chosen {
    std::string name;
    ConfigPlace place;
    const ConfigNode* settings = nullptr;  ///< nullptr: the defaults
    int touched = -1;                      ///< the last override that named it; -1: none
    bool is_bare_word = false;
  };

  ConfigReader(Report& report, const ConfigNode* node, std::string path, ConfigPlace place)
      : report_(report), node_(node), path_(std::move(path)), place_(place), refused_before_(report.refused_values) {}

  std::string path_of(std::string_view key) const {
    return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
  }

  void mistake(const ConfigPlace& place, std::string message) {
    report_.mistakes.push_back({place, std::move(message)});
  }

  void refuse(const ConfigPlace& place, std::string message) {
    ++report_.refused_values;
    mistake(place, std::move(message));
  }

  const ConfigNode::Entry* find(const char* key) {
    known_.emplace_back(key);
    return node_ ? node_->find(key) : nullptr;
  }

  /// Where the mistake lies if this should have been a leaf: an override may have set keys below a good one.
  static ConfigPlace blamed(const ConfigNode& node) {
    return node.kind == Kind::map || node.entries.empty() ? node.place : node.entries.front().place;
  }
  static std::string shown(const ConfigNode& node) { return node.entries.empty() ? got(node) : "a map"; }

  /// Calls `take` with the scalar given for the key, if there is one.
  void read_leaf(const char* key, const std::string& wanted, const std::function<void(const ConfigNode&)>& take) {
    const ConfigNode::Entry* entry = find(key);
    if (!entry) return;
    const ConfigNode& node = entry->value;
    if (node.kind == Kind::scalar && node.entries.empty()) {
      take(node);
    } else {
      refuse(blamed(node), fmt::format("'{}' must be {}, not {}", key, wanted, shown(node)));
    }
  }

  /// A scalar that must not be in quotes. `name` is how messages call it.
  template <class T>
  std::optional<T> unquoted(const std::string& name, const ConfigNode& node,
                            ParsedScalar<T> (*parse)(std::string_view)) {
    ParsedScalar<T> parsed;
    if (node.kind == Kind::scalar) {
      parsed = parse(node.text);
    } else {
      parsed.wanted = parse("").wanted;
    }
    if (parsed.value && !node.quoted) return parsed.value;
    if (parsed.value) {
      refuse(node.place, fmt::format("{} must be {}, not text; write {} without quotes", name, parse("").wanted,
                                     clipped(node.text)));
    } else {
      refuse(node.place, fmt::format("{} must be {}, not {}{}", name, parsed.wanted, got(node),
                                     parsed.advice.empty() ? "" : "; " + parsed.advice));
    }
    return std::nullopt;
  }

  template <class T>
  std::optional<T> in_range(const std::string& name, const ConfigNode& node, ParsedScalar<T> (*parse)(std::string_view),
                            const Range& range) {
    const std::optional<T> value = unquoted(name, node, parse);
    if (!value || contains(range, static_cast<double>(*value))) return value;
    refuse(node.place, fmt::format("{} must be {}, not {}", name, describe_range(range), clipped(node.text)));
    return std::nullopt;
  }

  /// Returns the keys that the section knows.
  std::vector<std::string> read_section(const ConfigNode* node, std::string path, const ConfigPlace& place,
                                        const Nested& nested) {
    ConfigReader inner(report_, node, std::move(path), place);
    nested(inner);
    inner.refuse_unknown_keys();
    return std::move(inner.known_);
  }

  std::vector<std::string> read_alternative(const char* key, const Alternative& alternative, const Chosen& chosen) {
    const std::string path = path_of(key) + "." + alternative.name;
    const ConfigNode* node = chosen.settings;
    if (node && node->kind != Kind::map && node->kind != Kind::null) {
      refuse(node->place, fmt::format("'{}' must be a section of keys, not {}", chosen.name, got(*node)));
      return {};
    }
    return read_section(node, path, chosen.place, alternative.fields);
  }

  /// The keys of a choice's map. A bare word is a key without settings; an override may have added keys beside it.
  static std::vector<Chosen> chosen_in(const ConfigNode& node) {
    std::vector<Chosen> chosen;
    if (node.kind == Kind::scalar && !node.find(node.text)) {
      chosen.push_back({node.text, node.place, nullptr, node.place.assignment, true});
    }
    for (const ConfigNode::Entry& entry : node.entries) {
      chosen.push_back({entry.key, entry.place, &entry.value, entry.touched});
    }
    return chosen;
  }

  /// Leaves what is chosen first in the list, and behind it what must not stand beside it. An override replaces what
  /// the file chose. False if there is no telling which is meant; that is reported.
  bool one_of_several(const char* key, const ConfigPlace& place, const std::vector<std::string>& names,
                      std::vector<Chosen>& chosen) {
    const auto is_known = [&](const Chosen& c) { return std::ranges::count(names, c.name) > 0; };
    const auto is_overridden = [](const Chosen& c) { return c.touched >= 0; };
    if (std::ranges::any_of(chosen, is_overridden)) {
      std::erase_if(chosen, [&](const Chosen& c) { return is_known(c) && !is_overridden(c); });
    }
    if (chosen.size() == 1) return true;
    if (std::ranges::count_if(chosen, is_known) == 1) {
      std::ranges::stable_partition(chosen, is_known);
      return true;
    }
    // A key that the file has and an override went through is blamed on the override.
    const auto blame = [](const Chosen& c) { return std::max(c.place, {c.touched, 0, 0}); };
    ConfigPlace at = place;
    for (const Chosen& c : chosen) at = &c == &chosen.front() ? blame(c) : std::max(at, blame(c));
    refuse(at, fmt::format("'{}' takes exactly one of {}, not {}", key, joined(names), chosen.size()));
    return false;
  }

  /// A key beside the choice that is none itself: most often one that should stand inside it.
  void refuse_beside(const char* key, const Chosen& choice, const Chosen& other, const std::vector<std::string>& keys,
                     const std::vector<std::string>& names) {
    if (std::ranges::count(keys, other.name) > 0) {
      refuse(other.place,
             fmt::format("'{}' belongs inside '{}.{}', not beside it", clipped(other.name), path_of(key), choice.name));
    } else {
      refuse(other.place, fmt::format("unknown key '{}' in '{}'{}", clipped(other.name), path_of(key),
                                      suggestion(other.name, names)));
    }
  }

  void refuse_unknown_keys() {
    if (!node_) return;
    for (const ConfigNode::Entry& entry : node_->entries) {
      if (std::ranges::count(known_, entry.key) > 0) continue;
      const std::string section = path_.empty() ? "" : fmt::format(" in '{}'", path_);
      mistake(entry.place,
              fmt::format("unknown key '{}'{}{}", clipped(entry.key), section, suggestion(entry.key, known_)));
    }
  }

  Report& report_;
  const ConfigNode* node_;  ///< nullptr: the section is not in the file
  std::string path_;        ///< of the section, dotted
  ConfigPlace place_;       ///< of the section's key, or of the nearest section around it that is there
  int refused_before_;
  std::vector<std::string> known_;
};

std::string ConfigReader::Report::lines() {
  std::ranges::stable_sort(mistakes, {}, &ConfigMistake::place);
  std::vector<std::string> lines;
  for (const auto& [place, message] : mistakes) {
    std::string where = fmt::format("{}:{}:{}", tree.name, place.line + 1, place.column + 1);
    if (place.assignment >= 0) where = "--set " + clipped(tree.assignments[place.assignment], 200);
    std::string line = fmt::format("{}: error: {}", where, message);
    // A value that an alias repeats is wrong in one place only.
    if (std::ranges::count(lines, line) == 0) lines.push_back(std::move(line));
  }
  return fmt::format("{}", fmt::join(lines, "\n"));
}

void read_config(const ConfigSource& source, const std::function<void(Fields&)>& fields) {
  ConfigReader::read(source, fields);
}

const ConfigNode& root_of(const ConfigSource& source) { return ConfigReader::root_of(source); }

}  // namespace genzoo
