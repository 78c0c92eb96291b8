#pragma once
// Typed configs. A config is an aggregate with defaults beside its fields and one list of them,
//
//   struct VAEConfig {
//     static constexpr const char* kName = "vae";
//     int64_t latent_dim = 16;
//     void fields(Fields& f) { f("latent_dim", latent_dim, "dimensions of the latent z", positive); }
//   };
//
// and that list reads, checks, writes back and documents. Every mistake in a file is reported at once, as
// `FILE:LINE:COL: error: ...; did you mean ...?`. No YAML type appears here: config_source.cpp alone sees yaml-cpp.

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace genzoo {

/// Bounds of a number, and how they are said: "must be positive".
struct Range {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool min_open = false;  ///< min itself is not allowed
  bool max_open = false;
  const char* words = "";  ///< "positive", "in [0, 1)"
};

/// What a text must be like.
struct TextForm {
  const char* pattern = "";  ///< a regular expression of ECMAScript, JSON Schema's dialect; empty: anything
  const char* words = "";    ///< the same for people: "auto, cpu, cuda or cuda:N"
  bool required = false;     ///< it has no default
};

inline constexpr Range any_number{};
inline constexpr Range positive{0, std::numeric_limits<double>::infinity(), true, false, "positive"};
inline constexpr Range non_negative{0, std::numeric_limits<double>::infinity(), false, false, "at least 0"};
inline constexpr Range probability{0, 1, false, false, "in [0, 1]"};
inline constexpr Range fraction{0, 1, false, true, "in [0, 1)"};

class Fields;

/// A struct with a list of fields.
template <class T>
concept Config = requires(T& t, Fields& f) { t.fields(f); };

/// One of the things a choice can be: its key, a line of documentation, how to select it and list its settings.
struct Alternative {
  std::string name;
  std::string doc;
  std::function<void()> select;         ///< makes it the current one, with its defaults
  std::function<void(Fields&)> fields;  ///< lists the settings of the current one; call after select
};

/// A struct with fields(), its type forgotten: what a registry keeps of a model's or data set's config. Copies deeply.
class AnyConfig final {
 public:
  AnyConfig() = default;

  template <class T>
    requires Config<T> && (!std::same_as<T, AnyConfig>)
  // NOLINTNEXTLINE(google-explicit-constructor): any config is one
  AnyConfig(T value) : holder_(std::make_unique<Holder<T>>(std::move(value))) {}
  AnyConfig(const AnyConfig& other) : holder_(other.holder_ ? other.holder_->copy() : nullptr) {}
  AnyConfig& operator=(AnyConfig other) noexcept {
    holder_ = std::move(other.holder_);
    return *this;
  }
  AnyConfig(AnyConfig&&) noexcept = default;
  ~AnyConfig() = default;

  void fields(Fields& f) {
    if (holder_) holder_->fields(f);
  }

  /// The struct held. It must be a T: whoever put it there knows.
  template <Config T>
  const T& as() const {
    return dynamic_cast<const Holder<T>&>(*holder_).value;
  }

 private:
  struct Held {
    virtual ~Held() = default;
    virtual void fields(Fields& f) = 0;
    virtual std::unique_ptr<Held> copy() const = 0;
  };
  template <class T>
  struct Holder final : Held {
    explicit Holder(T v) : value(std::move(v)) {}
    void fields(Fields& f) override { value.fields(f); }
    std::unique_ptr<Held> copy() const override { return std::make_unique<Holder>(value); }
    T value;
  };
  std::unique_ptr<Held> holder_;
};

/// One row of a table to choose from: name, line of documentation, default settings.
struct ChoiceRow {
  std::string_view name;
  std::string_view doc;
  AnyConfig (*defaults)();
};

/// A choice from a table kept elsewhere (the model registry, the data sets): `{vae: {latent_dim: 32}}`.
struct Choice {
  std::string name;    ///< empty: not chosen yet
  AnyConfig settings;  ///< of the type that name's row makes
};

/// The visitor of a config's fields. Reading, writing and documenting are its three implementations.
class Fields {
 public:
  virtual ~Fields() = default;

  void operator()(const char* key, bool& value, const char* doc) { boolean(key, value, doc); }
  void operator()(const char* key, int64_t& value, const char* doc, Range range = any_number) {
    integer(key, value, doc, range);
  }
  void operator()(const char* key, double& value, const char* doc, Range range = any_number) {
    number(key, value, doc, range);
  }
  void operator()(const char* key, std::string& value, const char* doc, TextForm form = {}) {
    text(key, value, doc, form);
  }
  void operator()(const char* key, std::vector<int64_t>& value, const char* doc, Range range = any_number) {
    integers(key, value, doc, range);
  }

  /// An enum class with values 0, 1, ... named by `names` in that order: `likelihood: bernoulli`.
  template <class E>
    requires std::is_enum_v<E>
  void operator()(const char* key, E& value, std::span<const char* const> names, const char* doc) {
    auto index = static_cast<size_t>(value);
    word(key, index, names, doc);
    value = static_cast<E>(index);
  }

  /// A nested section.
  template <Config T>
  void operator()(const char* key, T& value, const char* doc) {
    section(key, [&](Fields& f) { value.fields(f); }, doc);
  }

  /// A section that `none` switches off.
  template <Config T>
  void operator()(const char* key, std::optional<T>& value, const char* doc) {
    std::optional<T> spare = value ? value : std::optional<T>(T{});
    bool on = value.has_value();
    optional_section(key, on, [&](Fields& f) { spare->fields(f); }, doc);
    if (on) {
      value = std::move(spare);
    } else {
      value.reset();
    }
  }

  /// A one-key map whose key is the choice; each alternative has `static constexpr const char* kName` and fields().
  template <class... Ts>
  void operator()(const char* key, std::variant<Ts...>& value, const char* doc) {
    std::variant<Ts...> spare = value;
    const std::vector<Alternative> alternatives{Alternative{Ts::kName, "", [&spare] { spare.template emplace<Ts>(); },
                                                            [&spare](Fields& f) { std::get<Ts>(spare).fields(f); }}...};
    choice(key, static_cast<int>(spare.index()), alternatives, doc);
    if (changes_values()) value = std::move(spare);
  }

  /// The same from a table kept elsewhere; without a default, so the key must be given.
  void operator()(const char* key, Choice& value, std::span<const ChoiceRow> table, const char* doc);

  /// A rule about several fields, checked after all of them were read; `key` is where the mistake is reported.
  virtual void require(bool holds, const char* key, const std::string& message) = 0;

 protected:
  using Nested = std::function<void(Fields&)>;
  /// Whether this visitor selects alternatives for good (reading), or only to look at them (documenting).
  virtual bool changes_values() const { return false; }
  virtual void boolean(const char* key, bool& value, const char* doc) = 0;
  virtual void integer(const char* key, int64_t& value, const char* doc, Range range) = 0;
  virtual void number(const char* key, double& value, const char* doc, Range range) = 0;
  virtual void text(const char* key, std::string& value, const char* doc, TextForm form) = 0;
  virtual void integers(const char* key, std::vector<int64_t>& value, const char* doc, Range range) = 0;
  virtual void word(const char* key, size_t& index, std::span<const char* const> names, const char* doc) = 0;
  virtual void section(const char* key, const Nested& nested, const char* doc) = 0;
  virtual void optional_section(const char* key, bool& on, const Nested& nested, const char* doc) = 0;
  /// current: index of the alternative that stands by default; -1: none, the key must be given.
  virtual void choice(const char* key, int current, const std::vector<Alternative>& alternatives, const char* doc) = 0;
};

/// The text of a config and the overrides of its keys, parsed but not yet understood.
class ConfigSource final {
 public:
  /// Throws UsageError if there is no such file, ConfigError if it is not YAML.
  static ConfigSource from_file(const std::filesystem::path& path);
  /// `name` stands where the file's name would in mistakes.
  static ConfigSource from_text(const std::string& text, const std::string& name);

  /// `a.b=c`: overrides a key. Throws UsageError when the assignment has no `=` or its value is no YAML.
  void set(const std::string& assignment);

  ConfigSource(ConfigSource&&) noexcept;
  ConfigSource& operator=(ConfigSource&&) noexcept;
  ~ConfigSource();

 private:
  ConfigSource();
  struct Tree;
  std::unique_ptr<Tree> tree_;
  friend class ConfigReader;
};

/// Reads a config; throws ConfigError with every mistake in it, in file order, one a line.
void read_config(const ConfigSource& source, const std::function<void(Fields&)>& fields);

template <Config T>
T read_config(const ConfigSource& source) {
  T config;
  read_config(source, [&](Fields& f) { config.fields(f); });
  return config;
}

/// The config as YAML, every default spelled out, in the order of the fields. Reading it back gives an equal config;
/// numbers are written in their shortest form that reads back exactly.
std::string write_config(const std::function<void(Fields&)>& fields);

template <Config T>
std::string write_config(T config) {
  return write_config([&](Fields& f) { config.fields(f); });
}

/// The same as JSON text: numbers, truth values and lists typed, text and words as strings.
std::string write_config_json(const std::function<void(Fields&)>& fields);

/// Every leaf as (dotted key, value as written), in order: what a resumed run's config is compared by.
std::vector<std::pair<std::string, std::string>> flatten_config(const std::function<void(Fields&)>& fields);

/// JSON Schema (draft 2020-12) of every key, for editors; as text.
std::string config_schema(const std::string& title, const std::function<void(Fields&)>& fields);

/// One documented key, for `genzoo models` and `genzoo datasets`.
struct KeyDoc {
  std::string key;       ///< dotted
  std::string type;      ///< "integer", "number", "one of a, b"
  std::string fallback;  ///< the default, as written
  std::string range;     ///< "positive", or empty
  std::string doc;
};
std::vector<KeyDoc> document_config(const std::function<void(Fields&)>& fields);

/// The known name nearest to `got` by edit distance, if it is near (at most 1 + size / 4 edits); else empty.
std::string nearest_name(std::string_view got, std::span<const std::string> known);

/// The known name that `got` abbreviates, or the one with the fewest edits from it, however many; of equals the first.
/// `known` is not empty.
std::string closest_name(std::string_view got, std::span<const std::string> known);

}  // namespace genzoo
