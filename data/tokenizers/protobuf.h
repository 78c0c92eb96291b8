#pragma once
// Messages of protocol buffers, field by field (https://protobuf.dev/programming-guides/encoding).
//
// SentencePiece's own library reads its models too. It carries a copy of protobuf whose symbols are LibTorch's as well,
// of another version; with both in one program either may call the other's.

#include <cstdint>
#include <optional>
#include <string_view>

namespace genzoo {

/// One field. Which of the values it has tells its number's type.
struct ProtobufField {
  uint32_t number = 0;
  uint32_t wire = 0;       ///< 0: varint, 1: 8 bytes, 2: bytes, 5: 4 bytes
  uint64_t value = 0;      ///< of the numbers
  std::string_view bytes;  ///< of wire 2

  float as_float() const;         ///< throws RunError if it is not of 4 bytes
  bool as_bool() const;           ///< throws RunError if it is no varint
  int64_t as_integer() const;     ///< throws RunError if it is no varint
  std::string_view text() const;  ///< bytes; throws RunError if it has none
};

/// Goes through the fields of a message. Everything is checked: lengths, ends, wire types; groups are refused.
class ProtobufReader final {
 public:
  explicit ProtobufReader(std::string_view message) : rest_(message) {}
  /// Nothing at the end. Throws RunError where the message is damaged.
  std::optional<ProtobufField> next();

 private:
  uint64_t varint();
  std::string_view take(uint64_t count);
  std::string_view rest_;
};

}  // namespace genzoo
