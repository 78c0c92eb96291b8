// The event file format of TensorBoard: records around protocol buffers of type tensorflow.Event, encoded here by hand
// (github.com/tensorflow/tensorboard: tensorboard/compat/proto/{event,summary,tensor}.proto).

#include "core/tensorboard.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <limits>
#include <system_error>
#include <vector>

#include "core/error.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "numbers are written as they lie in memory");

constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
    table[byte] = crc;
  }
  return table;
}

constexpr std::array<uint32_t, 256> kCrcTable = make_crc_table();

// TensorFlow's "masked" CRC: of a string that may itself hold CRCs.
uint32_t masked_crc(const std::string& bytes) {
  return std::rotr(crc32c(bytes.data(), bytes.size()), 15) + 0xa282ead8U;
}

/// A protocol buffer message under construction, field by field in the order of the calls.
class Message final {
 public:
  Message& integer(uint32_t field, int64_t value) {
    tag(field, 0);
    varint(static_cast<uint64_t>(value));
    return *this;
  }
  Message& float64(uint32_t field, double value) {
    tag(field, 1);
    append_raw(bytes_, value);
    return *this;
  }
  Message& float32(uint32_t field, float value) {
    tag(field, 5);
    append_raw(bytes_, value);
    return *this;
  }
  Message& bytes(uint32_t field, std::string_view value) {
    tag(field, 2);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  Message& message(uint32_t field, const Message& value) { return bytes(field, value.bytes_); }
  const std::string& encoded() const { return bytes_; }

  template <class T>
  static void append_raw(std::string& to, T value) {
    to.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }

 private:
  void tag(uint32_t field, uint32_t wire_type) { varint(field << 3 | wire_type); }
  void varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

Message new_event() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return Message().float64(1, std::chrono::duration<double>(now).count());
}

/// The upper ends of TensorFlow's default buckets, rising; the last one is the largest number there is.
/// (github.com/tensorflow/tensorflow: tensorflow/core/lib/histogram/histogram.cc, InitDefaultBucketsInner)
const std::vector<double>& bucket_limits() {
  static const std::vector<double> limits = [] {
    constexpr double kLargest = std::numeric_limits<double>::max();
    std::vector<double> positive;
    for (double v = 1e-12; v < 1e20; v *= 1.1) positive.push_back(v);
    positive.push_back(kLargest);
    std::vector<double> all;
    for (size_t i = positive.size(); i-- > 0;) all.push_back(-positive[i]);
    all.push_back(0.0);
    all.insert(all.end(), positive.begin(), positive.end());
    return all;
  }();
  return limits;
}

/// tensorflow.HistogramProto of finite values.
struct Histogram {
  explicit Histogram(std::span<const float> values) : counts(bucket_limits().size(), 0.0) {
    const std::vector<double>& limits = bucket_limits();
    for (const float value : values) {
      if (!std::isfinite(value)) continue;
      const double v = value;
      smallest = num == 0 ? v : std::min(smallest, v);
      largest = num == 0 ? v : std::max(largest, v);
      num += 1;
      sum += v;
      squares += v * v;
      counts[static_cast<size_t>(std::upper_bound(limits.begin(), limits.end(), v) - limits.begin())] += 1;
    }
  }

  /// Neighbouring empty buckets become one, those behind the last value none.
  Message encoded() const {
    const std::vector<double>& limits = bucket_limits();
    std::string ends, held;
    const auto last = static_cast<size_t>(std::upper_bound(limits.begin(), limits.end(), largest) - limits.begin());
    for (size_t i = 0; i <= last; ++i) {
      if (counts[i] == 0 && i < last && counts[i + 1] == 0) continue;
      Message::append_raw(ends, limits[i]);
      Message::append_raw(held, counts[i]);
    }
    return Message()
        .float64(1, smallest)
        .float64(2, largest)
        .float64(3, num)
        .float64(4, sum)
        .float64(5, squares)
        .bytes(6, ends)
        .bytes(7, held);
  }

