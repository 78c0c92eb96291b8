#include "core/safetensors.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <fstream>
#include <limits>
#include <optional>
#include <set>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "safetensors data are little-endian and copied as they are");

constexpr uint64_t kMaxHeader = 100'000'000;
constexpr uint64_t kMaxInteger = uint64_t{1} << 48;
constexpr size_t kMaxRank = 64;  // LibTorch's iterators take no more
constexpr const char* kMetadata = "__metadata__";
constexpr const char* kChecksum = "checksum";
constexpr std::string_view kChecksumKind = "sha256:";

struct DtypeName {
  std::string_view name;
  torch::ScalarType dtype;
  uint64_t size;
};

constexpr std::array<DtypeName, 13> kDtypes{{
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
  std::vector<Entry> entries;  // by offset
  Metadata metadata;
  uint64_t data_begin = 0;  // in the file
};

// --- Reading the header ----------------------------------------------------------------------------------------------

/// Takes the JSON apart event by event, because the library's documents would swallow duplicate keys. Its state is
/// where in {name: {field: [..]}} it stands; every other form is a mistake, which ends the parse.
class HeaderParser final : public nlohmann::json_sax<Json> {
 public:
  std::vector<Entry> entries;
  Metadata metadata;
  std::string mistake;

  bool start_object(size_t) override {
    if (place_ == Place::outside) return go(Place::names);
    if (place_ != Place::names) return refuse(where() + " is an object");
    if (key_ != kMetadata) {
      entries.emplace_back().name = key_;
      return go(Place::entry);
    }
    return go(Place::metadata);
  }

  bool key(std::string& name) override {
    if (name.find('\0') != std::string::npos) return refuse("a name with a NUL character");
    const bool is_new = place_ == Place::names      ? seen_names_.insert(name).second
                        : place_ == Place::metadata ? metadata.emplace(name, "").second
                                                    : seen_fields_.insert(name).second;
    key_ = name;
    if (!is_new) return refuse(fmt::format("the key '{}' stands twice{}", name, inside()));
    if (place_ == Place::entry && name != "dtype" && name != "shape" && name != "data_offsets") {
      return refuse(fmt::format("the unknown key '{}'{}", name, inside()));
    }
    return true;
  }

  bool string(std::string& value) override {
    if (place_ == Place::metadata) {
      metadata[key_] = value;
      return true;
    }
    if (place_ != Place::entry || key_ != "dtype") return refuse(where() + " is a string");
    const auto* found = std::find_if(kDtypes.begin(), kDtypes.end(), [&](const auto& d) { return d.name == value; });
    if (found == kDtypes.end()) return refuse(fmt::format("the dtype '{}'{} is none of the known", value, inside()));
    entries.back().dtype = found;
    return true;
  }

  bool start_array(size_t) override {
    if (place_ != Place::entry || key_ == "dtype") return refuse(where() + " is an array");
    (key_ == "shape" ? entries.back().has_shape : entries.back().has_offsets) = true;
    return go(Place::numbers);
  }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ != Place::numbers) return refuse(where() + " is a number");
    if (value > kMaxInteger) return refuse(fmt::format("{} in {} is larger than 2^48", value, where()));
    std::vector<uint64_t>& numbers = key_ == "shape" ? entries.back().shape : entries.back().offsets;
    if (numbers.size() == kMaxRank) return refuse(fmt::format("{} has more than {} numbers", where(), kMaxRank));
    numbers.push_back(value);
    return true;
  }

  bool end_array() override { return go(Place::entry); }

  bool end_object() override {
    if (place_ == Place::entry) {
      const Entry& entry = entries.back();
      const char* missing = entry.dtype == nullptr ? "dtype"
                            : !entry.has_shape     ? "shape"
                            : !entry.has_offsets   ? "data_offsets"
                                                   : nullptr;
      if (missing != nullptr) return refuse(fmt::format("'{}' is missing{}", missing, inside()));
      if (entry.offsets.size() != 2) return refuse(fmt::format("data_offsets{} are not two numbers", inside()));
      seen_fields_.clear();
    }
    return go(place_ == Place::names ? Place::outside : Place::names);
  }

  bool null() override { return refuse(where() + " is null"); }
  bool boolean(bool) override { return refuse(where() + " is a boolean"); }
  bool number_integer(number_integer_t value) override {
    return refuse(fmt::format("{} in {} is negative", value, where()));
  }
  bool number_float(number_float_t, const std::string& text) override {
    return refuse(fmt::format("{} in {} is not an integer of 64 bits", text, where()));
  }
  bool binary(binary_t&) override { return refuse(where() + " is binary"); }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return refuse(fmt::format("no JSON in UTF-8 at byte {}", position));
  }

 private:
  enum class Place { outside, names, metadata, entry, numbers };

  bool go(Place place) {
    place_ = place;
    return true;
  }
  bool refuse(const std::string& what) {
    mistake = what;
    return false;
  }
  std::string inside() const {
    if (place_ == Place::metadata) return fmt::format(" in {}", kMetadata);
    return place_ == Place::names || place_ == Place::outside ? "" : fmt::format(" of '{}'", entries.back().name);
  }
  std::string where() const { return place_ == Place::outside ? "the whole" : fmt::format("'{}'{}", key_, inside()); }

  Place place_ = Place::outside;
  std::string key_;
  std::set<std::string> seen_names_;
  std::set<std::string> seen_fields_;  // of the entry
};

