#pragma once
// TensorBoard event files, written natively: scalars, image grids, text, histograms.

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace genzoo {

/// CRC-32C (Castagnoli) of bytes; "123456789" gives 0xE3069283.
uint32_t crc32c(const void* bytes, size_t size);

/// Appends to events.out.tfevents.<seconds>.<host>.<pid>.<n> in a folder. Each record is flushed whole.
class EventWriter final {
 public:
  /// A new file. When `resumed_at` >= 0 its second event tells readers to drop what was written at or after that step.
  explicit EventWriter(const std::filesystem::path& folder, int64_t resumed_at = -1);  ///< throws RunError
  ~EventWriter();
  EventWriter(const EventWriter&) = delete;
  EventWriter& operator=(const EventWriter&) = delete;

  void scalar(const std::string& tag, int64_t step, double value);
  /// A description is shown beside the picture.
  void image(const std::string& tag, int64_t step, std::string_view png, int64_t width, int64_t height,
             int64_t channels, std::string_view description = "");
  void text(const std::string& tag, int64_t step, const std::string& text);
  /// How the finite ones among the values are distributed, in TensorFlow's buckets: a tenth wider each than the one
  /// before, from 1e-12 to 1e20, on either side of zero. Nothing is written when no value is finite.
  void histogram(const std::string& tag, int64_t step, std::span<const float> values);

 private:
  void record(const std::string& event);
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace genzoo
