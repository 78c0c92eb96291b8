#include "evaluation/translation_metrics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <unordered_map>

#include "data/tokenizers/utf8.h"

namespace genzoo {
namespace {

constexpr size_t kWordOrder = 4, kCharacterOrder = 6;

using Counts = std::unordered_map<std::string, int64_t>;

/// The characters of a text, what is not UTF-8 byte by byte, and which of them are white space as Python has it.
struct Character {
  std::string_view bytes;
  bool space;
};

std::vector<Character> characters_of(std::string_view text) {
  std::vector<Character> characters;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text, at);
    const auto bytes = static_cast<size_t>(std::max(c.bytes, 1));
    const bool separator = c.value >= 0x1c && c.value <= 0x1f;  // no White_Space of Unicode, but of Python
    characters.push_back({text.substr(at, bytes), c.bytes > 0 && (is_white_space(c.value) || separator)});
    at += bytes;
  }
  return characters;
}

void replace_all(std::string& text, std::string_view what, std::string_view by) {
  for (size_t at = 0; (at = text.find(what, at)) != text.npos; at += by.size()) text.replace(at, what.size(), by);
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_point(char c) { return c == '.' || c == ','; }

/// ASCII's signs but the apostrophe, the point, the comma and the dash, and the space.
bool is_sign(char c) {
  const auto within = [c](char from, char to) { return c >= from && c <= to; };
  return within('{', '~') || within('[', '`') || within(' ', '&') || within('(', '+') || within(':', '@') || c == '/';
}

/// Both characters of a pair for which `holds`, with `left` before, `middle` between and `right` behind them; as a
/// regular expression finds them, so that pairs do not overlap.
template <class F>
std::string with_pairs(const std::string& text, const F& holds, const char* left, const char* middle,
                       const char* right) {
  std::string result;
  size_t at = 0;
  while (at < text.size()) {
    if (at + 1 < text.size() && holds(text[at], text[at + 1])) {
      result.append(left).append(1, text[at]).append(middle).append(1, text[at + 1]).append(right);
      at += 2;
    } else {
      result += text[at++];
    }
  }
  return result;
}

std::vector<std::string> split_at_spaces(std::string_view text) {
  std::vector<std::string> words;
  bool within = false;
  for (const Character& c : characters_of(text)) {
    if (!c.space) {
      if (!within) words.emplace_back();
      words.back() += c.bytes;
    }
    within = !c.space;
  }
  return words;
}

/// How often each sequence of n of `pieces` occurs; `separator` stands between pieces that may be of several bytes.
template <class Piece>
Counts ngrams(const std::vector<Piece>& pieces, size_t n, std::string_view separator) {
  Counts counts;
  for (size_t first = 0; first + n <= pieces.size(); ++first) {
    std::string key;
    for (size_t i = first; i < first + n; ++i) key.append(pieces[i]).append(separator);
    ++counts[key];
  }
  return counts;
}

int64_t sum(const Counts& counts) {
  return std::accumulate(counts.begin(), counts.end(), int64_t{0},
                         [](int64_t so_far, const auto& entry) { return so_far + entry.second; });
}

/// Of n-grams of one order over a corpus.
struct Overlap {
  int64_t translated = 0, wanted = 0, common = 0;

  void add(const Counts& translation, const Counts& reference) {
    translated += sum(translation);
    wanted += sum(reference);
    for (const auto& [ngram, count] : translation) {
      const auto found = reference.find(ngram);
      if (found != reference.end()) common += std::min(count, found->second);
    }
  }
};

void require_as_many(std::span<const std::string> translations, std::span<const std::string> references) {
  if (translations.size() != references.size()) throw std::logic_error("a translation has one reference");
}

std::vector<std::string_view> printed_characters(const std::string& text) {
  std::vector<std::string_view> printed;
  for (const Character& c : characters_of(text)) {
    if (!c.space) printed.push_back(c.bytes);
  }
  return printed;
}

}  // namespace

