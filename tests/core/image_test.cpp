#include "core/image.h"

#include "core/error.h"
#include "core/file.h"
#include "tests/support.h"

namespace genzoo {
namespace {

uint8_t at(const Tensor& image, int64_t c, int64_t y, int64_t x) { return image[c][y][x].item<uint8_t>(); }

uint32_t big_endian(const std::string& bytes, size_t offset) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[offset + i]);
  return value;
}

TEST_CASE("a grid has every image at its place, enlarged, with a border", "[core]") {
  const Tensor images = torch::arange(5 * 3 * 4).view({5, 1, 3, 4}).to(torch::kUInt8);
  const Tensor grid = image_grid(images, /*columns=*/2, /*scale=*/2, /*gap=*/1);
  REQUIRE(grid.sizes() == torch::IntArrayRef({1, 3 * (6 + 1) + 1, 2 * (8 + 1) + 1}));
  for (int64_t i = 0; i < 5; ++i) {
    const int64_t top = 1 + i / 2 * 7, left = 1 + i % 2 * 9;
    for (int64_t y = 0; y < 6; ++y) {
      for (int64_t x = 0; x < 8; ++x) REQUIRE(at(grid, 0, top + y, left + x) == i * 12 + y / 2 * 4 + x / 2);
    }
  }
  const uint8_t border = at(grid, 0, 0, 0);
  CHECK(grid[0].select(0, 7).eq(border).all().item<bool>());
  CHECK(grid[0].select(1, 9).eq(border).all().item<bool>());
  CHECK(grid[0].narrow(0, 15, 6).narrow(1, 10, 8).eq(border).all().item<bool>());  // the sixth place
}

TEST_CASE("a caption stands above its picture and never beyond it", "[core]") {
  const Tensor image = torch::full({1, 10, 120}, 7, torch::kUInt8);
  const Tensor plain = with_caption(image, ""), named = with_caption(image, "vae");
  REQUIRE(named.size(0) == 3);
  REQUIRE(named.size(2) == 120);
  const int64_t line = named.size(1) - 10;
  CHECK(line > 0);
  CHECK(named.narrow(1, line, 10).eq(7).all().item<bool>());
  CHECK(plain.narrow(1, 0, line).eq(255).all().item<bool>());
  const Tensor ink = named[0].narrow(0, 0, line).lt(128);
  CHECK(ink.sum().item<int64_t>() > 20);
  CHECK_FALSE(ink.narrow(1, 60, 60).any().item<bool>());  // three letters are short
  CHECK(named.equal(with_caption(image, "vae")));
  CHECK_FALSE(named.equal(with_caption(image, "gan")));
  // Long ones are cut, with dots; other alphabets do no harm.
  const std::string start = "a_name_that_is_far_too_long_to_stand_above_it";
  CHECK(with_caption(image, start + "_a").equal(with_caption(image, start + "_b")));
  CHECK(with_caption(image, "\xC3\xA9").equal(with_caption(image, "?")));
  CHECK(with_caption(image.narrow(2, 0, 1), start).size(2) == 1);
  CHECK_THROWS_AS(with_caption(torch::zeros({2, 4, 4}, torch::kUInt8), ""), std::invalid_argument);
}

TEST_CASE("pictures of any size are arranged without overlap", "[core]") {
  const auto picture = [](int64_t height, int64_t width, int64_t value) {
    return torch::full({3, height, width}, value, torch::kUInt8);
  };
  const Tensor page = arrange({picture(4, 5, 1), picture(2, 7, 2), picture(3, 6, 3)}, /*columns=*/2, /*gap=*/1);
  REQUIRE(page.sizes() == torch::IntArrayRef({3, 1 + 4 + 1 + 3 + 1, 1 + 6 + 1 + 7 + 1}));
  CHECK(page.narrow(1, 1, 4).narrow(2, 1, 5).eq(1).all().item<bool>());
  CHECK(page.narrow(1, 1, 2).narrow(2, 8, 7).eq(2).all().item<bool>());
  CHECK(page.narrow(1, 6, 3).narrow(2, 1, 6).eq(3).all().item<bool>());
  CHECK(page.eq(255).sum().item<int64_t>() == 3 * (10 * 16 - 20 - 14 - 18));
  CHECK(arrange({picture(4, 5, 1)}, 3).size(2) == 5 + 2 * 12);
  CHECK_THROWS_AS(arrange({}, 1), std::invalid_argument);
}

TEST_CASE("grids fit on a screen", "[core]") {
  for (const auto& [width, columns] : std::vector<std::pair<int64_t, int64_t>>{{28, 8}, {32, 8}, {64, 8}, {28, 1}}) {
    const int64_t pixels = width * columns * comfortable_scale(width, columns);
    CHECK(pixels >= 400);
    CHECK(pixels <= 800);
  }
  CHECK(comfortable_scale(1000, 10) == 1);
}

TEST_CASE("a PNG has its size, color type and the same bytes every time", "[core]") {
  Tensor image = torch::zeros({3, 5, 7}, torch::kUInt8);
  image[0].fill_(255);
  const std::string png = encode_png(image);
  REQUIRE(png.substr(0, 8) == "\x89PNG\r\n\x1a\n");
  CHECK(big_endian(png, 16) == 7);
  CHECK(big_endian(png, 20) == 5);
  CHECK(png[24] == 8);  // bits
  CHECK(png[25] == 2);  // RGB
  CHECK(encode_png(image) == png);
  CHECK(encode_png(image.flip(0)) != png);
  CHECK(encode_png(image.narrow(0, 0, 1))[25] == 0);  // gray

  const TempDir dir;
  write_png(dir / "x.png", image);
  CHECK(read_file(dir / "x.png") == png);
  CHECK_THROWS_AS(write_png("/dev/full", image), RunError);
}

