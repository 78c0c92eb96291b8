#include "data/tokenizers/byte_level.h"

#include <array>

#include "data/tokenizers/utf8.h"

namespace genzoo {
namespace {

constexpr bool is_printable(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte != 0xad);
}

struct Table {
  std::array<uint32_t, 256> character{};
  std::array<int, 0x144> byte{};  // -1: none
};

constexpr Table make_table() {
  Table table;
  for (int& byte : table.byte) byte = -1;
  uint32_t next = 0x100;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const uint32_t character = is_printable(byte) ? byte : next++;
    table.character[byte] = character;
    table.byte[character] = static_cast<int>(byte);
  }
  return table;
}

constexpr Table kTable = make_table();

}  // namespace

std::string printable_of(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) append_utf8(text, kTable.character[static_cast<unsigned char>(c)]);
  return text;
}

std::optional<std::string> bytes_of_printable(std::string_view text) {
  std::string bytes;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text, at);
    if (c.bytes == 0 || c.value >= kTable.byte.size() || kTable.byte[c.value] < 0) return {};
    bytes += static_cast<char>(kTable.byte[c.value]);
    at += static_cast<size_t>(c.bytes);
  }
  return bytes;
}

}  // namespace genzoo
