// Writing: the visitor that lists a config's values, and the two forms of that list.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/config.h"
#include "core/config_scalar.h"
#include "core/json.h"

namespace genzoo {
namespace {

/// A key with either its value as written or the keys below it.
struct Written {
  std::string key;
  std::string value;
  Json json;  ///< the same, typed
  std::vector<Written> below;
};

/// Lists the values of one section.
class ConfigLister final : public Fields {
 public:
  static std::vector<Written> list(const std::function<void(Fields&)>& fields) {
    ConfigLister lister;
    fields(lister);
    return std::move(lister.list_);
  }

  void require(bool /*holds*/, const char* /*key*/, const std::string& /*message*/) override {}

 protected:
  void boolean(const char* key, bool& value, const char* /*doc*/) override {
    leaf(key, value ? "true" : "false", value);
  }

  void integer(const char* key, int64_t& value, const char* /*doc*/, Range /*range*/) override {
    leaf(key, fmt::to_string(value), value);
  }

  void number(const char* key, double& value, const char* /*doc*/, Range /*range*/) override {
    leaf(key, written_number(value), value);
  }

  void text(const char* key, std::string& value, const char* /*doc*/, TextForm /*form*/) override {
    leaf(key, written_text(value), value);
  }

  void integers(const char* key, std::vector<int64_t>& value, const char* /*doc*/, Range /*range*/) override {
    leaf(key, fmt::format("[{}]", fmt::join(value, ", ")), value);
  }

  void word(const char* key, size_t& index, std::span<const char* const> names, const char* /*doc*/) override {
    leaf(key, written_text(names[index]), names[index]);
  }

  void section(const char* key, const Nested& nested, const char* /*doc*/) override {
    list_.push_back({key, "{}", Json::object(), list(nested)});
  }

  void optional_section(const char* key, bool& on, const Nested& nested, const char* doc) override {
    if (on) {
      section(key, nested, doc);
    } else {
      leaf(key, "none", "none");
    }
  }

  void choice(const char* key, int current, const std::vector<Alternative>& alternatives,
              const char* /*doc*/) override {
    if (current < 0) return;  // not chosen yet: there is nothing to write
    const Alternative& chosen = alternatives[static_cast<size_t>(current)];
    std::vector<Written> settings = list(chosen.fields);
    if (settings.empty()) {
      leaf(key, chosen.name, chosen.name);
    } else {
      list_.push_back({key, "", {}, {{chosen.name, "", {}, std::move(settings)}}});
    }
  }

 private:
  void leaf(const char* key, std::string value, Json json) {
    list_.push_back({key, std::move(value), std::move(json), {}});
  }

  std::vector<Written> list_;
};

void append_yaml(std::string& yaml, const std::vector<Written>& list, size_t indent) {
  for (const Written& written : list) {
    yaml.append(indent, ' ');
    if (written.below.empty()) {
      yaml += fmt::format("{}: {}\n", written.key, written.value);
    } else {
      yaml += fmt::format("{}:\n", written.key);
      append_yaml(yaml, written.below, indent + 2);
    }
  }
}

Json as_json(const std::vector<Written>& list) {
  Json json = Json::object();
  for (const Written& written : list) {
    json[written.key] = written.below.empty() ? written.json : as_json(written.below);
  }
  return json;
}

void append_leaves(std::vector<std::pair<std::string, std::string>>& leaves, const std::vector<Written>& list,
                   const std::string& section) {
  for (const Written& written : list) {
    if (written.below.empty()) {
      leaves.emplace_back(section + written.key, written.value);
    } else {
      append_leaves(leaves, written.below, section + written.key + ".");
    }
  }
}

}  // namespace

std::string write_config(const std::function<void(Fields&)>& fields) {
  std::string yaml;
  append_yaml(yaml, ConfigLister::list(fields), 0);
  return yaml.empty() ? "{}\n" : yaml;
}

std::string write_config_json(const std::function<void(Fields&)>& fields) {
  return as_json(ConfigLister::list(fields)).dump(2) + "\n";
}

std::vector<std::pair<std::string, std::string>> flatten_config(const std::function<void(Fields&)>& fields) {
  std::vector<std::pair<std::string, std::string>> leaves;
  append_leaves(leaves, ConfigLister::list(fields), "");
  return leaves;
}

}  // namespace genzoo