[[noreturn]] void refuse(const fs::path& path, std::string why) {
  // What a damaged file says is quoted, and must neither break the line nor reach the terminal as an escape.
  std::replace_if(why.begin(), why.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
  if (why.size() > 400) why = why.substr(0, 400) + "...";
  throw RunError(fmt::format("{} is damaged or no safetensors file: {}", path.string(), why));
}

/// Bytes of a tensor of this shape; nothing when they, or LibTorch's strides, would not fit in an int64_t.
std::optional<uint64_t> byte_size(const Entry& entry) {
  uint64_t product = entry.dtype->size;
  bool is_empty = false;
  for (const uint64_t dim : entry.shape) {
    is_empty = is_empty || dim == 0;
    if (dim == 0) continue;
    if (product > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) / dim) return std::nullopt;
    product *= dim;
  }
  return is_empty ? 0 : product;
}

/// The data are the tensors, one after the other: no hole, no overlap, nothing left over.
void check_layout(const fs::path& path, Header& header, uint64_t data_size) {
  std::stable_sort(header.entries.begin(), header.entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin(), a.end()) < std::pair(b.begin(), b.end());
  });
  uint64_t position = 0;
  for (const Entry& entry : header.entries) {
    const auto size = byte_size(entry);
    if (!size) refuse(path, fmt::format("the shape of '{}' overflows", entry.name));
    if (entry.end() < entry.begin()) refuse(path, fmt::format("'{}' ends before it begins", entry.name));
    if (entry.size() != *size) {
      refuse(path, fmt::format("'{}' has {} bytes, but its shape and dtype make {}", entry.name, entry.size(), *size));
    }
    if (entry.begin() != position) {
      refuse(path, fmt::format("'{}' begins at byte {} of the data, wanted {}: {}", entry.name, entry.begin(), position,
                               entry.begin() > position ? "a hole" : "an overlap"));
    }
    position = entry.end();
  }
  if (position != data_size) {
    refuse(path, fmt::format("{} bytes of data, but its tensors make {}", data_size, position));
  }
}

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

  if (!text.starts_with('{')) refuse(path, "its header does not begin with '{'");
  // The parser takes a NUL for the end of its input, and any white space for padding.
  if (text.find('\0') != std::string::npos) refuse(path, "a NUL character in its header");
  if (text[text.find_last_not_of(' ')] != '}') refuse(path, "its header does not end with '}' and spaces");
  HeaderParser parser;
  if (!Json::sax_parse(text, &parser)) refuse(path, "its header has " + parser.mistake);

  Header header{std::move(parser.entries), std::move(parser.metadata), 8 + length};
  check_layout(path, header, input.size() - header.data_begin);
  return header;
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

}  // namespace genzoo
