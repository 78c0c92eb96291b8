// CIFAR-10 (Krizhevsky, 2009), binary version: files of 10,000 records, each a label and the planes R, G, B of 32x32
// pixels. https://www.cs.toronto.edu/~kriz/cifar.html

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "data/byte_stream.h"
#include "data/idx.h"
#include "data/images.h"
#include "data/places.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kRecords = 10000;  // of one file
constexpr int64_t kPixels = 3 * 32 * 32;
constexpr int64_t kBytes = kRecords * (1 + kPixels);
constexpr int64_t kClasses = 10;
constexpr const char* kArchive = "cifar-10-binary.tar.gz";
constexpr const char* kFolder = "cifar-10-batches-bin";  // of the files, in the archive

const std::array<std::string, 6> kFiles = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                           "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"};

using Files = std::map<std::string, Tensor>;  // name -> (kRecords, 1 + kPixels) uint8

Tensor read_records(ByteStream& stream) {
  Tensor records = torch::empty({kRecords, 1 + kPixels}, torch::kByte);
  stream.read(records.data_ptr(), kBytes);
  return records;
}

Files read_folder(const fs::path& folder) {
  Files files;
  for (const std::string& name : kFiles) {
    ByteStream stream(plain_or_gzip(folder, name));
    files[name] = read_records(stream);
    stream.expect_end();
  }
  return files;
}

// The size field of a tar header: 12 characters, octal.
uint64_t octal(const char* field, const fs::path& archive) {
  uint64_t size = 0;
  for (int i = 0; i < 12 && field[i] != '\0' && field[i] != ' '; ++i) {
    if (field[i] < '0' || field[i] > '7') {
      throw RunError(fmt::format(
          "{}: a file's size is no octal number; it is damaged or no tar archive: fetch it again", archive.string()));
    }
    size = size * 8 + static_cast<uint64_t>(field[i] - '0');
  }
  return size;
}

// A tar archive is, for each file, a header of 512 bytes (name at 0, size at 124) and the contents, filled up to 512;
// at the end two blocks of zeros.
Files read_archive(const fs::path& archive) {
  constexpr uint64_t kBlock = 512;
  ByteStream stream(archive);
  Files files;
  std::array<char, kBlock> header;
  while (files.size() < kFiles.size()) {
    stream.read(header.data(), header.size());
    if (header[0] == '\0') break;
    const std::string path(header.data(), strnlen(header.data(), 100));
    const uint64_t size = octal(header.data() + 124, archive);
    const std::string name = fs::path(path).filename();
    const bool wanted = std::find(kFiles.begin(), kFiles.end(), name) != kFiles.end();
    if (wanted && size != static_cast<uint64_t>(kBytes)) {
      throw RunError(
          fmt::format("{}: {} has {} bytes, wanted {}; fetch it again", archive.string(), path, size, kBytes));
    }
    if (wanted) files[name] = read_records(stream);
    stream.skip((wanted ? 0 : size) + (kBlock - size % kBlock) % kBlock);
  }
  // To the end: the checksum of the compressed data stands there.
  stream.skip_rest();
  for (const std::string& name : kFiles) {
    if (!files.contains(name)) throw RunError(fmt::format("{}: has no {}; fetch it again", archive.string(), name));
  }
  return files;
}

bool has_all_files(const fs::path& folder) {
  for (const std::string& name : kFiles) {
    if (plain_or_gzip(folder, name).empty()) return false;
  }
  return true;
}

// What the first folder that has the set, in one of its forms, holds; and where that is.
std::pair<Files, fs::path> read_cifar10(const std::string& root, const DataPlaces& places) {
  const std::vector<fs::path> folders = data_folders("cifar10", root, places);
  for (const fs::path& folder : folders) {
    for (const fs::path& candidate : {folder, folder / kFolder}) {
      if (has_all_files(candidate)) return {read_folder(candidate), candidate};
    }
    const fs::path archive = folder / kArchive;
    std::error_code unreadable;
    if (fs::is_regular_file(archive, unreadable)) return {read_archive(archive), archive};
  }
  throw_not_found("cifar10", fmt::format("{}, or {} ... {}", kArchive, kFiles.front(), kFiles.back()), folders,
                  "run `genzoo fetch cifar10`");
}

Examples examples_of(const Tensor& records) {
  return {records.slice(/*dim=*/1, /*start=*/1).reshape({-1, 3, 32, 32}).contiguous(),
          records.select(/*dim=*/1, 0).to(torch::kLong)};
}

}  // namespace

Dataset open(const CIFAR10Config& config, const DataPlaces& places) {
  const auto [files, where] = read_cifar10(config.root, places);
  for (const auto& [name, records] : files) check_labels(records.select(1, 0).to(torch::kLong), kClasses, where / name);
  std::vector<Tensor> batches;
  for (size_t i = 0; i + 1 < kFiles.size(); ++i) batches.push_back(files.at(kFiles[i]));
  const Examples train = examples_of(torch::cat(batches));
  return make_image_dataset("cifar10", train, examples_of(files.at(kFiles.back())), kClasses, config);
}

}  // namespace genzoo
