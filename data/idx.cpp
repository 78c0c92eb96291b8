#include "data/idx.h"

#include <fmt/ranges.h>
#include <torch/types.h>

#include <array>
#include <vector>

#include "core/error.h"
#include "data/byte_stream.h"

namespace genzoo {
namespace {

constexpr uint32_t kUnsignedByte = 0x08;  // the third byte of the magic number: the type of the elements

uint32_t read_big_endian(ByteStream& stream) {
  std::array<unsigned char, 4> b;
  stream.read(b.data(), b.size());
  return uint32_t{b[0]} << 24 | uint32_t{b[1]} << 16 | uint32_t{b[2]} << 8 | uint32_t{b[3]};
}

}  // namespace

Tensor read_idx(const std::filesystem::path& path, int64_t dims) {
  ByteStream stream(path);
  const uint32_t magic = read_big_endian(stream);
  const uint32_t wanted = kUnsignedByte << 8 | static_cast<uint32_t>(dims);
  if (magic != wanted) {
    throw RunError(
        fmt::format("{}: magic number 0x{:08x}, wanted 0x{:08x} (IDX, bytes, {} dimension{}); "
                    "it is another file: fetch or copy it again",
                    path.string(), magic, wanted, dims, dims == 1 ? "" : "s"));
  }
  std::vector<int64_t> shape;
  const auto at_most = static_cast<int64_t>(stream.at_most());  // of the whole file: below 2^43
  int64_t bytes = 1;
  bool too_many = false;
  for (int64_t i = 0; i < dims; ++i) {
    shape.push_back(read_big_endian(stream));
    too_many = too_many || shape.back() == 0 || shape.back() > at_most / bytes;
    if (!too_many) bytes *= shape.back();
  }
  if (too_many) {
    throw RunError(
        fmt::format("{}: its header says {} bytes, the file can hold 1 to {}; "
                    "it is damaged: fetch or copy it again",
                    path.string(), fmt::join(shape, " x "), at_most));
  }
  Tensor array = torch::empty(shape, torch::kByte);
  stream.read(array.data_ptr(), static_cast<size_t>(bytes));
  stream.expect_end();
  return array;
}

void check_labels(const Tensor& labels, int64_t classes, const std::filesystem::path& path) {
  const int64_t largest = labels.max().item<int64_t>();
  if (labels.min().item<int64_t>() < 0 || largest >= classes) {
    throw RunError(fmt::format("{}: label {}, wanted 0 to {}; it is damaged or another file: fetch or copy it again",
                               path.string(), largest, classes - 1));
  }
}

LabelledImages read_idx_images(const std::filesystem::path& images, const std::filesystem::path& labels,
                               int64_t classes) {
  LabelledImages read{read_idx(images, 3).unsqueeze(/*dim=*/1), read_idx(labels, 1).to(torch::kLong)};
  if (read.x.size(0) != read.y.size(0)) {
    throw RunError(fmt::format("{}: {} labels, wanted {}, one for each image of {}; fetch or copy both again",
                               labels.string(), read.y.size(0), read.x.size(0), images.string()));
  }
  check_labels(read.y, classes, labels);
  return read;
}

}  // namespace genzoo
