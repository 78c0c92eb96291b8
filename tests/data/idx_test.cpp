#include "data/idx.h"

#include <cstdlib>
#include <fstream>

#include "core/error.h"
#include "core/file.h"
#include "data/images.h"
#include "tests/support.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

void write(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

void write_gzip(const fs::path& path, const std::string& bytes) {
  write(path.string() + ".plain", bytes);
  REQUIRE(std::system(("gzip -n < '" + path.string() + ".plain' > '" + path.string() + "'").c_str()) == 0);
}

std::string big_endian(uint32_t value) { return {char(value >> 24), char(value >> 16), char(value >> 8), char(value)}; }

std::string idx_bytes(std::initializer_list<uint32_t> sizes, const std::string& data) {
  std::string bytes = big_endian(0x800 + static_cast<uint32_t>(sizes.size()));
  for (const uint32_t size : sizes) bytes += big_endian(size);
  return bytes + data;
}

// 0, 1, 2, ... modulo 256.
std::string counting(size_t count) {
  std::string bytes(count, '\0');
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<char>(i);
  return bytes;
}

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const RunError& error) {
    return error.what();
  }
  return "no RunError";
}

using Catch::Matchers::Contains;

}  // namespace

TEST_CASE("IDX files are read as written, plain and gzip, in one member or several", "[data]") {
  const TempDir folder;
  const std::string bytes = idx_bytes({2, 3, 4}, counting(24));
  const auto expected = torch::arange(24, torch::kByte).view({2, 3, 4});

  write(folder / "plain", bytes);
  CHECK(torch::equal(read_idx(folder / "plain", 3), expected));
  write_gzip(folder / "whole.gz", bytes);
  CHECK(torch::equal(read_idx(folder / "whole.gz", 3), expected));
  write_gzip(folder / "a", bytes.substr(0, 21));
  write_gzip(folder / "b", bytes.substr(21));
  write(folder / "members.gz", read_file(folder / "a") + read_file(folder / "b"));
  CHECK(torch::equal(read_idx(folder / "members.gz", 3), expected));
}

TEST_CASE("every damage to an IDX file is one line that says what and where", "[data]") {
  const TempDir folder;
  const fs::path file = folder / "x";
  const auto error = [&](const std::string& bytes) {
    write(file, bytes);
    const std::string line = error_of([&] { read_idx(file, 3); });
    CHECK(line.find('\n') == std::string::npos);
    CHECK_THAT(line, Contains(file.string()));
    return line;
  };
  const std::string good = idx_bytes({2, 3, 4}, counting(24));
  CHECK_THAT(error(""), Contains("ends after 0 bytes, wanted 4 more"));
  CHECK_THAT(error(idx_bytes({24}, counting(24))), Contains("magic number 0x00000801, wanted 0x00000803"));
  CHECK_THAT(error("<html>404</html>"), Contains("magic number 0x3c68746d"));
  CHECK_THAT(error(good.substr(0, 10)), Contains("ends after 10 bytes, wanted 2 more"));
  CHECK_THAT(error(good.substr(0, good.size() - 1)), Contains("ends after 39 bytes, wanted 1 more"));
  CHECK_THAT(error(good + "x"), Contains("goes on after the 40 bytes"));
  CHECK_THAT(error(idx_bytes({0, 3, 4}, "")), Contains("its header says 0 x 3 x 4 bytes"));
  // 2^96 bytes: nothing that size is allocated, nor does the product wrap around.
  CHECK_THAT(error(idx_bytes({0xffffffff, 0xffffffff, 0xffffffff}, counting(24))),
             Contains("its header says 4294967295 x 4294967295 x 4294967295 bytes"));
}

