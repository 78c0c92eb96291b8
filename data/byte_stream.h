#pragma once
// The bytes of a file, inflated on the way when it is gzip.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace genzoo {

/// Reads a file from front to back. A file that begins as gzip does (RFC 1952) is inflated, member after member, with
/// the checksum and length of each verified. Nothing is allocated for what a file only claims to hold.
class ByteStream final {
 public:
  /// Throws UsageError if there is no such file, RunError if it cannot be read.
  explicit ByteStream(const std::filesystem::path& path);
  ~ByteStream();
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;

  /// Exactly `size` bytes. Throws RunError saying how many were there when it ends before, or what is damaged.
  void read(void* into, size_t size);
  size_t read_up_to(void* into, size_t size);  ///< how many there were: fewer at the end only
  void skip(uint64_t size);
  void skip_rest();  ///< reads to the end, so that the checksum there is verified

  /// Throws RunError unless every byte was read; the checksum of the last gzip member is then verified too.
  void expect_end();

  /// An upper bound of the bytes that are still to come: exact for a plain file; a gzip file of n bytes holds at most
  /// 1032 n (the most deflate can do). Sizes in a header are compared with it before anything is allocated.
  uint64_t at_most() const;

  const std::filesystem::path& path() const { return path_; }

 private:
  struct Inflater;
  size_t read_some(void* into, size_t size);  ///< fewer than `size` at the end only
  [[noreturn]] void damaged(const std::string& what) const;

  std::filesystem::path path_;
  std::string stored_;
  size_t next_ = 0;      ///< of stored_, when it is not gzip
  uint64_t passed_ = 0;  ///< bytes handed out
  std::unique_ptr<Inflater> inflater_;
};

}  // namespace genzoo
