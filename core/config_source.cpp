// YAML into the config's own tree. The only file that names yaml-cpp.
//
// The library's parser is used, not its Node: that one keeps the first of two equal keys without a word, forgets
// whether an integer was in quotes, and expands an alias as often as it is named.

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "core/config_scalar.h"
#include "core/config_tree.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"

namespace genzoo {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 20;
constexpr size_t kMaxNodes = 20'000;  ///< with aliases expanded: a few lines of them can stand for millions of values
constexpr size_t kMaxDepth = 32;

/// Why a text is no tree at all.
struct NotYaml {
  ConfigPlace place;
  std::string message;
};

struct ParsedText {
  ConfigNode root;
  std::vector<ConfigMistake> mistakes;
};

size_t count_nodes(const ConfigNode& node) {
  size_t count = 1;
  for (const ConfigNode& item : node.items) count += count_nodes(item);
  for (const ConfigNode::Entry& entry : node.entries) count += count_nodes(entry.value);
  return count;
}

/// Listens to the parser and builds the tree.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(int assignment) : assignment_(assignment) {}

  ParsedText result() { return {std::move(root_), std::move(mistakes_)}; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) throw NotYaml{place(mark), "a second document begins here; a config is one"};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { leaf(mark, anchor, ConfigNode::Kind::null); }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check_tag(mark, tag);
    leaf(mark, anchor, ConfigNode::Kind::scalar, value, tag == "!");  // the parser's tag of what is not plain
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) throw NotYaml{place(mark), "this alias stands inside the value that it names"};
    count(mark, count_nodes(found->second));
    add(found->second);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    begin(mark, tag, anchor, ConfigNode::Kind::sequence);
  }
  void OnSequenceEnd() override { end(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    begin(mark, tag, anchor, ConfigNode::Kind::map);
  }
  void OnMapEnd() override { end(); }

 private:
  /// A sequence or map whose end has not been met yet.
  struct Open {
    ConfigNode node;
    YAML::anchor_t anchor = 0;
    bool has_key = false;
    ConfigNode key;  ///< of a map: the key whose value comes next
  };

  ConfigPlace place(const YAML::Mark& mark) const {
    return {assignment_, std::max(mark.line, 0), std::max(mark.column, 0)};
  }

  void count(const YAML::Mark& mark, size_t nodes) {
    nodes_ += nodes;
    if (nodes_ > kMaxNodes)
      throw NotYaml{place(mark), fmt::format("more than {} values; this is no config", kMaxNodes)};
  }

  void check_tag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    mistakes_.push_back({place(mark), fmt::format("the tag '{}' has no meaning in a config", clipped(tag))});
  }

  void leaf(const YAML::Mark& mark, YAML::anchor_t anchor, ConfigNode::Kind kind, const std::string& text = "",
            bool quoted = false) {
    count(mark, 1);
    ConfigNode node;
    node.kind = kind;
    node.place = place(mark);
    node.text = text;
    node.quoted = quoted;
    finish(std::move(node), anchor);
  }

  void begin(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, ConfigNode::Kind kind) {
    count(mark, 1);
    check_tag(mark, tag);
    if (open_.size() >= kMaxDepth) throw NotYaml{place(mark), "nested too deeply; this is no config"};
    Open open;
    open.node.kind = kind;
    open.node.place = place(mark);
    open.anchor = anchor;
    open_.push_back(std::move(open));
  }

  void end() {
    Open open = std::move(open_.back());
    open_.pop_back();
    finish(std::move(open.node), open.anchor);
  }

  void finish(ConfigNode node, YAML::anchor_t anchor) {
    if (anchor != 0) anchors_[anchor] = node;
    add(std::move(node));
  }

  void add(ConfigNode node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.kind == ConfigNode::Kind::sequence) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.has_key) {
      parent.has_key = true;
      parent.key = std::move(node);
    } else {
      parent.has_key = false;
      add_entry(parent.node, parent.key, std::move(node));
    }
  }

  void add_entry(ConfigNode& map, const ConfigNode& key, ConfigNode value) {
    if (key.kind != ConfigNode::Kind::scalar) {
      mistakes_.push_back({key.place, "a key must be a word"});
    } else if (map.find(key.text)) {
      mistakes_.push_back({key.place, fmt::format("'{}' is given twice", clipped(key.text))});
    } else {
      if (value.kind == ConfigNode::Kind::null) value.place = key.place;  // the parser stands at the next key by then
      map.entries.push_back({key.text, key.place, assignment_, std::move(value)});
    }
  }

  const int assignment_;
  int documents_ = 0;
  size_t nodes_ = 0;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, ConfigNode> anchors_;
  ConfigNode root_;
  std::vector<ConfigMistake> mistakes_;
};

/// Throws NotYaml.
ParsedText parse_yaml(const std::string& text, int assignment) {
  if (text.size() > kMaxBytes) throw NotYaml{{assignment, 0, 0}, "larger than 1 MiB; this is no config"};
  TreeBuilder builder(assignment);
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& e) {
    const ConfigPlace place{assignment, std::max(e.mark.line, 0), std::max(e.mark.column, 0)};
    throw NotYaml{place, "not valid YAML: " + clipped(e.msg, 200)};
  }
  return builder.result();
}

