#pragma once
// SentencePiece's rules of normalization as its models hold them (Kudo & Richardson, 2018): a trie of what is replaced,
// and the texts that take its place.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace genzoo {

class PrecompiledRules final {
 public:
  /// `map`: u32 size of the trie in bytes, the trie (a double array of u32 units, Yata's darts-clone), texts that end
  /// with a zero byte each; little-endian. Throws RunError if it is damaged.
  explicit PrecompiledRules(const std::string& map);

  /// Replaces grapheme by grapheme, and where there is no rule for one, character by character, as `tokenizers` does.
  std::string apply(std::string_view text) const;

 private:
  bool replace(std::string_view part, std::string& out) const;

  std::vector<uint32_t> units_;
  std::string texts_;
};

/// Throws RunError on what is no base64 (RFC 4648, with padding).
std::string bytes_of_base64(std::string_view text);
std::string base64_of(std::string_view bytes);

}  // namespace genzoo
