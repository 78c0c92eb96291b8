#pragma once
// The safetensors format: u64 little-endian header length, JSON header, data. Loading executes nothing, and a file
// that is not exactly as the format says is refused with the reason.

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace genzoo {

using torch::Tensor;
using NamedTensors = std::map<std::string, Tensor>;
using Metadata = std::map<std::string, std::string>;

struct TensorFile {
  NamedTensors tensors;
  Metadata metadata;
};

/// What a file says of one tensor before any data are read.
struct TensorInfo {
  torch::ScalarType dtype;
  std::vector<int64_t> shape;
};

/// Writes tensors (any device; made contiguous on the CPU) whole or not at all, in an order that depends only on dtype
/// and name, so equal contents are equal bytes. When `with_checksum`, metadata gets "checksum": "sha256:<hex>" of the
/// metadata (key and value in the order of keys, each ended by a zero byte) and the data section. Throws RunError
/// (write_file_whole).
void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors, const Metadata& metadata = {},
                       bool with_checksum = false);

/// Reads everything. Sizes in the header are checked before anything is allocated; a checksum, where there is one, is
/// verified. Throws UsageError if the file is missing, RunError with one line if it is damaged.
TensorFile read_safetensors(const std::filesystem::path& path);

/// Metadata and shapes only; reads no data.
struct TensorFileHeader {
  std::map<std::string, TensorInfo> tensors;
  Metadata metadata;
};
TensorFileHeader read_safetensors_header(const std::filesystem::path& path);

class Sha256;  // core/file.h

/// Adds a tensor's values to a digest, as they lie in such a file: contiguous, whatever the device.
void add_bytes(Sha256& digest, const Tensor& tensor);

}  // namespace genzoo
