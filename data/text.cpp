#include "data/text.h"

#include <fmt/format.h>
#include <stdio.h>  // popen
#include <sys/wait.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "data/places.h"
#include "data/synthetic.h"
#include "data/tokenizers/pipeline.h"
#include "data/tokenizers/tokenizer.h"
#include "data/tokenizers/utf8.h"
#include "data/tokenizers/word_tokens.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

void text_fields(Fields& f, TokensConfig& tokens, double& validation) {
  f("tokens", tokens,
    "what a token is: characters (Unicode code points that occur), bytes, bpe (byte pairs) or words, both learned from "
    "the training part, or those of a tokenizer that is there");
  f("validation", validation, "the share of the text, at its end, kept for validation",
    Range{0, 1, true, true, "in (0, 1)"});
}

// In pieces, so that the int64 tokens of a large text are never all in memory.
Tensor encode_compactly(const Tokenizer& tokenizer, std::string_view text) {
  constexpr size_t kPiece = size_t{1} << 22;
  const auto dtype = tokenizer.vocabulary() <= 256 ? torch::kByte : torch::kInt;
  std::vector<Tensor> pieces;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = std::min(begin + kPiece, text.size());
    while (end < text.size() && continues_character(text[end])) ++end;  // not within a character
    pieces.push_back(tokenizer.encode(text.substr(begin, end - begin)).to(dtype));
    begin = end;
  }
  return torch::cat(pieces);
}

// Where the first floor(L share) of a text's L characters end.
size_t end_of_share(std::string_view text, double share) {
  const auto characters = std::ranges::count_if(text, [](char c) { return !continues_character(c); });
  auto left = static_cast<int64_t>(static_cast<double>(characters) * share);
  size_t at = 0;
  while (at < text.size() && (left > 0 || continues_character(text[at]))) left -= !continues_character(text[at++]);
  return at;
}

struct TokenSplits {
  std::unique_ptr<Tokenizer> tokenizer;
  Tensor train, validation;
};

// Of tokens that are characters or bytes.
TokenSplits split_tokens(std::unique_ptr<Tokenizer> tokenizer, std::string_view text, double share) {
  const Tensor all = encode_compactly(*tokenizer, text);
  const auto train = static_cast<int64_t>(static_cast<double>(all.size(0)) * share);
  return {std::move(tokenizer), all.narrow(/*dim=*/0, 0, train), all.narrow(/*dim=*/0, train, all.size(0) - train)};
}

TokenSplits tokenize(std::string_view text, const TokensConfig& tokens, double share, const std::string& where) {
  if (std::holds_alternative<CharacterTokens>(tokens)) {
    try {
      return split_tokens(Tokenizer::characters_of(text), text, share);
    } catch (const RunError& error) {
      throw RunError(fmt::format("{}: {}", where, error.what()));
    }
  }
  if (std::holds_alternative<ByteTokens>(tokens)) return split_tokens(Tokenizer::bytes(), text, share);
  const size_t end = end_of_share(text, share);
  const std::string_view train = text.substr(0, end), validation = text.substr(end);
  TokenSplits splits;
  if (const auto* pairs = std::get_if<BytePairTokens>(&tokens)) {
    splits.tokenizer = learn_byte_pairs({&train, 1}, *pairs);
  } else if (const auto* words = std::get_if<WordTokens>(&tokens)) {
    splits.tokenizer = learn_words({&train, 1}, *words);
  } else {
    splits.tokenizer = open_tokenizer(std::get<TokenizerTokens>(tokens).path);
  }
  splits.train = splits.tokenizer->encode(train).to(torch::kInt);
  splits.validation = splits.tokenizer->encode(validation).to(torch::kInt);
  return splits;
}

struct CloseProgram {
  void operator()(FILE* pipe) const { pclose(pipe); }
};

// What a program prints. Its exit status goes to `status`; 127: the shell found no such program.
std::string printed_by(const char* command, int& status) {
  std::unique_ptr<FILE, CloseProgram> pipe(popen(command, "r"));
  if (!pipe) throw RunError(fmt::format("cannot run `{}`: too many processes or open files", command));
  std::string text;
  std::array<char, 65536> piece;
  while (const size_t n = fread(piece.data(), 1, piece.size(), pipe.get())) text.append(piece.data(), n);
  const int result = pclose(pipe.release());
  status = WIFEXITED(result) ? WEXITSTATUS(result) : -1;
  return text;
}

}  // namespace

void TextConfig::fields(Fields& f) {
  f("file", file, "the text file, UTF-8 unless tokens are bytes",
    TextForm{"", "the path of a text file", /*required=*/true});
  text_fields(f, tokens, validation);
}

void BytePairTokens::fields(Fields& f) {
  f("vocab_size", vocab_size, "tokens in all, the 256 bytes among them",
    Range{256, 1 << 24, false, false, "in [256, 16777216]"});
  f("min_frequency", min_frequency, "how often a pair of tokens must stand side by side to be merged", positive);
}

void WordTokens::fields(Fields& f) {
  f("vocab_size", vocab_size, "tokens in all, the unknown one among them",
    Range{2, 1 << 24, false, false, "in [2, 16777216]"});
  f("min_frequency", min_frequency, "how often a word must occur to be a token", positive);
}

void TokenizerTokens::fields(Fields& f) {
  f("path", path,
    "a tokenizer.json or tokenizer.model, or a folder with one, or with GPT-2's vocab.bpe and encoder.json",
    TextForm{"", "the path of a tokenizer", /*required=*/true});
}

