#include "data/pairs.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <variant>

#include "core/error.h"
#include "core/file.h"
#include "data/tokenizers/utf8.h"

namespace genzoo {
namespace {

using Texts = std::vector<std::string_view>;

void add_texts(const std::vector<TextPair>& pairs, Texts& texts) {
  for (const TextPair& pair : pairs) {
    texts.push_back(pair.source);
    texts.push_back(pair.target);
  }
}

std::string place_of(const std::string& where, const TextPair& pair) {
  return pair.line > 0 ? fmt::format("{}:{}", where, pair.line) : where;
}

/// One token a character of all texts. Throws RunError naming the line that is not UTF-8.
std::unique_ptr<Tokenizer> learn_characters(const PairTexts& texts, const std::string& where) {
  std::string all;
  for (const auto* part : {&texts.train, &texts.validation, &texts.test}) {
    for (const TextPair& pair : *part) {
      for (const std::string* text : {&pair.source, &pair.target}) {
        for (size_t at = 0; at < text->size();) {
          const CodePoint c = decode_utf8(*text, at);
          if (c.bytes > 0) {
            at += static_cast<size_t>(c.bytes);
            continue;
          }
          throw RunError(
              fmt::format("{}: byte 0x{:02x} at position {} of the {} is not UTF-8; convert the file, or use "
                          "`tokens: bytes`",
                          place_of(where, pair), static_cast<unsigned char>((*text)[at]), at,
                          text == &pair.source ? "source" : "target"));
        }
        all += *text;
      }
    }
  }
  return Tokenizer::characters_of(all);
}

std::unique_ptr<Tokenizer> tokenizer_for(const PairTexts& texts, const TokensConfig& tokens, const std::string& where) {
  if (std::holds_alternative<CharacterTokens>(tokens)) return learn_characters(texts, where);
  if (std::holds_alternative<ByteTokens>(tokens)) return Tokenizer::bytes();
  if (const auto* there = std::get_if<TokenizerTokens>(&tokens)) return open_tokenizer(there->path);
  Texts training;
  add_texts(texts.train, training);
  if (const auto* words = std::get_if<WordTokens>(&tokens)) return learn_words(training, *words);
  return learn_byte_pairs(training, std::get<BytePairTokens>(tokens));
}

/// One side of pairs as tokens, each text's own.
std::vector<Tensor> encode_side(const std::vector<TextPair>& pairs, std::string TextPair::*side,
                                const Tokenizer& tokenizer, const std::string& where) {
  std::vector<Tensor> rows;
  rows.reserve(pairs.size());
  for (const TextPair& pair : pairs) {
    try {
      rows.push_back(tokenizer.encode(pair.*side));
    } catch (const UsageError& error) {
      throw UsageError(fmt::format("{}: {}", place_of(where, pair), error.what()));
    }
  }
  return rows;
}

int64_t longest(const std::vector<Tensor>& rows) {
  int64_t length = 0;
  for (const Tensor& row : rows) length = std::max(length, row.size(0));
  return length;
}

/// (N, width), every row filled up with `end`.
Tensor filled_up(const std::vector<Tensor>& rows, int64_t width, int64_t end) {
  const auto count = static_cast<int64_t>(rows.size());
  Tensor filled = torch::full({count, width}, end, torch::kInt);
  auto* out = filled.mutable_data_ptr<int32_t>();
  for (const Tensor& row : rows) {
    const auto* tokens = row.const_data_ptr<int64_t>();
    std::transform(tokens, tokens + row.size(0), out, [](int64_t token) { return static_cast<int32_t>(token); });
    out += width;
  }
  return end < 256 ? filled.to(torch::kByte) : filled;
}

}  // namespace

void PairsConfig::fields(Fields& f) {
  f("file", file, "the file, a pair a line: source, one tab, target; UTF-8 unless tokens are bytes",
    TextForm{"", "the path of a text file", /*required=*/true});
  f("tokens", tokens,
    "what a token of source and target is: characters (Unicode code points that occur), bytes, bpe (byte pairs learned "
    "from the training part), or those of a tokenizer that is there");
  f("validation", validation, "the share of the pairs, at the end, kept for validation",
    Range{0, 1, true, true, "in (0, 1)"});
}

std::vector<TextPair> read_pairs(std::string_view text, const std::string& where) {
  std::vector<TextPair> pairs;
  int64_t number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    ++number;
    const auto tabs = std::ranges::count(line, '\t');
    if (tabs != 1) {
      throw RunError(fmt::format("{}:{}: {} tabs, wanted one, between source and target; mend the line", where, number,
                                 tabs == 0 ? "no" : std::to_string(tabs)));
    }
    const size_t tab = line.find('\t');
    if (tab == 0 || tab + 1 == line.size()) {
      throw RunError(fmt::format("{}:{}: the {} is empty; leave the pair out, or give it one", where, number,
                                 tab == 0 ? "source" : "target"));
    }
    pairs.push_back({std::string(line.substr(0, tab)), std::string(line.substr(tab + 1)), number});
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return pairs;
}

PairTexts split_pairs(std::vector<TextPair> pairs, double validation, const std::string& where) {
  const auto count = static_cast<int64_t>(pairs.size());
  const auto train = static_cast<int64_t>(static_cast<double>(count) * (1 - validation));
  if (train < 1 || train == count) {
    throw UsageError(
        fmt::format("{}: {} pairs, of which a share of {} is for validation, leave {} to train on; wanted at least one "
                    "for each: give more, or another share",
                    where, count, validation, train));
  }
  const auto middle = pairs.begin() + train;
  PairTexts texts;
  texts.validation.assign(std::make_move_iterator(middle), std::make_move_iterator(pairs.end()));
  pairs.erase(middle, pairs.end());
  texts.train = std::move(pairs);
  return texts;
}

Dataset make_pairs_dataset(const std::string& name, const PairTexts& texts, const TokensConfig& tokens,
                           const std::string& where) {
  const auto tokenizer = tokenizer_for(texts, tokens, where);
  const int64_t end = tokenizer->vocabulary();
  Dataset dataset;
  dataset.spec.dataset = name;
  dataset.spec.kind = DataKind::pairs;
  dataset.spec.vocabulary = end + 1;
  dataset.spec.end_token = end;
  dataset.spec.token_unit = tokenizer->unit();
  dataset.spec.tokenizer = tokenizer->to_json();
  dataset.spec.shape = {1, 1};
  for (size_t side = 0; side < 2; ++side) {
    const auto text = side == 0 ? &TextPair::source : &TextPair::target;
    const auto rows_of = [&](const std::vector<TextPair>& pairs) {
      return encode_side(pairs, text, *tokenizer, where);
    };
    const auto train = rows_of(texts.train), validation = rows_of(texts.validation), test = rows_of(texts.test);
    const int64_t possible = texts.lengths.empty() ? 0 : texts.lengths[side];
    const int64_t width = std::max({longest(train), longest(validation), possible}) + 1;
    const int64_t test_width = longest(test) + 1;
    dataset.spec.shape[side] = std::max(width, test_width);
    const auto place = side == 0 ? &Examples::x : &Examples::y;
    dataset.train.*place = filled_up(train, width, end);
    dataset.validation.*place = filled_up(validation, width, end);
    if (!test.empty()) dataset.test.*place = filled_up(test, test_width, end);
  }
  return dataset;
}

Dataset open(const PairsConfig& config, const DataPlaces&) {
  if (config.file.empty()) throw UsageError("data.pairs.file: empty, wanted the path of a text file");
  const std::string text = read_file(config.file);
  if (text.empty()) {
    throw RunError(
        fmt::format("{}: the file is empty; it should hold a pair a line: source, tab, target", config.file));
  }
  PairTexts texts = split_pairs(read_pairs(text, config.file), config.validation, config.file);
  return make_pairs_dataset("pairs", texts, config.tokens, config.file);
}

Tensor ended_tokens(const DataSpec& spec, const Tokenizer& tokenizer, std::string_view text) {
  return torch::cat({tokenizer.encode(text), torch::full({1}, spec.end_token, torch::kLong)}).unsqueeze(0);
}

std::string text_before_end(const DataSpec& spec, const Tokenizer& tokenizer, const Tensor& row) {
  const Tensor tokens = checked_tokens(row, spec.vocabulary);
  const auto* begin = tokens.const_data_ptr<int64_t>();
  const auto length = std::find(begin, begin + tokens.size(0), spec.end_token) - begin;
  return tokenizer.decode(tokens.narrow(/*dim=*/0, 0, length));
}

Tensor up_to_end(const Tensor& rows, int64_t end_token) {
  const Tensor ends = rows.eq(end_token).to(torch::kLong);
  return ends.cumsum(/*dim=*/1).sub(ends).eq(0);  // no end before it
}

}  // namespace genzoo