std::vector<std::string> words_13a(std::string_view text) {
  size_t end = 0, at = 0;
  for (const Character& c : characters_of(text)) {
    at += c.bytes.size();
    if (!c.space) end = at;
  }
  // Spaces at the end go first, or "-\n" there would take its dash along.
  std::string line(text.substr(0, end));
  replace_all(line, "<skipped>", "");
  replace_all(line, "-\n", "");
  replace_all(line, "\n", " ");
  replace_all(line, "&quot;", "\"");
  replace_all(line, "&amp;", "&");
  replace_all(line, "&lt;", "<");
  replace_all(line, "&gt;", ">");
  std::string apart;
  for (const char c : " " + line + " ") {
    if (is_sign(c)) {
      apart.append(1, ' ').append(1, c).append(1, ' ');
    } else {
      apart += c;
    }
  }
  // Points and commas stand apart but between digits, dashes behind digits.
  apart = with_pairs(apart, [](char a, char b) { return !is_digit(a) && is_point(b); }, "", " ", " ");
  apart = with_pairs(apart, [](char a, char b) { return is_point(a) && !is_digit(b); }, " ", " ", "");
  apart = with_pairs(apart, [](char a, char b) { return is_digit(a) && b == '-'; }, "", " ", " ");
  return split_at_spaces(apart);
}

double corpus_bleu(std::span<const std::string> translations, std::span<const std::string> references) {
  require_as_many(translations, references);
  std::array<Overlap, kWordOrder> overlaps;
  int64_t translated = 0, wanted = 0;  // words
  for (size_t i = 0; i < translations.size(); ++i) {
    const auto translation = words_13a(translations[i]), reference = words_13a(references[i]);
    translated += static_cast<int64_t>(translation.size());
    wanted += static_cast<int64_t>(reference.size());
    for (size_t n = 1; n <= kWordOrder; ++n) {
      overlaps[n - 1].add(ngrams(translation, n, " "), ngrams(reference, n, " "));
    }
  }
  if (std::ranges::all_of(overlaps, [](const Overlap& o) { return o.common == 0; })) return 0.0;
  double log_precision = 0, smoothing = 1;
  for (const Overlap& o : overlaps) {
    if (o.translated == 0) return 0.0;  // no text of four words
    if (o.common == 0) smoothing *= 2;
    const double common = o.common == 0 ? 1 / smoothing : static_cast<double>(o.common);
    log_precision += std::log(common / static_cast<double>(o.translated)) / kWordOrder;
  }
  const double ratio = static_cast<double>(wanted) / static_cast<double>(translated);
  return 100 * std::exp(log_precision + std::min(0.0, 1 - ratio));
}

double corpus_chrf(std::span<const std::string> translations, std::span<const std::string> references) {
  require_as_many(translations, references);
  constexpr double kRecallWeight = 2.0 * 2.0;  // beta^2
  std::array<Overlap, kCharacterOrder> overlaps;
  for (size_t i = 0; i < translations.size(); ++i) {
    const auto translation = printed_characters(translations[i]), reference = printed_characters(references[i]);
    for (size_t n = 1; n <= kCharacterOrder; ++n) {
      // Of a reference without n-grams nothing can be wrong.
      if (reference.size() >= n) overlaps[n - 1].add(ngrams(translation, n, ""), ngrams(reference, n, ""));
    }
  }
  double precision = 0, recall = 0;
  int64_t orders = 0;
  for (const Overlap& o : overlaps) {
    if (o.translated == 0 || o.wanted == 0) continue;
    precision += static_cast<double>(o.common) / static_cast<double>(o.translated);
    recall += static_cast<double>(o.common) / static_cast<double>(o.wanted);
    ++orders;
  }
  if (precision + recall == 0) return 0.0;
  const double f = (1 + kRecallWeight) * precision * recall / (kRecallWeight * precision + recall);
  return 100 * f / static_cast<double>(orders);
}

}  // namespace genzoo
