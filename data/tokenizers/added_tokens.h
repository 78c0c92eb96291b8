#pragma once
// Tokens that stand in a text as they are written, whatever the pieces around them: "<|endoftext|>".

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace genzoo {

struct AddedToken {
  int32_t index = 0;
  std::string content;
  bool single_word = false;  ///< only where no letter, digit or underscore is next to it
  bool lstrip = false;       ///< takes the white space before it too
  bool rstrip = false;       ///< and that after it
  bool normalized = false;   ///< looked for in what the others leave, after it was normalized
  bool special = false;      ///< it steers the model and is no text: a beginning, an end, padding
};

/// Finds them in a text as `tokenizers` does: the leftmost first, of those that begin there the longest.
class AddedTokens final {
 public:
  explicit AddedTokens(std::vector<AddedToken> tokens);  ///< throws RunError if one is empty

  /// Calls text(part) and token(index) for what lies between them and for each of them, from left to right.
  void split(std::string_view all, const std::function<void(std::string_view)>& text,
             const std::function<void(int32_t)>& token) const;

  const std::vector<AddedToken>& tokens() const { return tokens_; }

 private:
  /// Indices into tokens_ by the first byte, the longest first.
  using Beginnings = std::array<std::vector<size_t>, 256>;
  const AddedToken* find(std::string_view all, size_t& at, const Beginnings& beginnings) const;
  void split(std::string_view all, const Beginnings& beginnings, const std::function<void(std::string_view)>& text,
             const std::function<void(int32_t)>& token) const;

  std::vector<AddedToken> tokens_;
  Beginnings as_written_, normalized_;
};

}  // namespace genzoo
