#pragma once
// Bytes written as printable characters, as the files of byte-level tokenizers hold them (Radford et al., 2019: GPT-2's
// bytes_to_unicode): the 188 printable bytes of Latin-1 stand for themselves, the others are U+0100 on, in order.

#include <optional>
#include <string>
#include <string_view>

namespace genzoo {

std::string printable_of(std::string_view bytes);

/// Nothing if one of the characters stands for no byte.
std::optional<std::string> bytes_of_printable(std::string_view text);

}  // namespace genzoo
