#include "data/tokenizers/word_tokens.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "core/json.h"
#include "data/tokenizers/pipeline.h"
#include "data/tokenizers/splitter.h"

namespace genzoo {
namespace {

constexpr const char* kUnknown = "<unk>";

SortedJson word_section() {
  constexpr const char* kWords =
      "[\\p{L}\\p{M}\\p{N}]+(?:['\xe2\x80\x99][\\p{L}\\p{M}\\p{N}]+)*|\\n|[^\\s\\p{L}\\p{M}\\p{N}]";
  return {{"type", "Split"}, {"pattern", {{"Regex", kWords}}}, {"behavior", "Removed"}, {"invert", true}};
}

SortedJson replacing(const char* pattern, const char* content) {
  return {{"type", "Replace"}, {"pattern", {{"Regex", pattern}}}, {"content", content}};
}

/// Spaces between all of them, then those taken away that English has not.
SortedJson decoder_section() {
  const SortedJson with_spaces{{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", false}};
  return {{"type", "Sequence"},
          {"decoders",
           {with_spaces, SortedJson{{"type", "Fuse"}}, replacing(" ?\\n ?", "\n"),
            replacing(" (?=[,.;:!?)\\]}\xe2\x80\x99\xe2\x80\x9d\xe2\x80\xa6%])|(?<=[(\\[{\xe2\x80\x98\xe2\x80\x9c]) ",
                      "")}}};
}

}  // namespace

void count_words(std::string_view text, PieceCounts& counts) {
  static const Splitting splitting = make_splitter(word_section());
  OwnedTexts owned;
  splitting.split({text}, owned, [&](std::string_view word) { ++counts[std::string(word)]; });
}

std::unique_ptr<Tokenizer> make_word_pipeline(const PieceCounts& words, int64_t size, int64_t min_count) {
  std::vector<std::pair<std::string, int64_t>> order;
  for (const auto& word : words) {
    if (word.second >= min_count) order.emplace_back(word);
  }
  std::ranges::sort(order, [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  SortedJson vocabulary{{kUnknown, 0}};
  for (const auto& [word, count] : order) {
    if (static_cast<int64_t>(vocabulary.size()) >= size) break;
    vocabulary.emplace(word, vocabulary.size());
  }
  return pipeline_from_json(
      {{"pre_tokenizer", word_section()},
       {"decoder", decoder_section()},
       {"model", {{"type", "WordLevel"}, {"unk_token", kUnknown}, {"vocab", std::move(vocabulary)}}}});
}

}  // namespace genzoo
