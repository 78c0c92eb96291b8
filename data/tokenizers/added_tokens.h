#pragma once
// Tokens that stand in a text as they are written, whatever the pieces around them: "<|endoftext|>".

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizers/normalizer.h"
#include "data/tokenizers/splitter.h"

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
  /// Throws RunError if one is empty.
  AddedTokens(std::vector<AddedToken> tokens, Normalizer normalizer);

  /// `first`: the whole text begins with it.
  using TakeText = std::function<void(std::string_view part, bool first)>;
  using TakeToken = std::function<void(int32_t index)>;
  /// Calls text(part, first) for what lies between them, normalized, and token(index) for each of them, from left to
  /// right. The parts lie in the text or in one added to `owned`.
  void split(std::string_view all, OwnedTexts& owned, const TakeText& text, const TakeToken& token) const;

  const std::vector<AddedToken>& tokens() const { return tokens_; }
  /// What is found in the text for each of them: its content, normalized where the text is.
  const std::vector<std::string>& looked_for() const { return looked_for_; }

 private:
  /// Indices into tokens_ by the first byte, the longest first.
  using Beginnings = std::array<std::vector<size_t>, 256>;
  std::optional<size_t> find(std::string_view all, size_t& at, const Beginnings& beginnings) const;
  void split(std::string_view all, const Beginnings& beginnings, const TakeText& text, const TakeToken& token) const;

  std::vector<AddedToken> tokens_;
  Normalizer normalizer_;
  std::vector<std::string> looked_for_;
  Beginnings as_written_, normalized_;
};

}  // namespace genzoo
