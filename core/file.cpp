#include "core/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "core/error.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const char* doing, const fs::path& path, int error) {
  throw RunError(fmt::format("cannot {} {}: {}", doing, path.string(), std::generic_category().message(error)));
}

class Descriptor final {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  operator int() const { return number_; }  // NOLINT(google-explicit-constructor): it is one
  int release() { return std::exchange(number_, -1); }

 private:
  int number_;
};

int open_file(const fs::path& path, int flags) {
  int descriptor = -1;
  do {
    descriptor = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  } while (descriptor < 0 && errno == EINTR);
  return descriptor;
}

// Returns 0 or the error.
int write_all(int descriptor, const char* bytes, size_t size) {
  while (size > 0) {
    const ssize_t written = ::write(descriptor, bytes, size);
    if (written < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    bytes += written;
    size -= static_cast<size_t>(written);
  }
  return 0;
}

// Returns the number of bytes read, fewer than size only at the end; throws RunError.
size_t read_up_to(int descriptor, char* bytes, size_t size, const fs::path& path) {
  size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(descriptor, bytes + done, size - done);
    if (got < 0) {
      if (errno == EINTR) continue;
      fail("read", path, errno);
    }
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

fs::path parent_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

void make_folders(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error && !fs::is_directory(folder)) fail("make the folder", folder, error.value());
}

// Pipes and devices have no fsync and answer EINVAL; what they take is out of our hands anyway.
void sync(int descriptor, const fs::path& path) {
  if (::fsync(descriptor) != 0 && errno != EINVAL && errno != ENOTSUP) fail("write", path, errno);
}

// A file beside its target that becomes the target at the end, or vanishes. Its name depends on the target's alone, so
// what a killed program left is overwritten by the next write and does not pile up; a lock keeps two writers apart.
class PartialFile final {
 public:
  explicit PartialFile(const fs::path& target) : target_(target), descriptor_(open_locked()) {
    if (::ftruncate(descriptor_, 0) != 0) fail("write", target_, errno);
  }
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;
  ~PartialFile() {
    if (!renamed_) ::unlink(path_.c_str());
  }

  void write(const void* bytes, size_t size) {
    if (const int error = write_all(descriptor_, static_cast<const char*>(bytes), size)) fail("write", target_, error);
  }

  void become_target() {
    sync(descriptor_, target_);
    if (::rename(path_.c_str(), target_.c_str()) != 0) fail("write", target_, errno);
    renamed_ = true;
    const fs::path folder = parent_of(target_);
    const Descriptor opened(open_file(folder, O_RDONLY | O_DIRECTORY));
    if (opened < 0) fail("open the folder", folder, errno);
    sync(opened, folder);
  }

 private:
  int open_locked() {
    for (int writer = 0;;) {
      path_ = parent_of(target_) /
              fmt::format(".{}.partial{}", target_.filename().string(), writer == 0 ? "" : std::to_string(writer));
      Descriptor opened(open_file(path_, O_WRONLY | O_CREAT | O_NOFOLLOW));
      if (opened < 0) fail("write", target_, errno);
      if (::flock(opened, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        ++writer;
        continue;
      }
      // Between our open and our lock its writer may have finished and renamed it: then it is not ours to write to.
      struct stat ours {};
      struct stat named {};
      if (::fstat(opened, &ours) == 0 && ::stat(path_.c_str(), &named) == 0 && ours.st_ino == named.st_ino &&
          ours.st_dev == named.st_dev) {
        return opened.release();
      }
    }
  }

  fs::path target_;
  fs::path path_;
  Descriptor descriptor_;
  bool renamed_ = false;
};

std::string digest_hex(EVP_MD_CTX* context) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (EVP_DigestFinal_ex(context, digest.data(), &size) != 1) throw RunError("OpenSSL cannot finish a digest");
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

EVP_MD_CTX* start_digest(const EVP_MD* kind, const char* name) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  if (context == nullptr || EVP_DigestInit_ex(context, kind, nullptr) != 1) {
    EVP_MD_CTX_free(context);
    throw RunError(fmt::format("OpenSSL of this machine offers no {} digest", name));
  }
  return context;
}

std::string digest_of_file(const fs::path& path, const EVP_MD* kind, const char* name) {
  const Descriptor file(open_file(path, O_RDONLY));
  if (file < 0) fail("read", path, errno);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(start_digest(kind, name), &EVP_MD_CTX_free);
  std::vector<char> piece(size_t{1} << 20);
  while (const size_t size = read_up_to(file, piece.data(), piece.size(), path)) {
    if (EVP_DigestUpdate(context.get(), piece.data(), size) != 1) throw RunError("OpenSSL cannot go on with a digest");
  }
  return digest_hex(context.get());
}

}  // namespace

void write_file_whole(const fs::path& path, const std::function<void(const Sink&)>& write) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::is_directory(status)) throw RunError(fmt::format("cannot write {}: it is a folder", path.string()));
  if (fs::exists(status) && !fs::is_regular_file(status)) {  // /dev/stdout, a pipe: nothing to be renamed over
    const Descriptor device(open_file(path, O_WRONLY));
    if (device < 0) fail("write", path, errno);
    write([&](const void* bytes, size_t size) {
      if (const int failed = write_all(device, static_cast<const char*>(bytes), size)) fail("write", path, failed);
    });
    return;
  }
  // Through a link to the file it names, so that the link stays one.
  const fs::path target = fs::is_symlink(path, error) && fs::exists(status) ? fs::canonical(path) : path;
  make_folders(parent_of(target));
  PartialFile file(target);
  write([&](const void* bytes, size_t size) { file.write(bytes, size); });
  file.become_target();
}

