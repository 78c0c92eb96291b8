#include <cstdlib>
#include <fstream>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/image.h"
#include "data/images.h"
#include "tests/support.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

void write(const fs::path& path, const std::string& bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

// A picture (height, width) of one color, as binary PPM.
std::string ppm(int width, int height, int r, int g, int b) {
  std::string bytes = "P6 " + std::to_string(width) + " " + std::to_string(height) + " 255\n";
  for (int i = 0; i < width * height; ++i) bytes += {static_cast<char>(r), static_cast<char>(g), static_cast<char>(b)};
  return bytes;
}

Tensor color(int r, int g, int b) { return torch::tensor({r, g, b}, torch::kByte); }

ImageFolderConfig folder_config(const fs::path& root, int64_t size) {
  ImageFolderConfig config;
  config.root = root;
  config.size = size;
  return config;
}

// An 8x8 grey JPEG of brightness 200.
const std::string kJPEG = [] {
  const std::string hex =
      "ffd8ffe000104a46494600010100000100010000ffdb0043000302020302020303030304030304050805050404050a07"
      "0706080c0a0c0c0b0a0b0b0d0e12100d0e110e0b0b1016101113141515150c0f171816141812141514ffc0000b080008"
      "000801011100ffc4001f0000010501010101010100000000000000000102030405060708090a0bffc400b51000020103"
      "03020403050504040000017d01020300041105122131410613516107227114328191a1082342b1c11552d1f024336272"
      "82090a161718191a25262728292a3435363738393a434445464748494a535455565758595a636465666768696a737475"
      "767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9"
      "cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9faffda0008010100003f00fb02bfffd9";
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2) bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}();

}  // namespace

TEST_CASE("pictures are found at any depth, decoded as RGB, labelled by their first folder", "[data]") {
  const TempDir folder;
  for (int i = 0; i < 10; ++i) {
    write(folder / ("cats/a" + std::to_string(i) + ".ppm"), ppm(6, 6, 250, 10 + i, 20));
    write(folder / ("dogs/deep/er/b" + std::to_string(i) + ".PPM"), ppm(6, 6, 5, 10 + i, 240));
  }
  write(folder / "cats/notes.txt", "not a picture");
  write(folder / ".hidden/x.ppm", "not a picture");
  const Dataset set = open(folder_config(folder.path(), 4), DataPlaces{});
  CHECK(set.spec.describe() == "images 3x4x4, 256 levels, 2 classes");
  CHECK(set.count(Split::train) == 18);
  CHECK(set.count(Split::validation) == 2);
  CHECK_FALSE(set.has(Split::test));
  std::set<int64_t> seen;
  for (const Split split : {Split::train, Split::validation}) {
    for (int64_t i = 0; i < set.count(split); ++i) {
      const Tensor pixel = set[split].x[i].select(1, 0).select(1, 0);
      const bool cat = set[split].y[i].item<int64_t>() == 0;
      const int64_t green = pixel[1].item<int64_t>();
      CHECK(torch::equal(pixel, cat ? color(250, green, 20) : color(5, green, 240)));
      seen.insert(cat ? green : -green);
    }
  }
  CHECK(seen.size() == 20);  // each once: the splits are disjoint and whole
  // The same files, the same order.
  CHECK(torch::equal(open(folder_config(folder.path(), 4), DataPlaces{}).train.x, set.train.x));
  // One in no folder: no labels.
  write(folder / "loose.ppm", ppm(6, 6, 1, 2, 3));
  CHECK(open(folder_config(folder.path(), 4), DataPlaces{}).spec.classes == 0);
}

TEST_CASE("validation is spread over the classes", "[data]") {
  const TempDir folder;
  for (int i = 0; i < 100; ++i)
    write(folder / ("c" + std::to_string(i / 25)) / (std::to_string(i) + ".ppm"), ppm(1, 1, i, 0, 0));
  ImageFolderConfig config = folder_config(folder.path(), 1);
  config.validation = 0.4;
  const Dataset set = open(config, DataPlaces{});
  REQUIRE(set.count(Split::validation) == 40);
  const Tensor counts = torch::bincount(set.validation.y, {}, 4);
  CHECK(counts.min().item<int64_t>() >= 4);
}