TEST_CASE("a point is drawn where it is: x to the right, y up", "[core]") {
  const Tensor plot = scatter_plot(torch::tensor({{1.0, 1.49}}), 2, 100);
  REQUIRE(plot.sizes() == torch::IntArrayRef({3, 100, 100}));
  // Away from the frame, where the scale is, only the point's four pixels are not white.
  const Tensor inner = plot.narrow(1, 5, 90).narrow(2, 5, 90).lt(255).any(0).nonzero() + 5;
  REQUIRE(inner.size(0) == 4);
  CHECK_THAT(inner.select(1, 0), IsClose(torch::tensor({12, 12, 13, 13})));
  CHECK_THAT(inner.select(1, 1), IsClose(torch::tensor({74, 75, 74, 75})));
  CHECK(scatter_plot(torch::tensor({{NAN, 0.0F}, {INFINITY, 0.0F}, {50.0F, 0.0F}}), 2, 100)
            .equal(scatter_plot(torch::zeros({0, 2}), 2, 100)));
}

TEST_CASE("a density is brightest where it is highest, row 0 at the bottom", "[core]") {
  Tensor log_density = torch::full({50, 50}, -INFINITY);
  log_density[10][40] = 3.0;
  const Tensor plot = density_plot(log_density, 2, 100);
  REQUIRE(plot.sizes() == torch::IntArrayRef({3, 100, 100}));
  const Tensor inner = plot.narrow(1, 5, 90).narrow(2, 5, 90).to(torch::kInt).sum(0);
  const int64_t brightest = inner.argmax().item<int64_t>();
  CHECK(std::abs(brightest / 90 + 5 - (99 - 21)) <= 1);
  CHECK(std::abs(brightest % 90 + 5 - 81) <= 1);
  // Viridis runs from dark violet (68, 1, 84) to yellow.
  CHECK(std::abs(at(plot, 0, 50, 20) - 68) <= 2);
  CHECK(std::abs(at(plot, 1, 50, 20) - 1) <= 2);
  CHECK(std::abs(at(plot, 2, 50, 20) - 84) <= 2);
  CHECK(density_plot(torch::full({4, 4}, NAN), 2, 10).sizes() == torch::IntArrayRef({3, 10, 10}));
}

TEST_CASE("frames become an endless animated WebP", "[core]") {
  const TempDir dir;
  std::vector<Tensor> frames;
  for (int i = 0; i < 4; ++i) frames.push_back(scatter_plot(torch::tensor({{i / 4.0, 0.0}}), 2, 64));
  write_animation(dir / "x.webp", frames, 100);
  const std::string bytes = read_file(dir / "x.webp");
  CHECK(bytes.substr(0, 4) == "RIFF");
  CHECK(bytes.substr(8, 8) == "WEBPVP8X");
  // ANIM: 4 bytes of background, 2 of loop count, 0 for endless. ANMF: a frame each.
  const size_t animation = bytes.find("ANIM");
  REQUIRE(animation != std::string::npos);
  CHECK(bytes.substr(animation + 12, 2) == std::string(2, '\0'));
  size_t count = 0;
  for (size_t frame = bytes.find("ANMF"); frame != std::string::npos; frame = bytes.find("ANMF", frame + 4)) {
    ++count;
    CHECK(static_cast<unsigned char>(bytes[frame + 8 + 12]) == 100);  // milliseconds
  }
  CHECK(count == 4);
  CHECK_THROWS_AS(write_animation("/dev/full", frames, 100), RunError);
  CHECK_THROWS_AS(write_animation(dir / "y", {}, 100), std::invalid_argument);
  frames.push_back(torch::zeros({3, 5, 5}, torch::kUInt8));
  CHECK_THROWS_AS(write_animation(dir / "y", frames, 100), std::invalid_argument);
}

TEST_CASE("a PNG reads back as it was written", "[core]") {
  const TempDir dir;
  for (const int64_t channels : {1, 3}) {
    const Tensor image = (torch::arange(channels * 6 * 5) * 2).to(torch::kUInt8).view({channels, 6, 5});
    write_png(dir / "x.png", image);
    CHECK(torch::equal(read_png(dir / "x.png"), image));
  }
  write_file_whole(dir / "broken.png", "no picture");
  CHECK_THROWS_AS(read_png(dir / "broken.png"), RunError);
  CHECK_THROWS_AS(read_png(dir / "missing.png"), UsageError);
}

TEST_CASE("what is no picture is refused", "[core]") {
  CHECK_THROWS_AS(image_grid(torch::zeros({2, 2, 4, 4}, torch::kUInt8), 1), std::invalid_argument);
  CHECK_THROWS_AS(image_grid(torch::zeros({2, 1, 4, 4}), 1), std::invalid_argument);
  CHECK_THROWS_AS(image_grid(torch::zeros({2, 1, 4, 4}, torch::kUInt8), 0), std::invalid_argument);
  CHECK_THROWS_AS(encode_png(torch::zeros({3, 0, 4}, torch::kUInt8)), std::invalid_argument);
  CHECK_THROWS_AS(scatter_plot(torch::zeros({3}), 2), std::invalid_argument);
  CHECK_THROWS_AS(scatter_plot(torch::zeros({3, 2}), 0), std::invalid_argument);
  CHECK_THROWS_AS(density_plot(torch::zeros({3, 2}), 2), std::invalid_argument);
}

}  // namespace
}  // namespace genzoo