void write_file_whole(const fs::path& path, std::string_view text) {
  write_file_whole(path, [&](const Sink& sink) { sink(text.data(), text.size()); });
}

std::string read_file(const fs::path& path, uint64_t limit) {
  const Descriptor file(open_file(path, O_RDONLY));
  if (file < 0) {
    if (errno == ENOENT || errno == ENOTDIR) throw UsageError(fmt::format("there is no file {}", path.string()));
    fail("read", path, errno);
  }
  struct stat status {};
  if (::fstat(file, &status) != 0) fail("read", path, errno);
  const auto refuse = [&] {
    throw RunError(fmt::format("cannot read {}: larger than the {} bytes allowed here", path.string(), limit));
  };
  if (S_ISREG(status.st_mode) && static_cast<uint64_t>(status.st_size) > limit) refuse();
  // A pipe, or a file that grows meanwhile, has no size to go by: read on until the end.
  std::string bytes;
  size_t piece = S_ISREG(status.st_mode) ? static_cast<size_t>(status.st_size) + 1 : size_t{1} << 16;
  for (;;) {
    const size_t before = bytes.size();
    bytes.resize(before + piece);
    const size_t got = read_up_to(file, bytes.data() + before, piece, path);
    bytes.resize(before + got);
    if (bytes.size() > limit) refuse();
    if (got < piece) return bytes;
    piece = size_t{1} << 16;
  }
}

namespace {

// The size of the file up to and including its last newline.
off_t whole_lines(int descriptor, off_t size, const fs::path& path) {
  std::array<char, 4096> piece{};
  for (off_t end = size; end > 0;) {
    const off_t begin = end > static_cast<off_t>(piece.size()) ? end - static_cast<off_t>(piece.size()) : 0;
    const ssize_t got = ::pread(descriptor, piece.data(), static_cast<size_t>(end - begin), begin);
    if (got != end - begin) fail("read", path, got < 0 ? errno : EIO);
    const size_t newline = std::string_view(piece.data(), static_cast<size_t>(got)).rfind('\n');
    if (newline != std::string_view::npos) return begin + static_cast<off_t>(newline) + 1;
    end = begin;
  }
  return 0;
}

}  // namespace

AppendedLines::AppendedLines(const fs::path& path) : path_(path) {
  make_folders(parent_of(path));
  Descriptor opened(open_file(path, O_RDWR | O_CREAT | O_APPEND));
  struct stat status {};
  if (opened < 0 || ::fstat(opened, &status) != 0) fail("write", path, errno);
  if (S_ISREG(status.st_mode)) {
    const off_t whole = whole_lines(opened, status.st_size, path);
    if (whole != status.st_size && ::ftruncate(opened, whole) != 0) fail("write", path, errno);
  }
  descriptor_ = opened.release();
}

AppendedLines::AppendedLines(AppendedLines&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

AppendedLines::~AppendedLines() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void AppendedLines::write(std::string_view line) {
  const off_t before = ::lseek(descriptor_, 0, SEEK_END);
  std::string bytes(line);
  bytes += '\n';
  if (const int error = write_all(descriptor_, bytes.data(), bytes.size())) {
    // A full disk may have taken a part of the line: the file ends in whole lines, as far as the system lets it.
    [[maybe_unused]] const int ignored = ::ftruncate(descriptor_, before);
    fail("write", path_, error);
  }
}

void AppendedLines::sync() const {
  if (::fdatasync(descriptor_) != 0 && errno != EINVAL && errno != EROFS) fail("write", path_, errno);
}

std::optional<FolderLock> FolderLock::try_lock(const fs::path& folder) {
  make_folders(folder);
  const fs::path path = folder / ".lock";
  Descriptor opened(open_file(path, O_RDWR | O_CREAT));
  if (opened < 0) fail("lock", folder, errno);
  // is_locked() of another process holds a shared lock for a moment: one refusal is not yet an answer.
  for (int attempt = 0; attempt < 10; ++attempt) {
    if (::flock(opened, LOCK_EX | LOCK_NB) == 0) return FolderLock(opened.release());
    if (errno != EWOULDBLOCK && errno != EINTR) fail("lock", folder, errno);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return std::nullopt;
}

FolderLock::FolderLock(FolderLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool is_locked(const fs::path& folder) {
  const Descriptor opened(open_file(folder / ".lock", O_RDONLY));
  return opened >= 0 && ::flock(opened, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

std::string sha256_of_file(const fs::path& path) { return digest_of_file(path, EVP_sha256(), "SHA-256"); }
std::string md5_of_file(const fs::path& path) { return digest_of_file(path, EVP_md5(), "MD5"); }

Sha256::Sha256() : context_(start_digest(EVP_sha256(), "SHA-256")) {}
Sha256::~Sha256() { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_)); }

void Sha256::update(const void* bytes, size_t size) {
  if (EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_), bytes, size) != 1) {
    throw RunError("OpenSSL cannot go on with a digest");
  }
}

std::string Sha256::hex() { return digest_hex(static_cast<EVP_MD_CTX*>(context_)); }

std::string sha256(std::string_view bytes) {
  Sha256 digest;
  digest.update(bytes.data(), bytes.size());
  return digest.hex();
}

}  // namespace genzoo
