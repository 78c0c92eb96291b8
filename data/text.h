#pragma once
// Text from files: the training part first, the last part for validation.

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "data/dataset.h"
#include "data/tokenizers/tokenizer.h"

namespace genzoo {

/// What a token is: one of the five below.
struct CharacterTokens {
  static constexpr const char* kName = "characters";
  void fields(Fields&) {}
};
struct ByteTokens {
  static constexpr const char* kName = "bytes";
  void fields(Fields&) {}
};
/// Byte-pair encoding, learned from the training part.
struct BytePairTokens {
  static constexpr const char* kName = "bpe";
  int64_t vocab_size = 4096;
  int64_t min_frequency = 2;
  void fields(Fields& f);
};
/// Words and signs, learned from the training part (data/tokenizers/word_tokens.h tells what of a text is lost).
struct WordTokens {
  static constexpr const char* kName = "words";
  int64_t vocab_size = 10000;
  int64_t min_frequency = 1;
  void fields(Fields& f);
};
/// Those of a tokenizer that is there.
struct TokenizerTokens {
  static constexpr const char* kName = "tokenizer";
  std::string path;
  void fields(Fields& f);
};
using TokensConfig = std::variant<CharacterTokens, ByteTokens, BytePairTokens, WordTokens, TokenizerTokens>;

struct TextConfig {
  std::string file;
  TokensConfig tokens;
  double validation = 0.1;

  void fields(Fields& f);
};

struct KingJamesConfig {
  std::string root;
  TokensConfig tokens;
  double validation = 0.1;

  void fields(Fields& f);
};

struct TinyShakespeareConfig {
  std::string root;
  TokensConfig tokens;
  double validation = 0.1;

  void fields(Fields& f);
};

Dataset open(const TextConfig& config, const DataPlaces& places);
Dataset open(const KingJamesConfig& config, const DataPlaces& places);
Dataset open(const TinyShakespeareConfig& config, const DataPlaces& places);

/// As many characters, of as many kinds, drawn uniformly.
Dataset stand_in(const TinyShakespeareConfig& config);

/// What Debian's program bible prints (package bible-kjv): the 31,102 verses of the King James Bible, "Ge1:1 In the
/// beginning ...", a line each. Throws DataMissing where there is no such program, RunError where it prints something
/// else: for the data set `name`, and `or_else` is what to do instead.
std::string printed_king_james(const std::string& name, const std::string& or_else);

/// The text of the verses that the program `bible` prints, "Ge1:1 In the beginning ...", a line each, without the
/// references. Throws RunError when a line has none.
std::string strip_references(std::string_view printed);

/// Learns byte pairs from texts; a pair of tokens is never merged across two of them.
std::unique_ptr<Tokenizer> learn_byte_pairs(std::span<const std::string_view> texts, const BytePairTokens& config);

/// Learns words and what stands between them from texts.
std::unique_ptr<Tokenizer> learn_words(std::span<const std::string_view> texts, const WordTokens& config);

/// The data set of a text: its tokens as uint8 where they are at most 256 characters or bytes, else int32, the last
/// `validation` share split off (as nanoGPT does: the training part is the first floor(L (1 - validation)) of L
/// characters, or bytes, before anything of it becomes tokens). `where` names the text in errors.
Dataset make_text_dataset(const std::string& name, std::string_view text, const TokensConfig& tokens, double validation,
                          const std::string& where);

}  // namespace genzoo
