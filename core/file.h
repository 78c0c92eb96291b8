#pragma once
// Files that are whole or not there, and folders only one process writes to.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace genzoo {

/// Receives the bytes of a file in order.
using Sink = std::function<void(const void* bytes, size_t size)>;

/// Writes a file so that it is whole or not there: a temporary name in the same folder, every write checked, fsync,
/// rename, fsync of the folder. `write` is called once with the sink. Parent folders are made. Throws RunError naming
/// the path and the system's reason (full disk, no permission); then nothing that was there is changed and no temporary
/// file is left.
void write_file_whole(const std::filesystem::path& path, const std::function<void(const Sink&)>& write);
void write_file_whole(const std::filesystem::path& path, std::string_view text);

/// The bytes of a file. Throws UsageError if there is none, RunError if it cannot be read or is larger than `limit`.
std::string read_file(const std::filesystem::path& path, uint64_t limit = uint64_t{1} << 34);

/// Lines appended to a file, each flushed to the system at once, so that a killed program loses none it wrote.
/// A last line without its newline (a write cut short) is dropped when the file is opened again.
class AppendedLines final {
 public:
  explicit AppendedLines(const std::filesystem::path& path);  ///< throws RunError
  AppendedLines(AppendedLines&&) noexcept;
  AppendedLines& operator=(AppendedLines&&) = delete;
  ~AppendedLines();
  void write(std::string_view line);  ///< without its newline; throws RunError
  void sync() const;                  ///< waits until all lines would survive a power cut

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

/// A kernel lock on a folder (flock of the file `.lock` in it), held until destroyed; kill -9 frees it.
class FolderLock final {
 public:
  /// Nothing when another process holds it. Makes the folder. Throws RunError when it cannot be written to.
  static std::optional<FolderLock> try_lock(const std::filesystem::path& folder);
  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&&) = delete;
  ~FolderLock();

 private:
  explicit FolderLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

/// Whether another process holds the folder's lock now. Changes nothing.
bool is_locked(const std::filesystem::path& folder);

/// Lower-case hex digests of a file, read in pieces. Throw RunError.
std::string sha256_of_file(const std::filesystem::path& path);
std::string md5_of_file(const std::filesystem::path& path);
std::string sha256(std::string_view bytes);  ///< of bytes in memory

/// Lower-case hex SHA-256 computed piece by piece.
class Sha256 final {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void update(const void* bytes, size_t size);
  std::string hex();  ///< once, at the end

 private:
  void* context_;
};

}  // namespace genzoo
