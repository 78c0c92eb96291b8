#include "data/tokenizers/utf8.h"

namespace genzoo {
namespace {

bool is_space_at(std::string_view text, size_t at, int& bytes) {
  const CodePoint c = decode_utf8(text, at);
  bytes = c.bytes;
  return c.bytes > 0 && is_white_space(c.value);
}

}  // namespace

CodePoint decode_utf8(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(text[at + i])); };
  const uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const int bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() - at < static_cast<size_t>(bytes)) return {};
  uint32_t value = lead & (0x7f >> bytes);
  for (int i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    value = value << 6 | (byte(i) & 0x3f);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  if (value < kSmallest[bytes] || value > 0x10ffff || surrogate) return {};
  return {value, bytes};
}

bool is_white_space(uint32_t c) {
  return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

size_t begin_of_last(std::string_view all, size_t end) {
  size_t at = end - 1;
  while (at > 0 && end - at < 4 && (static_cast<unsigned char>(all[at]) & 0xc0) == 0x80) --at;
  return at;
}

size_t space_before(std::string_view all, size_t end, size_t least) {
  while (end > least) {
    const size_t at = begin_of_last(all, end);
    int bytes = 0;
    if (at < least || !is_space_at(all.substr(0, end), at, bytes) || at + static_cast<size_t>(bytes) != end) break;
    end = at;
  }
  return end;
}

size_t space_after(std::string_view all, size_t begin) {
  int bytes = 0;
  while (begin < all.size() && is_space_at(all, begin, bytes)) begin += static_cast<size_t>(bytes);
  return begin;
}

void append_utf8(std::string& text, uint32_t c) {
  const auto tail = [&](int shift) { text += static_cast<char>(0x80 | (c >> shift & 0x3f)); };
  if (c < 0x80) {
    text += static_cast<char>(c);
  } else if (c < 0x800) {
    text += static_cast<char>(0xc0 | c >> 6);
    tail(0);
  } else if (c < 0x10000) {
    text += static_cast<char>(0xe0 | c >> 12);
    tail(6);
    tail(0);
  } else {
    text += static_cast<char>(0xf0 | c >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

}  // namespace genzoo