  std::vector<double> counts;  ///< of values at or above the limit before, below this one
  double smallest = 0, largest = 0, num = 0, sum = 0, squares = 0;
};

std::string summary_event(int64_t step, const Message& value) {
  return new_event().integer(2, step).message(5, Message().message(1, value)).encoded();
}

}  // namespace

uint32_t crc32c(const void* bytes, size_t size) {
  const auto* byte = static_cast<const unsigned char*>(bytes);
  uint32_t crc = 0xffffffffU;
  for (size_t i = 0; i < size; ++i) crc = (crc >> 8) ^ kCrcTable[(crc ^ byte[i]) & 0xff];
  return ~crc;
}

EventWriter::EventWriter(const fs::path& folder, int64_t resumed_at) {
  std::error_code error;
  fs::create_directories(folder, error);
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0 || host[0] == '\0') host = {"localhost"};
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  for (int n = 0; descriptor_ < 0; ++n) {
    path_ = folder / fmt::format("events.out.tfevents.{:010}.{}.{}.{}", seconds, host.data(), ::getpid(), n);
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
    if (descriptor_ < 0 && errno != EEXIST) {
      throw RunError(fmt::format("cannot write {}: {}", path_.string(), std::generic_category().message(errno)));
    }
  }
  try {
    record(new_event().bytes(3, "brain.Event:2").encoded());
    // SessionLog{status: START}: readers forget what an earlier file has at this step or later.
    if (resumed_at >= 0) record(new_event().integer(2, resumed_at).message(7, Message().integer(1, 1)).encoded());
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

EventWriter::~EventWriter() { ::close(descriptor_); }

void EventWriter::scalar(const std::string& tag, int64_t step, double value) {
  record(summary_event(step, Message().bytes(1, tag).float32(2, static_cast<float>(value))));
}

void EventWriter::image(const std::string& tag, int64_t step, std::string_view png, int64_t width, int64_t height,
                        int64_t channels, std::string_view description) {
  const Message image = Message().integer(1, height).integer(2, width).integer(3, channels).bytes(4, png);
  Message value = Message().bytes(1, tag).message(4, image);
  if (!description.empty()) value.message(9, Message().bytes(3, description));  // SummaryMetadata
  record(summary_event(step, value));
}

void EventWriter::text(const std::string& tag, int64_t step, const std::string& text) {
  constexpr int kString = 7;  // of tensorflow.DataType
  const Message shape = Message().message(2, Message().integer(1, 1));
  const Message tensor = Message().integer(1, kString).message(2, shape).bytes(8, text);
  const Message metadata = Message().message(1, Message().bytes(1, "text"));
  record(summary_event(step, Message().bytes(1, tag).message(8, tensor).message(9, metadata)));
}

void EventWriter::histogram(const std::string& tag, int64_t step, std::span<const float> values) {
  const Histogram found(values);
  if (found.num > 0) record(summary_event(step, Message().bytes(1, tag).message(5, found.encoded())));
}

void EventWriter::record(const std::string& event) {
  std::string bytes;
  Message::append_raw(bytes, static_cast<uint64_t>(event.size()));
  Message::append_raw(bytes, masked_crc(bytes));
  bytes += event;
  Message::append_raw(bytes, masked_crc(event));
  // In one call, so that a record is in the file whole or not at all unless the disk is full; then what was taken of
  // it is cut off again.
  const off_t before = ::lseek(descriptor_, 0, SEEK_END);
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t written = ::write(descriptor_, bytes.data() + done, bytes.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int error = errno;
      [[maybe_unused]] const int ignored = ::ftruncate(descriptor_, before);
      throw RunError(fmt::format("cannot write {}: {}", path_.string(), std::generic_category().message(error)));
    }
    done += static_cast<size_t>(written);
  }
}

}  // namespace genzoo
