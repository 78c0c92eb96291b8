#include "data/pairs.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <iterator>
#include <memory>

#include "core/error.h"
#include "core/file.h"
#include "data/text_rows.h"

namespace genzoo {
namespace {

/// Both sides of pairs, one pair after the other.
std::vector<PlacedText> placed_texts(const std::vector<TextPair>& pairs) {
  std::vector<PlacedText> texts;
  for (const TextPair& pair : pairs) {
    texts.push_back({pair.source, pair.line, "source"});
    texts.push_back({pair.target, pair.line, "target"});
  }
  return texts;
}

std::unique_ptr<Tokenizer> tokenizer_for(const PairTexts& texts, const TokensConfig& tokens, const std::string& where) {
  std::vector<PlacedText> held_out = placed_texts(texts.validation);
  std::ranges::copy(placed_texts(texts.test), std::back_inserter(held_out));
  return tokenizer_of_texts(placed_texts(texts.train), held_out, tokens, where);
}

/// One side of pairs as tokens, each text's own.
std::vector<Tensor> encode_side(const std::vector<TextPair>& pairs, std::string TextPair::*side,
                                const Tokenizer& tokenizer, const std::string& where) {
  std::vector<PlacedText> texts;
  for (const TextPair& pair : pairs) texts.push_back({pair.*side, pair.line});
  return encode_texts(texts, [&](std::string_view text) { return tokenizer.encode(text); }, where);
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
  for (TabbedLine& line : read_tabbed_lines(text, "source", "target", where)) {
    pairs.push_back({std::move(line.left), std::move(line.right), line.line});
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
