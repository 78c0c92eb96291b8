#include "core/config_keys.h"

#include <algorithm>
#include <string_view>

#include "core/config_tree.h"

namespace genzoo {
namespace {

const ConfigNode* find_node(const ConfigSource& source, std::string_view key) {
  const ConfigNode* node = &root_of(source);
  while (node && !key.empty()) {
    const size_t dot = std::min(key.find('.'), key.size());
    const ConfigNode::Entry* entry = node->find(key.substr(0, dot));
    node = entry ? &entry->value : nullptr;
    key.remove_prefix(std::min(dot + 1, key.size()));
  }
  return node;
}

}  // namespace

bool gives_key(const ConfigSource& source, const std::string& key) { return find_node(source, key) != nullptr; }

std::vector<std::string> keys_below(const ConfigSource& source, const std::string& key) {
  std::vector<std::string> keys;
  const ConfigNode* node = find_node(source, key);
  if (!node) return keys;
  for (const ConfigNode::Entry& entry : node->entries) keys.push_back(entry.key);
  if (keys.empty() && node->kind == ConfigNode::Kind::scalar) keys.push_back(node->text);
  return keys;
}

}  // namespace genzoo
