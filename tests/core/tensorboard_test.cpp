#include "core/tensorboard.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "tests/support.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

/// The fields of a protocol buffer message by number: bytes as they are, numbers as text.
std::multimap<uint64_t, std::string> parse(const std::string& message) {
  std::multimap<uint64_t, std::string> fields;
  size_t at = 0;
  const auto varint = [&] {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(message.at(at++));
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const auto raw = [&](auto value) {
    std::memcpy(&value, message.substr(at, sizeof(value)).data(), sizeof(value));
    at += sizeof(value);
    return std::to_string(value);
  };
  while (at < message.size()) {
    const uint64_t tag = varint();
    switch (tag & 7) {
      case 0:
        fields.emplace(tag >> 3, std::to_string(varint()));
        break;
      case 1:
        fields.emplace(tag >> 3, raw(double{}));
        break;
      case 5:
        fields.emplace(tag >> 3, raw(float{}));
        break;
      default: {
        const uint64_t size = varint();
        fields.emplace(tag >> 3, message.substr(at, size));
        at += size;
      }
    }
  }
  return fields;
}

std::string field(const std::string& message, uint64_t number) {
  const auto fields = parse(message);
  const auto found = fields.find(number);
  return found == fields.end() ? "(none)" : found->second;
}

/// The events of the only file in a folder, every CRC checked.
std::vector<std::string> read_events(const fs::path& folder) {
  std::string bytes = read_file(fs::directory_iterator(folder)->path());
  std::vector<std::string> events;
  const auto number = [&](size_t at, auto value) {
    std::memcpy(&value, bytes.substr(at, sizeof(value)).data(), sizeof(value));
    return value;
  };
  const auto masked = [](const std::string& s) {
    const uint32_t crc = crc32c(s.data(), s.size());
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8U;
  };
  for (size_t at = 0; at < bytes.size();) {
    const uint64_t size = number(at, uint64_t{});
    CHECK(number(at + 8, uint32_t{}) == masked(bytes.substr(at, 8)));
    events.push_back(bytes.substr(at + 12, size));
    CHECK(number(at + 12 + size, uint32_t{}) == masked(events.back()));
    at += 16 + size;
  }
  return events;
}

TEST_CASE("crc32c gives the published checks", "[core]") {
  CHECK(crc32c("123456789", 9) == 0xe3069283U);
  // RFC 3720, appendix B.4.
  const std::string zeros(32, '\0'), ones(32, '\xff');
  CHECK(crc32c(zeros.data(), 32) == 0x8a9136aaU);
  CHECK(crc32c(ones.data(), 32) == 0x62a8ab43U);
  CHECK(crc32c("", 0) == 0);
}

TEST_CASE("an event file begins as TensorBoard wants it", "[core]") {
  const TempDir dir;
  const EventWriter writer(dir / "run");
  const std::string name = fs::directory_iterator(dir / "run")->path().filename().string();
  CHECK_THAT(name, Catch::Matchers::Matches("events\\.out\\.tfevents\\.[0-9]{10}\\..+\\.[0-9]+\\.[0-9]+"));
  const auto events = read_events(dir / "run");
  REQUIRE(events.size() == 1);
  CHECK(field(events[0], 3) == "brain.Event:2");
  CHECK_THAT(std::stod(field(events[0], 1)), Catch::Matchers::WithinAbs(static_cast<double>(time(nullptr)), 60));
}

TEST_CASE("a resumed run tells readers to drop what came after", "[core]") {
  const TempDir dir;
  const EventWriter writer(dir.path(), 300);
  const auto events = read_events(dir.path());
  REQUIRE(events.size() == 2);
  CHECK(field(events[1], 2) == "300");
  CHECK(field(field(events[1], 7), 1) == "1");
}

TEST_CASE("scalars, images and texts are events with their steps, there at once", "[core]") {
  const TempDir dir;
  EventWriter writer(dir.path());
  writer.scalar("train/loss", 100, 0.5);
  writer.image("samples", 200, "PNG bytes", 64, 32, 3);
  writer.text("samples", int64_t{1} << 40, "In the beginning");
  const auto events = read_events(dir.path());
  REQUIRE(events.size() == 4);

  const std::string scalar = field(field(events[1], 5), 1);
  CHECK(field(events[1], 2) == "100");
  CHECK(field(scalar, 1) == "train/loss");
  CHECK(field(scalar, 2) == "0.500000");

  const std::string image = field(field(field(events[2], 5), 1), 4);
  CHECK(field(image, 1) == "32");
  CHECK(field(image, 2) == "64");
  CHECK(field(image, 3) == "3");
  CHECK(field(image, 4) == "PNG bytes");

  const std::string text = field(field(events[3], 5), 1);
  CHECK(field(events[3], 2) == "1099511627776");
  CHECK(field(text, 1) == "samples");
  CHECK(field(field(field(text, 9), 1), 1) == "text");
  CHECK(field(field(text, 8), 1) == "7");
  CHECK(field(field(field(field(text, 8), 2), 2), 1) == "1");
  CHECK(field(field(text, 8), 8) == "In the beginning");
}

/// Packed doubles.
std::vector<double> doubles(const std::string& bytes) {
  std::vector<double> numbers(bytes.size() / sizeof(double));
  std::memcpy(numbers.data(), bytes.data(), numbers.size() * sizeof(double));
  return numbers;
}

TEST_CASE("a histogram counts each value in TensorFlow's bucket", "[core][tensorboard]") {
  const TempDir dir;
  EventWriter writer(dir.path());
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();
  writer.histogram("weights/a", 3, std::vector<float>{kNaN, -kInfinity, kInfinity});  // nothing to tell
  writer.histogram("weights/a", 7, std::vector<float>{0.5F, -2.F, 0.F, 0.5F, kNaN, 1e-13F, kInfinity});
  const auto events = read_events(dir.path());
  REQUIRE(events.size() == 2);
  CHECK(field(events[1], 2) == "7");
  const std::string value = field(field(events[1], 5), 1);
  CHECK(field(value, 1) == "weights/a");
  const std::string histogram = field(value, 5);
  CHECK(field(histogram, 1) == "-2.000000");
  CHECK(field(histogram, 2) == "0.500000");
  CHECK(field(histogram, 3) == "5.000000");
  CHECK(field(histogram, 4) == "-1.000000");
  CHECK(field(histogram, 5) == "4.500000");

  const std::vector<double> limits = doubles(field(histogram, 6)), counts = doubles(field(histogram, 7));
  REQUIRE(limits.size() == counts.size());
  CHECK(std::ranges::is_sorted(limits));
  // Empty, -2, empty, 0 and 1e-13 in the one above zero, empty, both halves: runs of empty buckets are one.
  CHECK(counts == std::vector<double>{0, 1, 0, 2, 0, 2});
  const auto within = [](double low, double x, double high) { return low <= x && x < high; };
  CHECK(within(limits[0], -2, limits[1]));
  CHECK(std::abs(limits[0] / limits[1] - 1.1) < 1e-9);
  CHECK(limits[2] == 0);
  CHECK(limits[3] == 1e-12);
  CHECK(within(limits[4], 0.5, limits[5]));
  CHECK(std::abs(limits[5] / limits[4] - 1.1) < 1e-9);
  // 1e-12 times a power of 1.1, the same numbers in every file.
  CHECK(std::abs(std::remainder(std::log(limits[5] / 1e-12) / std::log(1.1), 1.0)) < 1e-6);
}

TEST_CASE("two writers of one second have files of their own", "[core]") {
  const TempDir dir;
  const EventWriter first(dir.path()), second(dir.path()), third(dir.path());
  CHECK(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()) == 3);
  CHECK_THROWS_AS(EventWriter("/dev/null/run"), RunError);
}

}  // namespace
}  // namespace genzoo
