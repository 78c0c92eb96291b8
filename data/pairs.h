#pragma once
// Pairs of texts, a source and the target it is to be made into: a translation, an answer, a summary. One vocabulary
// serves both, and behind its last token stands one more, the end, which follows every text.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/dataset.h"
#include "data/text.h"
#include "data/tokenizers/tokenizer.h"

namespace genzoo {

struct PairsConfig {
  std::string file;
  TokensConfig tokens;
  double validation = 0.1;

  void fields(Fields& f);
};

Dataset open(const PairsConfig& config, const DataPlaces& places);

struct TextPair {
  std::string source, target;
  int64_t line = 0;  ///< of the file it stands in, from 1; 0: of none
};

/// The pairs of a text of lines "SOURCE TAB TARGET". The last line may lack its newline, and a carriage return before a
/// newline is no part of the target. Throws RunError naming `where` and the line that has not exactly one tab, or
/// whose source or target is empty.
std::vector<TextPair> read_pairs(std::string_view text, const std::string& where);

/// Pairs that are split already. `test` may be empty: then there is no test split.
struct PairTexts {
  std::vector<TextPair> train, validation, test;
  std::vector<int64_t> lengths;  ///< characters of the longest source and target there could be; empty: there are
};

/// The last `validation` share of pairs split off: the training part is the first floor(N (1 - validation)) of N.
/// Throws UsageError when one of the two has none.
PairTexts split_pairs(std::vector<TextPair> pairs, double validation, const std::string& where);

/// The data set of pairs: rows of tokens, each ended and filled up by the end token to the longest of the training and
/// validation part, or of the test part; uint8 where the vocabulary allows it, else int32. What a token is, is learned
/// as for texts: characters from all pairs, byte pairs from the training part. `where` names the pairs in errors.
Dataset make_pairs_dataset(const std::string& name, const PairTexts& texts, const TokensConfig& tokens,
                           const std::string& where);

/// A text as a row of Batch::x: (1, L + 1) int64, the end token last. Throws UsageError if a character has no token.
Tensor ended_tokens(const DataSpec& spec, const Tokenizer& tokenizer, std::string_view text);

/// The text of a row of tokens (T), up to its first end token.
std::string text_before_end(const DataSpec& spec, const Tokenizer& tokenizer, const Tensor& row);

/// Which tokens of rows (B, T) are part of a text: those up to and with the first end token. (B, T) bool.
Tensor up_to_end(const Tensor& rows, int64_t end_token);

}  // namespace genzoo
