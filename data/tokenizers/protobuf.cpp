#include "data/tokenizers/protobuf.h"

#include <fmt/format.h>

#include <cstring>
#include <string>

#include "core/error.h"

namespace genzoo {
namespace {

enum Wire : uint32_t { kVarint = 0, kEight = 1, kBytes = 2, kFour = 5 };

[[noreturn]] void damaged(const std::string& why) { throw RunError("tokenizer: the model is damaged: " + why); }

void require(const ProtobufField& field, uint32_t wire, const char* wanted) {
  if (field.wire != wire)
    damaged(fmt::format("field {} has wire type {}, wanted {}", field.number, field.wire, wanted));
}

}  // namespace

float ProtobufField::as_float() const {
  require(*this, kFour, "a float");
  const auto bits = static_cast<uint32_t>(value);
  float result = 0;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}

bool ProtobufField::as_bool() const {
  require(*this, kVarint, "a bool");
  return value != 0;
}

int64_t ProtobufField::as_integer() const {
  require(*this, kVarint, "a number");
  return static_cast<int64_t>(value);
}

std::string_view ProtobufField::text() const {
  require(*this, kBytes, "bytes");
  return bytes;
}

std::string_view ProtobufReader::take(uint64_t count) {
  if (count > rest_.size()) damaged(fmt::format("{} bytes are wanted where {} are left", count, rest_.size()));
  const std::string_view taken = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return taken;
}

uint64_t ProtobufReader::varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const auto byte = static_cast<unsigned char>(take(1)[0]);
    if (shift == 63 && byte > 1) break;
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  damaged("a number of more than 64 bits");
}

std::optional<ProtobufField> ProtobufReader::next() {
  if (rest_.empty()) return {};
  const uint64_t key = varint();
  ProtobufField field;
  if (key >> 3 == 0 || key >> 3 > 0x1fffffff) damaged(fmt::format("a field with the number {}", key >> 3));
  field.number = static_cast<uint32_t>(key >> 3);
  field.wire = static_cast<uint32_t>(key & 7);
  switch (field.wire) {
    case kVarint:
      field.value = varint();
      break;
    case kEight:
    case kFour: {
      const std::string_view bytes = take(field.wire == kEight ? 8 : 4);
      std::memcpy(&field.value, bytes.data(), bytes.size());  // little-endian, as this machine is
      break;
    }
    case kBytes:
      field.bytes = take(varint());
      break;
    default:
      damaged(fmt::format("field {} has wire type {}", field.number, field.wire));
  }
  return field;
}

}  // namespace genzoo