TEST_CASE("a picture of another shape is cropped, padded or stretched", "[data]") {
  const TempDir folder;
  // 12x4: a red, a green and a blue square side by side.
  std::string bytes = "P6 12 4 255\n";
  for (int row = 0; row < 4; ++row) {
    for (int column = 0; column < 12; ++column) {
      for (int channel = 0; channel < 3; ++channel) bytes += static_cast<char>(channel == column / 4 ? 255 : 0);
    }
  }
  write(folder / "a.ppm", bytes);
  write(folder / "b.ppm", bytes);
  ImageFolderConfig config = folder_config(folder.path(), 12);
  const auto at = [&](int64_t row, int64_t column) {
    return open(config, DataPlaces{}).train.x[0].select(1, row).select(1, column);
  };
  const Tensor red = color(255, 0, 0), green = color(0, 255, 0), blue = color(0, 0, 255), black = color(0, 0, 0);
  config.fit = Fit::crop;
  CHECK(torch::equal(at(0, 0), green));
  CHECK(torch::equal(at(11, 11), green));
  config.fit = Fit::pad;
  CHECK(torch::equal(at(3, 6), black));
  CHECK(torch::equal(at(4, 0), red));
  CHECK(torch::equal(at(7, 11), blue));
  CHECK(torch::equal(at(8, 6), black));
  config.fit = Fit::stretch;
  CHECK(torch::equal(at(0, 0), red));
  CHECK(torch::equal(at(11, 5), green));
  CHECK(torch::equal(at(11, 11), blue));
}

TEST_CASE("pictures can be read as grey, and become bits", "[data]") {
  const TempDir folder;
  for (int i = 0; i < 4; ++i) write(folder / (std::to_string(i) + ".ppm"), ppm(3, 3, 100, 100, 100));
  write(folder / "4.jpg", kJPEG);
  ImageFolderConfig config = folder_config(folder.path(), 8);
  config.grey = true;
  const Dataset set = open(config, DataPlaces{});
  CHECK(set.spec.shape == std::vector<int64_t>{1, 8, 8});
  const Tensor first = std::get<0>(torch::cat({set.train.x, set.validation.x}).flatten(1).select(1, 0).sort());
  CHECK(torch::equal(first.slice(0, 0, 4), torch::full({4}, 100, torch::kByte)));
  CHECK(std::abs(first[4].item<int64_t>() - 200) <= 2);
  config.binarize = Binarize::fixed;
  const Dataset bits = open(config, DataPlaces{});
  CHECK(bits.spec.levels == 2);
  CHECK(bits.train.x.max().item<int64_t>() == 1);
}

TEST_CASE("a broken picture is named, not filled up", "[data]") {
  const TempDir folder;
  for (int i = 0; i < 3; ++i) write(folder / (std::to_string(i) + ".ppm"), ppm(3, 3, 100, 100, 100));
  const auto generator = at::detail::createCPUGenerator(1);
  const std::string png = encode_png(torch::randint(0, 256, {3, 32, 32}, generator, torch::kByte));
  const auto error = [&](const std::string& name, const std::string& bytes) {
    write(folder / name, bytes);
    std::string line = "no RunError";
    try {
      open(folder_config(folder.path(), 4), DataPlaces{});
    } catch (const RunError& e) {
      line = e.what();
    }
    fs::remove(folder / name);
    CHECK(line.find('\n') == std::string::npos);
    return line;
  };
  CHECK(error("whole.png", png) == "no RunError");
  CHECK(error("whole.jpg", kJPEG) == "no RunError");
  const std::string named = (folder / "x.png").string() + ": not a whole picture: ";
  CHECK_THAT(error("x.png", png.substr(0, png.size() / 2)), Contains(named + "PNG ends before its IEND chunk"));
  CHECK_THAT(error("x.png", png.substr(0, png.size() - 1)), Contains(named + "PNG ends before its IEND chunk"));
  std::string flipped = png;
  flipped[png.size() / 2] ^= 1;
  CHECK_THAT(error("x.png", flipped), Contains("has a wrong CRC"));
  CHECK_THAT(error("x.png", "not a picture"), Contains(named + "its 13 bytes cannot be decoded"));
  CHECK_THAT(error("x.png", ""), Contains(named + "its 0 bytes cannot be decoded"));
  CHECK_THAT(error("x.jpg", kJPEG.substr(0, kJPEG.size() - 2)), Contains("JPEG ends before its end marker"));
  CHECK_THAT(error("x.jpg", kJPEG.substr(0, 100)), Contains("JPEG ends before its pixels"));
  CHECK_THAT(error("x.ppm", ppm(3, 3, 1, 2, 3).substr(0, 20)), Contains("x.ppm: not a whole picture"));
}

