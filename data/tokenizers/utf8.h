#pragma once
// UTF-8 (RFC 3629), strictly: no overlong forms, no surrogates, nothing beyond U+10FFFF.

#include <cstdint>
#include <string>
#include <string_view>

namespace genzoo {

/// One code point and how many bytes it takes; 0 bytes: what stands at `at` is not UTF-8.
struct CodePoint {
  uint32_t value = 0;
  int bytes = 0;
};
CodePoint decode_utf8(std::string_view text, size_t at);

/// Unicode's White_Space.
bool is_white_space(uint32_t code_point);

/// Appends the bytes of a code point.
void append_utf8(std::string& text, uint32_t code_point);

}  // namespace genzoo
