// Documenting: the visitors that describe every key, with all the alternatives of each choice.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "core/config.h"
#include "core/config_scalar.h"
#include "core/json.h"

namespace genzoo {
namespace {

std::vector<std::string> names_of(const std::vector<Alternative>& alternatives) {
  std::vector<std::string> names;
  for (const Alternative& alternative : alternatives) names.push_back(alternative.name);
  return names;
}

/// Visits each alternative at its defaults; the current one first, as it stands.
void for_each_alternative(int current, const std::vector<Alternative>& alternatives,
                          const std::function<void(size_t)>& visit) {
  if (current >= 0) visit(static_cast<size_t>(current));
  for (size_t i = 0; i < alternatives.size(); ++i) {
    if (static_cast<int>(i) == current) continue;
    alternatives[i].select();
    visit(i);
  }
}

/// A number for the schema: bounds of integers without a point.
Json bound(double value) {
  if (value == std::trunc(value) && std::abs(value) < 9e15) return static_cast<int64_t>(value);
  return value;
}

/// The schema of one section.
class SchemaFields final : public Fields {
 public:
  static Json section_schema(const Nested& nested) {
    SchemaFields section;
    nested(section);
    Json schema = {{"type", "object"}, {"properties", section.properties_}, {"additionalProperties", false}};
    if (!section.required_.empty()) schema["required"] = section.required_;
    return schema;
  }

  void require(bool /*holds*/, const char* /*key*/, const std::string& /*message*/) override {}

 protected:
  void boolean(const char* key, bool& value, const char* doc) override {
    properties_[key] = {{"description", doc}, {"type", "boolean"}, {"default", value}};
  }

  void integer(const char* key, int64_t& value, const char* doc, Range range) override {
    properties_[key] = {{"description", doc}, {"type", "integer"}, {"default", value}};
    add_bounds(properties_[key], range);
  }

  void number(const char* key, double& value, const char* doc, Range range) override {
    properties_[key] = {{"description", doc}, {"type", "number"}, {"default", value}};
    add_bounds(properties_[key], range);
  }

  void text(const char* key, std::string& value, const char* doc, TextForm form) override {
    properties_[key] = {{"description", doc}, {"type", "string"}};
    if (*form.pattern) properties_[key]["pattern"] = form.pattern;
    if (form.required) {
      required_.push_back(key);
    } else {
      properties_[key]["default"] = value;
    }
  }

  void integers(const char* key, std::vector<int64_t>& value, const char* doc, Range range) override {
    Json items = {{"type", "integer"}};
    add_bounds(items, range);
    properties_[key] = {{"description", doc}, {"type", "array"}, {"items", std::move(items)}, {"default", value}};
  }

  void word(const char* key, size_t& index, std::span<const char* const> names, const char* doc) override {
    const std::vector<std::string> words(names.begin(), names.end());
    properties_[key] = {{"description", doc}, {"enum", words}, {"default", words[index]}};
  }

  void section(const char* key, const Nested& nested, const char* doc) override {
    Json schema = {{"description", doc}};
    schema.update(section_schema(nested));
    if (schema.contains("required")) {
      required_.push_back(key);
    } else {
      schema["type"] = {"object", "null"};  // an empty section: its defaults
    }
    properties_[key] = std::move(schema);
  }

  void optional_section(const char* key, bool& on, const Nested& nested, const char* doc) override {
    Json schema = section_schema(nested);
    if (on && schema.contains("required")) required_.push_back(key);
    properties_[key] = {{"description", doc}, {"oneOf", {{{"const", "none"}}, std::move(schema)}}};
    if (!on) properties_[key]["default"] = "none";
  }

  void choice(const char* key, int current, const std::vector<Alternative>& alternatives, const char* doc) override {
    std::vector<std::string> bare;  // whose settings all have defaults
    std::vector<Json> maps(alternatives.size());
    for_each_alternative(current, alternatives, [&](size_t i) {
      const Alternative& alternative = alternatives[i];
      Json settings = {{"description", alternative.doc}};
      settings.update(section_schema(alternative.fields));
      if (!settings.contains("required")) settings["type"] = {"object", "null"};
      maps[i] = {{"type", "object"},
                 {"properties", {{alternative.name, std::move(settings)}}},
                 {"required", Json::array({alternative.name})},
                 {"additionalProperties", false}};
    });
    for (size_t i = 0; i < alternatives.size(); ++i) {
      if (!maps[i]["properties"][alternatives[i].name].contains("required")) bare.push_back(alternatives[i].name);
    }
    Json forms = Json::array();
    if (!bare.empty()) forms.push_back({{"enum", bare}});
    for (Json& map : maps) forms.push_back(std::move(map));
    properties_[key] = {{"description", doc}, {"oneOf", std::move(forms)}};
    if (current >= 0) {
      properties_[key]["default"] = alternatives[static_cast<size_t>(current)].name;
    } else {
      required_.push_back(key);
    }
  }