TEST_CASE("every damage to a gzip file is noticed", "[data]") {
  const TempDir folder;
  const fs::path file = folder / "x.gz";
  // Data that do not compress, so that most bytes of the file are data.
  std::string noise;
  uint32_t state = 1;
  for (int i = 0; i < 600; ++i) noise += static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  write_gzip(file, idx_bytes({6, 10, 10}, noise));
  const std::string good = read_file(file);
  REQUIRE(read_idx(file, 3).numel() == 600);

  const auto error = [&](const std::string& bytes) {
    write(file, bytes);
    return error_of([&] { read_idx(file, 3); });
  };
  for (size_t cut = 2; cut < good.size(); cut += 7) {
    INFO("cut after " << cut);
    CHECK_THAT(error(good.substr(0, cut)), Contains("gzip data end after"));
  }
  CHECK_THAT(error(good.substr(0, good.size() - 1)), Contains("gzip data end after"));
  std::string wrong_checksum = good;
  wrong_checksum[good.size() - 6] ^= 1;
  CHECK_THAT(error(wrong_checksum), Contains("incorrect data check"));
  std::string wrong_byte = good;
  wrong_byte[good.size() / 2] ^= 1;
  CHECK_THAT(error(wrong_byte), Contains("x.gz: "));
  CHECK_THAT(error(good + "trailing"), Contains("gzip: incorrect header check"));
  CHECK_THAT(error(good + good), Contains("goes on after the 616 bytes"));
}

TEST_CASE("images and labels must belong together and labels be in range", "[data]") {
  const TempDir folder;
  write(folder / "images", idx_bytes({3, 2, 2}, counting(12)));
  write(folder / "labels", idx_bytes({3}, std::string("\x00\x09\x03", 3)));
  const LabelledImages read = read_idx_images(folder / "images", folder / "labels", 10);
  CHECK(read.x.sizes() == torch::IntArrayRef({3, 1, 2, 2}));
  CHECK(torch::equal(read.y, torch::tensor({0, 9, 3}, torch::kLong)));
  CHECK_THAT(error_of([&] { read_idx_images(folder / "images", folder / "labels", 9); }),
             Contains("label 9, wanted 0 to 8"));
  write(folder / "labels", idx_bytes({2}, std::string("\x00\x01", 2)));
  CHECK_THAT(error_of([&] { read_idx_images(folder / "images", folder / "labels", 10); }),
             Contains("2 labels, wanted 3"));
}

namespace {

// A set of 20 training and 4 test images of 3x2 pixels, image i filled with i.
void write_small_mnist(const fs::path& folder) {
  const auto write_split = [&](const std::string& prefix, uint32_t count) {
    std::string pixels, labels;
    for (uint32_t i = 0; i < count; ++i) {
      pixels += std::string(6, static_cast<char>(i));
      labels += static_cast<char>(i % 10);
    }
    write_gzip(folder / (prefix + "-images-idx3-ubyte.gz"), idx_bytes({count, 3, 2}, pixels));
    write(folder / (prefix + "-labels-idx1-ubyte"), idx_bytes({count}, labels));
  };
  write_split("train", 20);
  write_split("t10k", 4);
}

}  // namespace

TEST_CASE("an image set is split, padded and described", "[data]") {
  const TempDir folder;
  write_small_mnist(folder.path());
  MNISTConfig config;
  config.root = folder.path();
  config.validation = 5;
  config.pad_to = 4;
  const Dataset set = open(config, DataPlaces{});
  CHECK(set.spec.describe() == "images 1x4x4, 256 levels, 10 classes");
  CHECK(set.count(Split::train) == 15);
  CHECK(set.count(Split::validation) == 5);
  CHECK(set.count(Split::test) == 4);
  // The last five, in order; centered: nothing added above, a row below, a column on both sides.
  CHECK(torch::equal(set.validation.y, torch::tensor({5, 6, 7, 8, 9}, torch::kLong)));
  const auto row = torch::tensor({0, 19, 19, 0}, torch::kByte);
  CHECK(torch::equal(set.validation.x[4][0], torch::stack({row, row, row, torch::zeros_like(row)})));

  config.validation = 20;
  CHECK_THROWS_WITH(open(config, DataPlaces{}), "data.mnist.validation: 20, wanted fewer than the 20 training images");
  config.validation = 5;
  config.pad_to = 2;
  CHECK_THROWS_WITH(open(config, DataPlaces{}), Contains("data.mnist.pad_to: 2, wanted 0 (off) or at least"));
}

