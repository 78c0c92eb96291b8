#include "core/safetensors.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/safetensors_header.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

using safetensors::DtypeName;
using safetensors::Entry;
using safetensors::Header;
using safetensors::kDtypes;
using safetensors::kMaxHeader;
using safetensors::kMetadata;
using safetensors::Mistake;
using safetensors::parse_header;
using safetensors::refuse;

static_assert(std::endian::native == std::endian::little, "safetensors data are little-endian and copied as they are");

constexpr const char* kChecksum = "checksum";
constexpr std::string_view kChecksumKind = "sha256:";

class Input final {
 public:
  explicit Input(const fs::path& path) : path_(path) {
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (!fs::exists(status)) throw UsageError(fmt::format("there is no file {}", path.string()));
    if (!fs::is_regular_file(status)) throw RunError(fmt::format("cannot read {}: not a file", path.string()));
    size_ = fs::file_size(path, error);
    errno = 0;
    stream_.open(path, std::ios::binary);
    if (error || !stream_) throw RunError(fmt::format("cannot read {}: {}", path.string(), reason()));
  }

  uint64_t size() const { return size_; }
  void read(void* bytes, uint64_t size) {
    errno = 0;
    stream_.read(static_cast<char*>(bytes), static_cast<std::streamsize>(size));
    if (!stream_) throw RunError(fmt::format("cannot read {}: {}", path_.string(), reason()));
  }

 private:
  static std::string reason() {
    return errno != 0 ? std::generic_category().message(errno) : "it became shorter meanwhile";
  }

  fs::path path_;
  std::ifstream stream_;
  uint64_t size_ = 0;
};

Header read_header(const fs::path& path, Input& input) {
  if (input.size() < 8) refuse(path, fmt::format("{} bytes, wanted at least 8", input.size()));
  uint64_t length = 0;
  input.read(&length, sizeof(length));
  if (length > kMaxHeader) refuse(path, fmt::format("a header of {} bytes; at most {} are legal", length, kMaxHeader));
  if (length > input.size() - 8) {
    refuse(path, fmt::format("a header of {} bytes in a file of {}: cut short?", length, input.size()));
  }
  std::string text(length, '\0');
  input.read(text.data(), length);

  try {
    return parse_header(text, input.size() - sizeof(length) - length);
  } catch (const Mistake& mistake) {
    refuse(path, mistake.what);
  }
}

/// The checksum a file promises, as hex; empty: none. One that cannot be verified is refused, not passed over.
std::string promised_checksum(const fs::path& path, const Metadata& metadata) {
  const auto found = metadata.find(kChecksum);
  if (found == metadata.end()) return "";
  const std::string& value = found->second;
  if (!value.starts_with(kChecksumKind)) {
    refuse(path, fmt::format("its checksum '{}' does not begin with '{}'", value.substr(0, 80), kChecksumKind));
  }
  return value.substr(kChecksumKind.size());
}

/// Bytes other than 0 and 1 are no bool to a compiler, which may then do anything.
void check_booleans(const fs::path& path, const std::string& name, const void* bytes, uint64_t size) {
  const auto* begin = static_cast<const unsigned char*>(bytes);
  if (std::any_of(begin, begin + size, [](unsigned char b) { return b > 1; })) {
    refuse(path, fmt::format("'{}' is BOOL, but has bytes other than 0 and 1", name));
  }
}

// --- Writing ---------------------------------------------------------------------------------------------------------

const DtypeName& name_of(const std::string& name, torch::ScalarType dtype) {
  const auto* found = std::find_if(kDtypes.begin(), kDtypes.end(), [&](const auto& d) { return d.dtype == dtype; });
  if (found == kDtypes.end()) {
    throw std::invalid_argument(
        fmt::format("core/safetensors: '{}' is {}, which the format does not know", name, c10::toString(dtype)));
  }
  return *found;
}

struct Outgoing {
  std::string name;
  const DtypeName* dtype;
  Tensor data;  // contiguous, on the CPU
};

std::vector<Outgoing> in_file_order(const NamedTensors& tensors) {
  std::vector<Outgoing> order;
  for (const auto& [name, tensor] : tensors) {
    if (name == kMetadata || name.find('\0') != std::string::npos || !tensor.defined()) {
      throw std::invalid_argument(fmt::format("core/safetensors: '{}' cannot be written: {}", name,
                                              tensor.defined() ? "not a legal name" : "an undefined tensor"));
    }
    order.push_back({name, &name_of(name, tensor.scalar_type()), tensor.detach().to(torch::kCPU).contiguous()});
  }
  // By descending size of the elements, so that all stay aligned; the map has sorted the names.
  std::stable_sort(order.begin(), order.end(),
                   [](const Outgoing& a, const Outgoing& b) { return a.dtype->size > b.dtype->size; });
  return order;
}