 private:
  static void add_bounds(Json& schema, const Range& range) {
    if (std::isfinite(range.min)) schema[range.min_open ? "exclusiveMinimum" : "minimum"] = bound(range.min);
    if (std::isfinite(range.max)) schema[range.max_open ? "exclusiveMaximum" : "maximum"] = bound(range.max);
  }

  Json properties_ = Json::object();
  std::vector<std::string> required_;
};

/// One row for each key of a section and of the sections in it.
class DocumentFields final : public Fields {
 public:
  DocumentFields(std::vector<KeyDoc>& rows, std::string prefix) : rows_(rows), prefix_(std::move(prefix)) {}

  void require(bool /*holds*/, const char* /*key*/, const std::string& /*message*/) override {}

 protected:
  void boolean(const char* key, bool& value, const char* doc) override {
    row(key, "true or false", value ? "true" : "false", doc);
  }
  void integer(const char* key, int64_t& value, const char* doc, Range range) override {
    row(key, "integer", fmt::to_string(value), doc, describe_range(range));
  }
  void number(const char* key, double& value, const char* doc, Range range) override {
    row(key, "number", written_number(value), doc, describe_range(range));
  }
  void text(const char* key, std::string& value, const char* doc, TextForm form) override {
    row(key, "text", written_text(value), doc, form.words);
  }
  void integers(const char* key, std::vector<int64_t>& value, const char* doc, Range range) override {
    row(key, "list of integers", fmt::format("[{}]", fmt::join(value, ", ")), doc, describe_range(range));
  }
  void word(const char* key, size_t& index, std::span<const char* const> names, const char* doc) override {
    const std::vector<std::string> words(names.begin(), names.end());
    row(key, "one of " + joined(words), words[index], doc);
  }
  void section(const char* key, const Nested& nested, const char* doc) override {
    row(key, "section", "", doc);
    inside(key, nested);
  }
  void optional_section(const char* key, bool& on, const Nested& nested, const char* doc) override {
    row(key, "section or none", on ? "{}" : "none", doc);
    inside(key, nested);
  }
  void choice(const char* key, int current, const std::vector<Alternative>& alternatives, const char* doc) override {
    const std::vector<std::string> names = names_of(alternatives);
    row(key, "one of " + joined(names), current < 0 ? "" : names[static_cast<size_t>(current)], doc);
    // In the order of the alternatives, though the current one is visited first.
    std::vector<std::vector<KeyDoc>> rows(alternatives.size());
    for_each_alternative(current, alternatives, [&](size_t i) {
      DocumentFields settings(rows[i], fmt::format("{}{}.{}.", prefix_, key, names[i]));
      alternatives[i].fields(settings);
    });
    for (const auto& settings : rows) rows_.insert(rows_.end(), settings.begin(), settings.end());
  }

 private:
  void row(const char* key, std::string type, std::string fallback, const char* doc, std::string range = "") {
    rows_.push_back({prefix_ + key, std::move(type), std::move(fallback), std::move(range), doc});
  }

  void inside(const char* key, const Nested& nested) {
    DocumentFields section(rows_, prefix_ + key + ".");
    nested(section);
  }

  std::vector<KeyDoc>& rows_;
  std::string prefix_;
};

}  // namespace

std::string config_schema(const std::string& title, const std::function<void(Fields&)>& fields) {
  Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", title}};
  schema.update(SchemaFields::section_schema(fields));
  return schema.dump(2) + "\n";
}

std::vector<KeyDoc> document_config(const std::function<void(Fields&)>& fields) {
  std::vector<KeyDoc> rows;
  DocumentFields document(rows, "");
  fields(document);
  return rows;
}

}  // namespace genzoo