/// Puts a value where the path says; what stands in the way becomes a map, or keeps its text if it has one: whether it
/// may have keys below it is for the reader to judge.
void assign(ConfigNode& root, const std::vector<std::string>& path, ConfigNode value) {
  const ConfigPlace place = value.place;
  ConfigNode* node = &root;
  for (size_t i = 0; i < path.size(); ++i) {
    if (node->kind == ConfigNode::Kind::null) node->kind = ConfigNode::Kind::map;
    ConfigNode::Entry* entry = node->find(path[i]);
    if (!entry) {
      ConfigNode empty;
      empty.place = place;
      node->entries.push_back({path[i], place, place.assignment, std::move(empty)});
      entry = &node->entries.back();
    }
    entry->touched = place.assignment;
    if (i + 1 == path.size()) {
      entry->place = place;
      entry->value = std::move(value);
      return;
    }
    node = &entry->value;
  }
}

std::vector<std::string> split_path(std::string_view dotted) {
  std::vector<std::string> path;
  for (;;) {
    const size_t dot = dotted.find('.');
    path.emplace_back(dotted.substr(0, dot));
    if (dot == std::string_view::npos) return path;
    dotted.remove_prefix(dot + 1);
  }
}

/// "; did you mean 'configs/gan.yaml'?" for a file that is not there, or nothing.
std::string nearest_file(const std::filesystem::path& path) {
  std::vector<std::string> names;
  std::error_code ignored;
  const auto folder = path.parent_path();
  for (const auto& entry : std::filesystem::directory_iterator(folder.empty() ? "." : folder, ignored)) {
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  const std::string nearest = nearest_name(path.filename().string(), names);
  return nearest.empty() ? "" : fmt::format("; did you mean '{}'?", (folder / nearest).string());
}

}  // namespace

ConfigNode::Entry* ConfigNode::find(std::string_view key) {
  const auto found = std::ranges::find(entries, key, &Entry::key);
  return found == entries.end() ? nullptr : &*found;
}

const ConfigNode::Entry* ConfigNode::find(std::string_view key) const {
  return const_cast<ConfigNode*>(this)->find(key);
}

ConfigSource::ConfigSource() : tree_(std::make_unique<Tree>()) {}
ConfigSource::ConfigSource(ConfigSource&&) noexcept = default;
ConfigSource& ConfigSource::operator=(ConfigSource&&) noexcept = default;
ConfigSource::~ConfigSource() = default;

ConfigSource ConfigSource::from_file(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    throw UsageError(fmt::format("config {}: is a folder, not a file", path.string()));
  }
  if (!std::filesystem::exists(path, ignored)) {
    throw UsageError(fmt::format("config {}: no such file{}", path.string(), nearest_file(path)));
  }
  const auto size = std::filesystem::is_regular_file(path, ignored) ? std::filesystem::file_size(path, ignored) : 0;
  if (size > kMaxBytes) throw ConfigError(path.string() + ":1:1: error: larger than 1 MiB; this is no config");
  return from_text(read_file(path), path.string());
}

ConfigSource ConfigSource::from_text(const std::string& text, const std::string& name) {
  const auto refuse = [&](const ConfigPlace& place, const std::string& message) {
    throw ConfigError(fmt::format("{}:{}:{}: error: {}", name, place.line + 1, place.column + 1, message));
  };
  std::istringstream lines(text);
  std::string line;
  for (int number = 0; std::getline(lines, line); ++number) {
    if (!is_utf8(line)) refuse({-1, number, 0}, "not UTF-8; save the file in that encoding");
  }
  ConfigSource source;
  source.tree_->name = name;
  try {
    ParsedText parsed = parse_yaml(text, /*assignment=*/-1);
    source.tree_->root = std::move(parsed.root);
    source.tree_->mistakes = std::move(parsed.mistakes);
  } catch (const NotYaml& e) {
    refuse(e.place, e.message);
  }
  const ConfigNode& root = source.tree_->root;
  if (root.kind == ConfigNode::Kind::null) refuse({}, "the config is empty; it is a map of keys, such as 'seed: 0'");
  if (root.kind == ConfigNode::Kind::sequence)
    refuse(root.place, "a config is a map of keys, such as 'seed: 0', not a list");
  if (root.kind == ConfigNode::Kind::scalar) {
    refuse(root.place, fmt::format("a config is a map of keys, such as 'seed: 0', not '{}'", clipped(root.text)));
  }
  return source;
}

void ConfigSource::set(const std::string& assignment) {
  const size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw UsageError(
        fmt::format("--set {}: needs a key and a value, such as --set train.steps=100", clipped(assignment, 200)));
  }
  if (!is_utf8(assignment)) throw UsageError("--set: what is set is not UTF-8");
  const std::vector<std::string> path = split_path(std::string_view(assignment).substr(0, equals));
  if (std::ranges::count(path, "") > 0) {
    throw UsageError(
        fmt::format("--set {}: a part of the key is empty; it is names joined by points, such as train.steps",
                    clipped(assignment, 200)));
  }
  if (path.size() > kMaxDepth) throw UsageError(fmt::format("--set {}: nested too deeply", clipped(assignment, 200)));

  const int index = static_cast<int>(tree_->assignments.size());
  ParsedText parsed;
  try {
    parsed = parse_yaml(assignment.substr(equals + 1), index);
  } catch (const NotYaml& e) {
    throw UsageError(
        fmt::format("--set {}: {}; text with special characters needs quotes", clipped(assignment, 200), e.message));
  }
  parsed.root.place.assignment = index;  // also when the value is empty
  tree_->assignments.push_back(assignment);
  for (ConfigMistake& mistake : parsed.mistakes) tree_->mistakes.push_back(std::move(mistake));
  assign(tree_->root, path, std::move(parsed.root));
}

}  // namespace genzoo
