#pragma once
// How text is cut into pieces before any of them is looked up: the "pre_tokenizer" of a tokenizer.json.

#include <deque>
#include <functional>
#include <string>
#include <string_view>

#include "core/json.h"

namespace genzoo {

/// Texts that pieces lie in and that are not the caller's own.
using OwnedTexts = std::deque<std::string>;

using TakePiece = std::function<void(std::string_view piece)>;

/// A part of a text, to be cut into pieces.
struct TextPart {
  std::string_view text;
  bool first = true;  ///< the whole text begins with it
};

/// Hands on the pieces of a text, from left to right. They lie in the text or in one added to `owned`.
using Splitter = std::function<void(TextPart part, OwnedTexts& owned, const TakePiece& take)>;

struct Splitting {
  Splitter split;
  bool bytes = false;  ///< tokens are of bytes, written as printable characters: there is a ByteLevel
};

/// GPT-2's pattern: words with the space before them, numbers, other signs, spaces.
extern const char* const kGPT2Pattern;

/// `description`: null (a text is one piece) or an object with its "type": ByteLevel, Split, Digits, Punctuation,
/// Whitespace, WhitespaceSplit, CharDelimiterSplit, BertPreTokenizer, Metaspace, Sequence. Throws RunError naming what
/// is not supported.
Splitting make_splitter(const SortedJson& description);

}  // namespace genzoo
