#include "data/debd.h"

#include <fmt/format.h>

#include <fstream>

#include "core/error.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using Catch::Matchers::Contains;
namespace fs = std::filesystem;

/// `count` lines of 16 bits, those of the line's number.
std::string lines(int64_t count, const std::string& end = "\n") {
  std::string text;
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t bit = 0; bit < 16; ++bit) text += fmt::format("{}{}", (i >> bit) & 1, bit < 15 ? "," : end);
  }
  return text;
}

struct Folder {
  TempDir folder;
  Folder() {
    write("nltcs.train", lines(5));
    write("nltcs.valid", lines(2, "\r\n"));
    write("nltcs.test", lines(3).substr(0, 3 * 32 - 1));  // no newline at the end
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder.path() / name, std::ios::binary) << text;
  }
  Dataset open_set() const { return open(DebdConfig{"nltcs", folder.path().string()}, DataPlaces{}); }
};

}  // namespace

TEST_CASE("binary vectors are read line by line", "[data]") {
  const Folder files;
  const Dataset set = files.open_set();
  CHECK(set.spec.describe() == "vectors of 16 dimensions, 2 levels");
  CHECK(set.spec.dataset == "debd_nltcs");
  CHECK(set.train.x.sizes() == torch::IntArrayRef({5, 16}));
  CHECK(set.train.x.scalar_type() == torch::kFloat);
  CHECK(set.validation.x.size(0) == 2);
  CHECK(set.test.x.size(0) == 3);
  const Tensor weights = at::pow(2, torch::arange(16, torch::kFloat));
  CHECK(torch::equal(set.train.x.mv(weights), torch::arange(5, torch::kFloat)));
  CHECK(torch::equal(set.test.x.mv(weights), torch::arange(3, torch::kFloat)));
}

TEST_CASE("damaged files of binary vectors are named with their line", "[data]") {
  const Folder files;
  files.write("nltcs.valid", lines(2) + "0,1,2,0,0,0,0,0,0,0,0,0,0,0,0,0\n");
  CHECK_THROWS_WITH(files.open_set(), Contains("nltcs.valid:3") && Contains("wanted 16 bits"));
  files.write("nltcs.valid", lines(2) + "0,1\n");
  CHECK_THROWS_AS(files.open_set(), RunError);
  files.write("nltcs.valid", "");
  CHECK_THROWS_WITH(files.open_set(), Contains("is empty"));
  fs::remove(files.folder.path() / "nltcs.valid");
  CHECK_THROWS_AS(files.open_set(), DataMissing);
  CHECK_THROWS_AS(open(DebdConfig{"letters", ""}, DataPlaces{}), UsageError);
}

TEST_CASE("bits that stand in have the shape of the set", "[data]") {
  const Dataset set = stand_in(DebdConfig{"plants", ""});
  CHECK(set.spec.shape == std::vector<int64_t>{69});
  CHECK(set.train.x.sizes() == torch::IntArrayRef({17412, 69}));
  CHECK(set.test.x.size(0) == 3482);
  CHECK((set.train.x.eq(0).logical_or(set.train.x.eq(1))).all().item<bool>());
  CHECK(set.train.x.mean().item<double>() == Approx(0.5).margin(0.01));
}

TEST_CASE("the real set is as it was published", "[data]") {
  const DataPlaces places = DataPlaces::from_environment();
  try {
    const Dataset set = open(DebdConfig{"nltcs", ""}, places);
    CHECK(set.count(Split::train) == 16181);
    CHECK(set.count(Split::validation) == 2157);
    CHECK(set.count(Split::test) == 3236);
  } catch (const DataMissing& missing) {
    SKIP(missing.what());
  }
}

}  // namespace genzoo
