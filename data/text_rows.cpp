#include "data/text_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <variant>

#include "core/error.h"
#include "data/tokenizers/utf8.h"

namespace genzoo {
namespace {

void require_utf8(const PlacedText& placed, const std::string& where) {
  for (size_t at = 0; at < placed.text.size();) {
    const CodePoint c = decode_utf8(placed.text, at);
    if (c.bytes > 0) {
      at += static_cast<size_t>(c.bytes);
      continue;
    }
    throw RunError(
        fmt::format("{}: byte 0x{:02x} at position {} of the {} is not UTF-8; convert the file, or use `tokens: bytes`",
                    place_of(where, placed.line), static_cast<unsigned char>(placed.text[at]), at, placed.part));
  }
}

}  // namespace

std::string place_of(const std::string& where, int64_t line) {
  return line > 0 ? fmt::format("{}:{}", where, line) : where;
}

std::vector<TabbedLine> read_tabbed_lines(std::string_view text, const char* left, const char* right,
                                          const std::string& where) {
  std::vector<TabbedLine> lines;
  int64_t number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    ++number;
    const auto tabs = std::ranges::count(line, '\t');
    if (tabs != 1) {
      throw RunError(fmt::format("{}: {} tabs, wanted one, between {} and {}; mend the line", place_of(where, number),
                                 tabs == 0 ? "no" : std::to_string(tabs), left, right));
    }
    const size_t tab = line.find('\t');
    if (tab == 0 || tab + 1 == line.size()) {
      throw RunError(fmt::format("{}: the {} is empty; leave the line out, or give it one", place_of(where, number),
                                 tab == 0 ? left : right));
    }
    lines.push_back({std::string(line.substr(0, tab)), std::string(line.substr(tab + 1)), number});
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::unique_ptr<Tokenizer> tokenizer_of_texts(const std::vector<PlacedText>& training,
                                              const std::vector<PlacedText>& held_out, const TokensConfig& tokens,
                                              const std::string& where) {
  if (std::holds_alternative<CharacterTokens>(tokens)) {
    std::string all;
    for (const auto* texts : {&training, &held_out}) {
      for (const PlacedText& placed : *texts) {
        require_utf8(placed, where);
        all += placed.text;
      }
    }
    return Tokenizer::characters_of(all);
  }
  if (std::holds_alternative<ByteTokens>(tokens)) return Tokenizer::bytes();
  if (const auto* there = std::get_if<TokenizerTokens>(&tokens)) return open_tokenizer(there->path);
  std::vector<std::string_view> texts;
  for (const PlacedText& placed : training) texts.push_back(placed.text);
  if (const auto* words = std::get_if<WordTokens>(&tokens)) return learn_words(texts, *words);
  return learn_byte_pairs(texts, std::get<BytePairTokens>(tokens));
}

std::vector<Tensor> encode_texts(const std::vector<PlacedText>& texts,
                                 const std::function<Tensor(std::string_view text)>& encode, const std::string& where) {
  std::vector<Tensor> rows;
  rows.reserve(texts.size());
  for (const PlacedText& placed : texts) {
    try {
      rows.push_back(encode(placed.text));
    } catch (const UsageError& error) {
      throw UsageError(fmt::format("{}: {}", place_of(where, placed.line), error.what()));
    }
  }
  return rows;
}

int64_t longest(const std::vector<Tensor>& rows) {
  int64_t length = 0;
  for (const Tensor& row : rows) length = std::max(length, row.size(0));
  return length;
}

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

}  // namespace genzoo
