#pragma once
// The JSON header of a safetensors file, taken apart and checked before any data are read. For core/safetensors alone.

#include <torch/types.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/safetensors.h"

namespace genzoo::safetensors {

inline constexpr uint64_t kMaxHeader = 100'000'000;  ///< bytes, as in the format's own reader
inline constexpr const char* kMetadata = "__metadata__";

/// A dtype of the format.
struct DtypeName {
  std::string_view name;
  torch::ScalarType dtype;
  uint64_t size;  ///< bytes of an element
};

inline constexpr std::array<DtypeName, 13> kDtypes{{
    {"F64", torch::kFloat64, 8},
    {"I64", torch::kInt64, 8},
    {"U64", torch::kUInt64, 8},
    {"F32", torch::kFloat32, 4},
    {"I32", torch::kInt32, 4},
    {"U32", torch::kUInt32, 4},
    {"F16", torch::kFloat16, 2},
    {"BF16", torch::kBFloat16, 2},
    {"I16", torch::kInt16, 2},
    {"U16", torch::kUInt16, 2},
    {"I8", torch::kInt8, 1},
    {"U8", torch::kUInt8, 1},
    {"BOOL", torch::kBool, 1},
}};

/// A tensor's place in the file; offsets in bytes from the start of the data.
struct Entry {
  std::string name;
  const DtypeName* dtype = nullptr;
  std::vector<uint64_t> shape;
  std::vector<uint64_t> offsets;
  bool has_shape = false;
  bool has_offsets = false;

  uint64_t begin() const { return offsets[0]; }
  uint64_t end() const { return offsets[1]; }
  uint64_t size() const { return end() - begin(); }
  std::vector<int64_t> sizes() const { return {shape.begin(), shape.end()}; }
};

struct Header {
  std::vector<Entry> entries;  ///< in the order of their data
  Metadata metadata;
};

/// What is wrong with a file, without its name.
struct Mistake {
  std::string what;
};

/// The header from its JSON text. `data_size`: the bytes that follow it in the file; the tensors must fill them
/// exactly, without a hole or an overlap. Throws Mistake.
Header parse_header(const std::string& text, uint64_t data_size);

/// Throws RunError: the file is damaged.
[[noreturn]] void refuse(const std::filesystem::path& path, std::string why);

}  // namespace genzoo::safetensors
