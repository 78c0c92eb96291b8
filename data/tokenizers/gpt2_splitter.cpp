#include "data/tokenizers/gpt2_splitter.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "data/tokenizers/pattern.h"

namespace genzoo {
namespace {

enum Kind : uint8_t { kSign, kLetter, kDigit, kSpace, kBeyondASCII };

constexpr std::array<uint8_t, 256> make_kinds() {
  std::array<uint8_t, 256> kinds{};
  for (int c = 0; c < 256; ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    kinds[static_cast<size_t>(c)] = c >= 0x80                              ? kBeyondASCII
                                    : letter                               ? kLetter
                                    : c >= '0' && c <= '9'                 ? kDigit
                                    : c == ' ' || (c >= '\t' && c <= '\r') ? kSpace
                                                                           : kSign;
  }
  return kinds;
}

constexpr std::array<uint8_t, 256> kKinds = make_kinds();
uint8_t kind_of(char c) { return kKinds[static_cast<unsigned char>(c)]; }

/// Where the clitic that begins with the apostrophe at `at` ends: 's 't 're 've 'm 'll 'd. `at` itself: there is none.
size_t end_of_clitic(std::string_view text, size_t at) {
  const char first = at + 1 < text.size() ? text[at + 1] : '\0', second = at + 2 < text.size() ? text[at + 2] : '\0';
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
  const bool two = ((first == 'r' || first == 'v') && second == 'e') || (first == 'l' && second == 'l');
  return two ? at + 3 : at;
}

/// Where the match at `at` ends; `at` itself: a character beyond ASCII decides.
size_t end_of_match(std::string_view text, size_t at) {
  if (text[at] == '\'') {
    const size_t end = end_of_clitic(text, at);
    if (end > at) return end;
  }
  size_t begin = at;
  if (text[at] == ' ' && at + 1 < text.size() && kind_of(text[at + 1]) != kSpace) ++begin;
  const uint8_t kind = kind_of(text[begin]);
  if (kind == kBeyondASCII) return at;
  size_t end = begin + 1;
  while (end < text.size() && kind_of(text[end]) == kind) ++end;
  if (end < text.size() && kind_of(text[end]) == kBeyondASCII) return at;
  // \s+(?!\S): the last space of several goes with what follows.
  if (kind == kSpace && end < text.size() && end - at > 1) --end;
  return end;
}

}  // namespace

Splitter gpt2_splitter() {
  const auto pattern = std::make_shared<const Pattern>(kGPT2Pattern);
  return [pattern](TextPart part, OwnedTexts&, const TakePiece& take) {
    const std::string_view text = part.text;
    Pattern::Matches matches(*pattern, text);
    for (size_t at = 0; at < text.size();) {
      size_t end = end_of_match(text, at);
      if (end == at) {
        // Bytes that are no UTF-8 are in no match: what lies before the next one is a piece too.
        if (!matches.next_from(at)) {
          end = text.size();
        } else if (matches.begin() > at) {
          end = matches.begin();
        } else {
          end = matches.end();
        }
      }
      take(text.substr(at, end - at));
      at = end;
    }
  };
}

}  // namespace genzoo
