#pragma once
// How the texts of tokens become a text again: the "decoder" of a tokenizer.json.

#include <functional>
#include <string>
#include <vector>

#include "core/json.h"

namespace genzoo {

struct Decoding {
  /// Changes the texts of tokens to what, put together, is the text.
  std::function<void(std::vector<std::string>& tokens)> apply;
  bool each_alone = true;  ///< a token's part of the text does not depend on the others
};

/// What the texts of tokens are, and how they are put together where there is no decoder.
enum class TokenTexts {
  bytes,  ///< the bytes themselves, which a file writes as printable characters: as they are
  parts,  ///< parts of a text: as they are
  words,  ///< words: with spaces between them
};

/// `description`: null, or an object with its "type": ByteLevel, ByteFallback, Fuse, Replace, Strip, WordPiece,
/// Metaspace, BPEDecoder, Sequence. Bytes that are no UTF-8 stay as they are, where `tokenizers` writes U+FFFD. Throws
/// RunError naming what is not supported.
Decoding make_decoder(const SortedJson& description, TokenTexts texts);

}  // namespace genzoo
