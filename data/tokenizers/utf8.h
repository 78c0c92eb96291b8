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

/// Whether a byte stands within a character, after its first.
inline bool continues_character(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

/// Unicode's White_Space.
bool is_white_space(uint32_t code_point);

/// Where white space that stands at `begin` ends.
size_t space_after(std::string_view text, size_t begin);
/// Where white space that ends at `end` begins, not before `least`.
size_t space_before(std::string_view text, size_t end, size_t least);
/// Where the character that ends at `end`, which is not 0, begins.
size_t begin_of_last(std::string_view text, size_t end);

/// Appends the bytes of a code point.
void append_utf8(std::string& text, uint32_t code_point);

}  // namespace genzoo