std::string header_text(const std::vector<Outgoing>& order, const Metadata& metadata) {
  std::string text = "{";
  const auto add = [&](const std::string& key, const Json& value) {
    text += fmt::format("{}{}:{}", text.size() == 1 ? "" : ",", Json(key).dump(), value.dump());
  };
  try {
    if (!metadata.empty()) add(kMetadata, metadata);
    uint64_t position = 0;
    for (const Outgoing& tensor : order) {
      const uint64_t end = position + tensor.data.nbytes();
      add(tensor.name,
          {{"dtype", tensor.dtype->name}, {"shape", tensor.data.sizes().vec()}, {"data_offsets", {position, end}}});
      position = end;
    }
  } catch (const Json::type_error&) {
    throw std::invalid_argument("core/safetensors: a name or a metadata string is not UTF-8");
  }
  text += '}';
  text.append((8 - text.size() % 8) % 8, ' ');
  if (text.size() > kMaxHeader) {
    throw std::invalid_argument(
        fmt::format("core/safetensors: a header of {} bytes; at most {} are legal", text.size(), kMaxHeader));
  }
  return text;
}

/// A checksum begun with the metadata, so that a changed setting or step is found as well as changed data.
void add_metadata(Sha256& checksum, const Metadata& metadata) {
  for (const auto& [key, value] : metadata) {
    if (key == kChecksum) continue;
    for (const std::string& text : {key, value}) checksum.update(text.c_str(), text.size() + 1);
  }
}

}  // namespace

void safetensors::refuse(const fs::path& path, std::string why) {
  // What a damaged file says is quoted, and must neither break the line nor reach the terminal as an escape.
  std::replace_if(why.begin(), why.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
  if (why.size() > 400) why = why.substr(0, 400) + "...";
  throw RunError(fmt::format("{} is damaged or no safetensors file: {}", path.string(), why));
}

void write_safetensors(const fs::path& path, const NamedTensors& tensors, const Metadata& metadata,
                       bool with_checksum) {
  const std::vector<Outgoing> order = in_file_order(tensors);
  Metadata described = metadata;
  if (with_checksum) {
    Sha256 checksum;
    add_metadata(checksum, metadata);
    for (const Outgoing& tensor : order) checksum.update(tensor.data.const_data_ptr(), tensor.data.nbytes());
    described[kChecksum] = std::string(kChecksumKind) + checksum.hex();
  }
  const std::string header = header_text(order, described);
  write_file_whole(path, [&](const Sink& sink) {
    const uint64_t length = header.size();
    sink(&length, sizeof(length));
    sink(header.data(), header.size());
    for (const Outgoing& tensor : order) sink(tensor.data.const_data_ptr(), tensor.data.nbytes());
  });
}

TensorFile read_safetensors(const fs::path& path) {
  Input input(path);
  Header header = read_header(path, input);
  const std::string promised = promised_checksum(path, header.metadata);
  Sha256 checksum;
  add_metadata(checksum, header.metadata);
  TensorFile file{{}, std::move(header.metadata)};
  for (const Entry& entry : header.entries) {
    Tensor tensor = at::empty(entry.sizes(), at::TensorOptions().dtype(entry.dtype->dtype));
    void* bytes = tensor.mutable_data_ptr();
    input.read(bytes, entry.size());
    if (!promised.empty()) checksum.update(bytes, entry.size());
    if (entry.dtype->dtype == torch::kBool) check_booleans(path, entry.name, bytes, entry.size());
    file.tensors.emplace(entry.name, std::move(tensor));
  }
  if (!promised.empty()) {
    if (const std::string actual = checksum.hex(); actual != promised) {
      refuse(path, fmt::format("its contents have the SHA-256 {}, wanted {}", actual, promised));
    }
  }
  return file;
}

TensorFileHeader read_safetensors_header(const fs::path& path) {
  Input input(path);
  Header header = read_header(path, input);
  TensorFileHeader result{{}, std::move(header.metadata)};
  for (const Entry& entry : header.entries) {
    result.tensors.emplace(entry.name, TensorInfo{entry.dtype->dtype, entry.sizes()});
  }
  return result;
}

void add_bytes(Sha256& digest, const Tensor& tensor) {
  const Tensor whole = tensor.detach().to(torch::kCPU).contiguous();
  digest.update(whole.const_data_ptr(), whole.nbytes());
}

}  // namespace genzoo