TEST_CASE("a folder without pictures, and one with too few, are said", "[data]") {
  const TempDir folder;
  CHECK_THROWS_WITH(open(folder_config(folder / "nowhere", 4), DataPlaces{}),
                    Contains("data/image_folder: not found: looked for pictures") && Contains("nowhere"));
  CHECK_THROWS_AS(open(folder_config(folder.path(), 4), DataPlaces{}), RunError);
  write(folder / "one.ppm", ppm(3, 3, 1, 2, 3));
  CHECK_THROWS_WITH(open(folder_config(folder.path(), 4), DataPlaces{}), Contains("1 picture, wanted at least 2"));
}

// --- CIFAR-10
// ---------------------------------------------------------------------------------------------------------

namespace {

// Record i of file f: label (f + i) % 10, planes of value i, i + 1, i + 2 (modulo 256).
std::string cifar_file(int file) {
  std::string bytes;
  bytes.reserve(10000 * 3073);
  for (int i = 0; i < 10000; ++i) {
    bytes += static_cast<char>((file + i) % 10);
    for (int plane = 0; plane < 3; ++plane) bytes.append(1024, static_cast<char>(i + plane));
  }
  return bytes;
}

}  // namespace

TEST_CASE("cifar10 is read from its files and from its archive", "[data]") {
  const TempDir folder;
  const fs::path batches = folder / "cifar-10-batches-bin";
  for (int i = 1; i <= 5; ++i) write(batches / ("data_batch_" + std::to_string(i) + ".bin"), cifar_file(i));
  write(batches / "test_batch.bin", cifar_file(7));
  write(batches / "readme.html", "see the site");
  CIFAR10Config config;
  config.root = folder.path();
  const Dataset set = open(config, DataPlaces{});
  CHECK(set.spec.describe() == "images 3x32x32, 256 levels, 10 classes");
  CHECK(set.count(Split::train) == 45000);
  CHECK(set.count(Split::test) == 10000);
  // Image 12,345 is record 2,345 = 41 modulo 256 of the second file.
  CHECK(set.train.y[12345].item<int64_t>() == 7);
  CHECK(
      torch::equal(set.train.x[12345], torch::tensor({41, 42, 43}, torch::kByte).view({3, 1, 1}).expand({3, 32, 32})));
  CHECK(set.test.y[1].item<int64_t>() == 8);

  REQUIRE(std::system(("cd '" + folder.path().string() +
                       "' && tar -cf - cifar-10-batches-bin | gzip -1 > cifar-10-binary.tar.gz")
                          .c_str()) == 0);
  fs::remove_all(batches);
  CHECK(torch::equal(open(config, DataPlaces{}).train.x, set.train.x));
  CHECK(torch::equal(open(config, DataPlaces{}).test.y, set.test.y));

  const std::string archive = read_file(folder / "cifar-10-binary.tar.gz");
  std::string flipped = archive;
  flipped[flipped.size() - 8] = static_cast<char>(flipped[flipped.size() - 8] ^ 1);  // of the checksum at the end
  write(folder / "cifar-10-binary.tar.gz", flipped);
  CHECK_THROWS_WITH(open(config, DataPlaces{}), Contains("cifar-10-binary.tar.gz"));
  write(folder / "cifar-10-binary.tar.gz", archive.substr(0, archive.size() / 2));
  CHECK_THROWS_WITH(open(config, DataPlaces{}), Contains("cifar-10-binary.tar.gz: gzip data end after"));
  fs::remove(folder / "cifar-10-binary.tar.gz");
  CHECK_THROWS_WITH(open(config, DataPlaces{}), Contains("run `genzoo fetch cifar10`"));
}

}  // namespace genzoo