TEST_CASE("what is missing is named, with the places looked in and what to do", "[data]") {
  const TempDir folder;
  MNISTConfig config;
  DataPlaces places{folder / "given", folder / "cache", folder / "packages"};
  CHECK_THROWS_WITH(open(config, places),
                    "data/mnist: not found: looked for train-images-idx3-ubyte, train-labels-idx1-ubyte, "
                    "t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte (or .gz) in " +
                        (folder / "given/mnist").string() + ", " + (folder / "cache/mnist").string() +
                        "; run `genzoo fetch mnist`");
  fs::create_directories(folder / "cache/mnist");
  write_small_mnist(folder / "cache/mnist");
  config.validation = 1;
  CHECK(open(config, places).count(Split::train) == 19);
  fs::remove(folder / "cache/mnist/t10k-labels-idx1-ubyte");
  CHECK_THROWS_WITH(open(config, places),
                    Contains((folder / "cache/mnist").string() + " has no t10k-labels-idx1-ubyte"));
  // A root is the only place.
  config.root = folder / "nowhere";
  CHECK_THROWS_WITH(open(config, places), Contains("in " + config.root + "; run"));
  // The distribution's package, for the set that has one.
  fs::create_directories(folder / "packages/datasets/fashion-mnist");
  write_small_mnist(folder / "packages/datasets/fashion-mnist");
  FashionMNISTConfig fashion;
  fashion.validation = 2;
  CHECK(open(fashion, places).count(Split::train) == 18);
}

TEST_CASE("binarized pixels are on as often as they are bright", "[data]") {
  // Brightness x of 0 ... 255: P(bit) = x / 255. 4000 images of 16x16 pixels, pixel j of brightness j.
  const int64_t count = 4000;
  const auto grey = torch::arange(256, torch::kByte).view({1, 1, 16, 16}).expand({count, 1, 16, 16}).contiguous();
  ImageOptions options;
  options.validation = 1000;
  options.binarize = Binarize::fixed;
  const Dataset set = make_image_dataset("grey", {grey, {}}, {}, 0, options);
  CHECK(set.spec.levels == 2);
  CHECK(set.train.x.max().item<int64_t>() == 1);
  const auto rate = set.train.x.to(torch::kDouble).mean(/*dim=*/0).flatten();
  const auto p = torch::arange(256, torch::kDouble) / 255;
  CHECK(rate[0].item<double>() == 0);
  CHECK(rate[255].item<double>() == 1);
  // 256 binomial frequencies within 5 standard errors (of a fixed draw).
  CHECK(((rate - p).abs() <= 5 * (p * (1 - p) / 3000).sqrt() + 1e-12).all().item<bool>());
  // Pixels are drawn independently: neighbors of probability 1/2 agree half the time.
  const auto left = set.train.x.flatten(1).select(1, 127), right = set.train.x.flatten(1).select(1, 128);
  CHECK(std::abs(left.eq(right).to(torch::kDouble).mean().item<double>() - 0.5) < 5 * 0.5 / std::sqrt(3000.0));

  SECTION("row i gets the same bits however many rows there are") {
    CHECK(torch::equal(binarize_once(grey, Split::test).slice(0, 0, 1500),
                       binarize_once(grey.slice(0, 0, 1500), Split::test)));
  }
  SECTION("dynamic leaves the training images grey, and the others as static has them") {
    options.binarize = Binarize::dynamic;
    const Dataset dynamic = make_image_dataset("grey", {grey, {}}, {}, 0, options);
    CHECK(torch::equal(dynamic.train.x, grey.slice(0, 0, 3000)));
    CHECK(torch::equal(dynamic.validation.x, set.validation.x));
    CHECK(dynamic.spec == set.spec);
  }
}

TEST_CASE("MNIST is as published", "[data]") {
  const auto folder = data_dir("mnist");
  if (!folder) SKIP("no $GENZOO_DATA/mnist");
  MNISTConfig config;
  config.root = *folder;
  const Dataset set = open(config, DataPlaces{});
  CHECK(set.count(Split::train) == 55000);
  CHECK(set.count(Split::test) == 10000);
  CHECK(set.spec.shape == std::vector<int64_t>{1, 28, 28});
  // The mean and standard deviation everyone normalizes with, 0.1307 and 0.3081, and the first labels.
  const auto all = torch::cat({set.train.x, set.validation.x}).to(torch::kFloat) / 255;
  CHECK(std::abs(all.mean(torch::kDouble).item<double>() - 0.1307) < 5e-5);
  CHECK(std::abs(all.std().item<double>() - 0.3081) < 5e-5);
  CHECK(torch::equal(set.train.y.slice(0, 0, 5), torch::tensor({5, 0, 4, 1, 9}, torch::kLong)));
  CHECK(torch::equal(set.test.y.slice(0, 0, 5), torch::tensor({7, 2, 1, 0, 4}, torch::kLong)));
}

}  // namespace genzoo
