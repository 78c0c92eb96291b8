#pragma once
// A text while its tokens come, told in pieces that stay as they are.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizers/tokenizer.h"

namespace genzoo {

class GrowingText final {
 public:
  using Tell = std::function<void(std::string_view piece)>;

  /// The text ends with the end token (-1: there is none), which is no part of it, or before the first of `stops` that
  /// comes. `tell` hears of what is added, but not of what may yet turn out to be part of a stop, nor of a piece of a
  /// character.
  GrowingText(const Tokenizer& tokenizer, int64_t end_token, std::vector<std::string> stops, Tell tell)
      : tokenizer_(tokenizer), end_token_(end_token), stops_(std::move(stops)), tell_(std::move(tell)) {}

  /// Begins with a prompt, which is part of what is told and of the result if it is `shown`.
  void begin(const std::vector<int64_t>& prompt, bool shown);

  /// Whether the text goes on after this token.
  bool add(int64_t token);

  /// Tells the rest. The whole text.
  std::string finish();

 private:
  std::string decoded() const;
  void tell(size_t end);

  const Tokenizer& tokenizer_;
  int64_t end_token_;
  std::vector<std::string> stops_;
  Tell tell_;
  std::vector<int64_t> tokens_;
  std::string text_;
  size_t begins_ = 0;  ///< behind the prompt
  size_t hidden_ = 0;  ///< bytes of a prompt that is not shown
  size_t told_ = 0;
};

}  // namespace genzoo