void KingJamesConfig::fields(Fields& f) {
  f("root", root, "the folder with king_james.txt; empty: looked for in the usual places, else the program bible");
  text_fields(f, tokens, validation);
}

void TinyShakespeareConfig::fields(Fields& f) {
  f("root", root, "the folder with tinyshakespeare.txt or input.txt; empty: looked for in the usual places");
  text_fields(f, tokens, validation);
}

std::string printed_king_james(const std::string& name, const std::string& or_else) {
  constexpr int64_t kVerses = 31102;
  constexpr const char* kCommand = "bible -f 'Gen1:1-Rev22:21' 2>/dev/null";  // a tenth of a second
  int status = 0;
  std::string printed = printed_by(kCommand, status);
  if (status == 127) {
    throw DataMissing(fmt::format("data/{}: not found: the program `bible` is not installed; apt install bible-kjv, {}",
                                  name, or_else));
  }
  const auto lines = std::count(printed.begin(), printed.end(), '\n');
  if (status != 0 || lines != kVerses) {
    throw RunError(fmt::format("data/{}: `{}` printed {} lines and ended with status {}, wanted {} verses; {}", name,
                               kCommand, lines, status, kVerses, or_else));
  }
  return printed;
}

std::string strip_references(std::string_view printed) {
  std::string text;
  text.reserve(printed.size());
  while (!printed.empty()) {
    const size_t end = std::min(printed.find('\n'), printed.size());
    const std::string_view line = printed.substr(0, end);
    const size_t space = line.find(' ');
    if (space == line.npos || line.substr(0, space).find(':') == line.npos) {
      throw RunError(fmt::format("data/king_james: the line \"{}\" does not begin with a verse reference as Ge1:1",
                                 line.substr(0, 40)));
    }
    text.append(line.substr(space + 1)).push_back('\n');
    printed.remove_prefix(std::min(end + 1, printed.size()));
  }
  return text;
}

std::unique_ptr<Tokenizer> learn_words(std::span<const std::string_view> texts, const WordTokens& config) {
  PieceCounts counts;
  for (const std::string_view text : texts) count_words(text, counts);
  return make_word_pipeline(counts, config.vocab_size, config.min_frequency);
}

std::unique_ptr<Tokenizer> learn_byte_pairs(std::span<const std::string_view> texts, const BytePairTokens& config) {
  PieceCounts counts;
  for (const std::string_view text : texts) count_pieces(text, counts);
  return make_byte_pair_pipeline(train_byte_pairs(counts, config.vocab_size, config.min_frequency, {}), {});
}

Dataset make_text_dataset(const std::string& name, std::string_view text, const TokensConfig& tokens, double validation,
                          const std::string& where) {
  if (text.empty()) throw RunError(fmt::format("{}: the file is empty; it should hold the text to learn", where));
  TokenSplits splits = tokenize(text, tokens, 1 - validation, where);
  Dataset dataset;
  dataset.spec.dataset = name;
  dataset.spec.kind = DataKind::tokens;
  dataset.spec.vocabulary = splits.tokenizer->vocabulary();
  dataset.spec.token_unit = splits.tokenizer->unit();
  dataset.spec.tokenizer = splits.tokenizer->to_json();
  dataset.train.x = splits.train;
  dataset.validation.x = splits.validation;
  return dataset;
}

Dataset open(const TextConfig& config, const DataPlaces&) {
  if (config.file.empty()) throw UsageError("data.text.file: empty, wanted the path of a text file");
  return make_text_dataset("text", read_file(config.file), config.tokens, config.validation, config.file);
}

Dataset open(const KingJamesConfig& config, const DataPlaces& places) {
  const std::array<std::string, 1> names = {"king_james.txt"};
  const std::vector<fs::path> folders = data_folders("king_james", config.root, places);
  const fs::path file = first_file(folders, names);
  if (!file.empty()) {
    return make_text_dataset("king_james", read_file(file), config.tokens, config.validation, file.string());
  }
  if (!config.root.empty()) throw_not_found("king_james", names[0], folders, "put it there, or leave root empty");
  const std::string or_else = folders.empty() ? "or give the folder with king_james.txt as data.king_james.root"
                                              : "or put the text into " + (folders.front() / names[0]).string();
  return make_text_dataset("king_james", strip_references(printed_king_james("king_james", or_else)), config.tokens,
                           config.validation, "bible");
}

Dataset stand_in(const TinyShakespeareConfig& config) {
  constexpr int64_t kCharacters = 1115394, kKinds = 65;
  Rng rng = synthetic_stream(/*data_seed=*/0, Split::train);
  const Tensor drawn = rng.integers(kKinds, {kCharacters}) + '0';
  std::string text(static_cast<size_t>(kCharacters), ' ');
  for (int64_t i = 0; i < kCharacters; ++i) text[i] = static_cast<char>(drawn.const_data_ptr<int64_t>()[i]);
  return make_text_dataset("tiny_shakespeare", text, config.tokens, config.validation, "stand-in");
}

Dataset open(const TinyShakespeareConfig& config, const DataPlaces& places) {
  const std::array<std::string, 2> names = {"tinyshakespeare.txt", "input.txt"};
  const std::vector<fs::path> folders = data_folders("tiny_shakespeare", config.root, places);
  const fs::path file = first_file(folders, names);
  if (file.empty()) {
    throw_not_found("tiny_shakespeare", names[0] + " or " + names[1], folders, "run `genzoo fetch tiny_shakespeare`");
  }
  return make_text_dataset("tiny_shakespeare", read_file(file), config.tokens, config.validation, file.string());
}

}  // namespace genzoo
