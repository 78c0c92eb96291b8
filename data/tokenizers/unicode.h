#pragma once
// What Unicode says of characters, and its normal forms (UAX #15). utf8proc is named in unicode.cpp only.

#include <cstdint>
#include <string>
#include <string_view>

namespace genzoo {

enum class NormalForm { nfc, nfd, nfkc, nfkd };

/// A text in a normal form. Bytes that are not UTF-8 stay as they are, and what stands between them is normalized.
std::string to_normal_form(std::string_view text, NormalForm form);

bool is_mark(uint32_t code_point);             ///< category M: combining marks
bool is_nonspacing_mark(uint32_t code_point);  ///< category Mn: accents
bool is_other(uint32_t code_point);            ///< categories Cc, Cf, Co: control, format, private use
bool is_punctuation(uint32_t code_point);      ///< category P, and all of ASCII's signs

/// Appends a character in lower case; the one that becomes two is U+0130.
void append_lower(std::string& text, uint32_t code_point);

/// Where the extended grapheme cluster that begins at `begin` ends (UAX #29). A byte that is not UTF-8 is one.
size_t end_of_grapheme(std::string_view text, size_t begin);

}  // namespace genzoo
