#pragma once
// Texts as rows of tokens, each ended and filled up: what pairs of texts and documents have in common.
//
// Legend: N texts, L tokens of one of them.

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/text.h"
#include "data/tokenizers/tokenizer.h"

namespace genzoo {

/// One of many texts, and how errors speak of it.
struct PlacedText {
  std::string_view text;
  int64_t line = 0;           ///< of the file it stands in, from 1; 0: of none
  const char* part = "text";  ///< of its line: "source", "target", "text"
};

/// "pairs.tsv:3"; of no line: `where` alone.
std::string place_of(const std::string& where, int64_t line);

/// One line "LEFT TAB RIGHT".
struct TabbedLine {
  std::string left, right;
  int64_t line = 0;  ///< from 1
};

/// The lines of a text. The last may lack its newline, and a carriage return before a newline is no part of a line.
/// Throws RunError naming `where` and the line that has not exactly one tab, or whose left or right, so called, is
/// empty.
std::vector<TabbedLine> read_tabbed_lines(std::string_view text, const char* left, const char* right,
                                          const std::string& where);

/// What a token of such texts is: characters from all of them, byte pairs and words from the training part. Throws
/// RunError naming the line that is not UTF-8 where tokens are characters; as open_tokenizer.
std::unique_ptr<Tokenizer> tokenizer_of_texts(const std::vector<PlacedText>& training,
                                              const std::vector<PlacedText>& held_out, const TokensConfig& tokens,
                                              const std::string& where);

/// What `encode` makes of each text, (L) int64. Where it throws UsageError, for a character that has no token, the
/// error names the line.
std::vector<Tensor> encode_texts(const std::vector<PlacedText>& texts,
                                 const std::function<Tensor(std::string_view text)>& encode, const std::string& where);

/// Tokens of the longest row; 0 without any.
int64_t longest(const std::vector<Tensor>& rows);

/// Rows (L) int64 of at most `width` tokens as (N, width), every one filled up with `end`: uint8 where the vocabulary 0
/// ... end allows it, else int32.
Tensor filled_up(const std::vector<Tensor>& rows, int64_t width, int64_t end);

}  // namespace genzoo
