#include "data/tokenizers/precompiled.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "data/tokenizers/unicode.h"
#include "data/tokenizers/utf8.h"

namespace genzoo {
namespace {

constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

[[noreturn]] void damaged(const std::string& why) {
  throw RunError("tokenizer: normalizer: precompiled_charsmap is damaged: " + why);
}

// A unit of the double array: its children begin at its own place, exclusive or its offset; the label tells whose child
// it is; a child labelled zero, where there is one, is a leaf with the value.
uint32_t offset_of(uint32_t unit) { return (unit >> 10) << ((unit & 0x200) >> 6); }
uint32_t label_of(uint32_t unit) { return unit & 0x800000ff; }
bool has_leaf(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t value_of(uint32_t leaf) { return leaf & 0x7fffffff; }

}  // namespace

PrecompiledRules::PrecompiledRules(const std::string& map) {
  uint32_t size = 0;
  if (map.size() < sizeof(size)) damaged(fmt::format("{} bytes", map.size()));
  std::memcpy(&size, map.data(), sizeof(size));
  if (size == 0 || size % sizeof(uint32_t) != 0 || size > map.size() - sizeof(size)) {
    damaged(fmt::format("a trie of {} bytes within {}", size, map.size()));
  }
  units_.resize(size / sizeof(uint32_t));
  std::memcpy(units_.data(), map.data() + sizeof(size), size);
  texts_ = map.substr(sizeof(size) + size);
}

/// By the rule for the shortest beginning of `part` that has one. False: there is none.
bool PrecompiledRules::replace(std::string_view part, std::string& out) const {
  size_t at = 0;
  const auto child = [&](uint32_t label) {
    const size_t next = at ^ offset_of(units_[at]) ^ label;
    if (next >= units_.size()) damaged("its trie leads out of itself");
    return next;
  };
  for (const char c : part) {
    const uint32_t label = static_cast<unsigned char>(c);
    const size_t next = child(label);
    if (label == 0 || label_of(units_[next]) != label) return false;
    at = next;
    if (!has_leaf(units_[at])) continue;
    const uint32_t begin = value_of(units_[child(0)]);
    if (begin >= texts_.size()) damaged("a text beyond its end");
    out += texts_.substr(begin, texts_.find('\0', begin) - begin);
    return true;
  }
  return false;
}

std::string PrecompiledRules::apply(std::string_view text) const {
  constexpr size_t kLongestGrapheme = 5;  // bytes; `tokenizers` looks no longer ones up
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t end = end_of_grapheme(text, at);
    if (end - at <= kLongestGrapheme && replace(text.substr(at, end - at), out)) {
      at = end;
      continue;
    }
    while (at < end) {
      const auto bytes = static_cast<size_t>(std::max(1, decode_utf8(text, at).bytes));
      if (!replace(text.substr(at, bytes), out)) out += text.substr(at, bytes);
      at += bytes;
    }
  }
  return out;
}

std::string bytes_of_base64(std::string_view text) {
  if (text.size() % 4 != 0) damaged("no base64");
  std::string bytes;
  for (size_t at = 0; at < text.size(); at += 4) {
    const bool last = at + 4 == text.size();
    const int padding = last && text[at + 3] == '=' ? (text[at + 2] == '=' ? 2 : 1) : 0;
    uint32_t four = 0;
    for (int i = 0; i < 4; ++i) {
      const size_t digit = i >= 4 - padding ? 0 : kDigits.find(text[at + static_cast<size_t>(i)]);
      if (digit == kDigits.npos) damaged("no base64");
      four = four << 6 | static_cast<uint32_t>(digit);
    }
    for (int i = 0; i < 3 - padding; ++i) bytes += static_cast<char>(four >> (16 - 8 * i) & 0xff);
  }
  return bytes;
}

std::string base64_of(std::string_view bytes) {
  std::string text;
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - at);
    uint32_t three = 0;
    for (size_t i = 0; i < 3; ++i) three = three << 8 | (i < count ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    for (size_t i = 0; i < 4; ++i) text += i <= count ? kDigits[three >> (18 - 6 * i) & 0x3f] : '=';
  }
  return text;
}

}  // namespace genzoo
