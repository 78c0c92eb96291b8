#include "core/safetensors_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "core/json.h"

namespace genzoo::safetensors {
namespace {

constexpr uint64_t kMaxInteger = uint64_t{1} << 48;
constexpr size_t kMaxRank = 64;  // LibTorch's iterators take no more

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

[[noreturn]] void refuse(std::string what) { throw Mistake{std::move(what)}; }

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
void check_layout(Header& header, uint64_t data_size) {
  std::stable_sort(header.entries.begin(), header.entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin(), a.end()) < std::pair(b.begin(), b.end());
  });
  uint64_t position = 0;
  for (const Entry& entry : header.entries) {
    const auto size = byte_size(entry);
    if (!size) refuse(fmt::format("the shape of '{}' overflows", entry.name));
    if (entry.end() < entry.begin()) refuse(fmt::format("'{}' ends before it begins", entry.name));
    if (entry.size() != *size) {
      refuse(fmt::format("'{}' has {} bytes, but its shape and dtype make {}", entry.name, entry.size(), *size));
    }
    if (entry.begin() != position) {
      refuse(fmt::format("'{}' begins at byte {} of the data, wanted {}: {}", entry.name, entry.begin(), position,
                         entry.begin() > position ? "a hole" : "an overlap"));
    }
    position = entry.end();
  }
  if (position != data_size) {
    refuse(fmt::format("{} bytes of data, but its tensors make {}", data_size, position));
  }
}

}  // namespace

Header parse_header(const std::string& text, uint64_t data_size) {
  if (!text.starts_with('{')) refuse("its header does not begin with '{'");
  // The parser takes a NUL for the end of its input, and any white space for padding.
  if (text.find('\0') != std::string::npos) refuse("a NUL character in its header");
  if (text[text.find_last_not_of(' ')] != '}') refuse("its header does not end with '}' and spaces");
  HeaderParser parser;
  if (!Json::sax_parse(text, &parser)) refuse("its header has " + parser.mistake);

  Header header{std::move(parser.entries), std::move(parser.metadata)};
  check_layout(header, data_size);
  return header;
}

}  // namespace genzoo::safetensors
