#include "core/mapped_safetensors.h"

#include <ATen/ops/from_blob.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "core/safetensors_header.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;
using safetensors::refuse;

/// A file in memory as the system keeps it.
class Mapping final {
 public:
  explicit Mapping(const fs::path& path) {
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0 && errno == ENOENT) throw UsageError(fmt::format("there is no file {}", path.string()));
    struct stat status {};
    if (file < 0 || fstat(file, &status) != 0) fail(path, file, errno);
    if (!S_ISREG(status.st_mode)) fail(path, file, EISDIR);
    size_ = static_cast<size_t>(status.st_size);
    if (size_ > 0) bytes_ = mmap(nullptr, size_, PROT_READ, MAP_SHARED, file, 0);
    if (bytes_ == MAP_FAILED) fail(path, file, errno);
    close(file);
  }
  ~Mapping() {
    if (size_ > 0) munmap(bytes_, size_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  size_t size() const { return size_; }
  char* bytes() const { return static_cast<char*>(bytes_); }

 private:
  [[noreturn]] static void fail(const fs::path& path, int file, int error) {
    if (file >= 0) close(file);
    throw RunError(fmt::format("cannot read {}: {}", path.string(), std::generic_category().message(error)));
  }

  size_t size_ = 0;
  void* bytes_ = nullptr;
};

}  // namespace

TensorFile map_safetensors(const fs::path& path) {
  const auto mapping = std::make_shared<const Mapping>(path);
  uint64_t length = 0;
  if (mapping->size() < sizeof(length)) refuse(path, fmt::format("{} bytes, wanted at least 8", mapping->size()));
  std::memcpy(&length, mapping->bytes(), sizeof(length));
  const uint64_t rest = mapping->size() - sizeof(length);
  if (length > rest || length > safetensors::kMaxHeader) {
    refuse(path, fmt::format("a header of {} bytes in a file of {}: cut short?", length, mapping->size()));
  }
  safetensors::Header header;
  try {
    header = safetensors::parse_header(std::string(mapping->bytes() + sizeof(length), length), rest - length);
  } catch (const safetensors::Mistake& mistake) {
    refuse(path, mistake.what);
  }
  TensorFile file{{}, std::move(header.metadata)};
  char* data = mapping->bytes() + sizeof(length) + length;
  for (const safetensors::Entry& entry : header.entries) {
    // Elements must lie as their type wants them; bools would have to be looked at, each of them.
    if ((sizeof(length) + length + entry.begin()) % entry.dtype->size != 0 || entry.dtype->dtype == torch::kBool) {
      refuse(path, fmt::format("'{}' cannot be used where it lies; write the file anew", entry.name));
    }
    file.tensors.emplace(entry.name, at::from_blob(
                                         data + entry.begin(), entry.sizes(), [mapping](void*) {},
                                         at::TensorOptions().dtype(entry.dtype->dtype)));
  }
  return file;
}

}  // namespace genzoo
