#include "evaluation/features.h"

#include "core/error.h"
#include "core/image.h"
#include "data/images.h"
#include "tests/evaluation/tiny_models.h"
#include "tests/support.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

/// Pictures of two kinds, bright above or bright below, in folders that name them.
Choice two_kinds(const fs::path& root, int64_t count) {
  Rng rng = Rng::for_batch(0, Purpose::synthetic_data, 0);
  for (int64_t i = 0; i < 2 * count; ++i) {
    Tensor picture = rng.integers(100, {1, 8, 8}).to(torch::kByte);
    picture.narrow(1, 4 * (i % 2), 4).add_(120);
    const fs::path folder = root / (i % 2 ? "below" : "above");
    fs::create_directories(folder);
    write_png(folder / (std::to_string(i) + ".png"), picture);
  }
  ImageFolderConfig config;
  config.root = root;
  config.size = 8;
  config.grey = true;
  config.validation = 0.25;
  return {"image_folder", config};
}

TEST_CASE("raw features are pixels from 0 to 1, or the vectors themselves", "[evaluation]") {
  const Dataset grey = tiny::images(256, 4), bits = tiny::images(2, 4), points = tiny::points(4);
  CHECK(torch::allclose(raw_features(grey.spec).map(grey.test.x), grey.test.x.flatten(1).to(torch::kFloat) / 255));
  CHECK(torch::equal(raw_features(bits.spec).map(bits.test.x), bits.test.x.flatten(1).to(torch::kFloat)));
  CHECK(torch::equal(raw_features(points.spec).map(points.test.x), points.test.x));
  CHECK(raw_features(grey.spec).name == "pixels");
  CHECK(raw_features(points.spec).name == "coordinates");
  CHECK(raw_features(grey.spec).of != raw_features(bits.spec).of);
}

TEST_CASE("the classifier of features is trained once, and tells its accuracy and weights", "[evaluation]") {
  const TempDir folder;
  DataPlaces places;
  places.cache = folder / "cache";
  const Choice data = two_kinds(folder / "pictures", 24);
  const Dataset dataset = open_dataset(data, places);
  std::vector<std::string> told;
  const Progress progress = [&](const std::string& what) { told.push_back(what); };
  const Features features = classifier_features(data, dataset, places, progress);
  REQUIRE(told.size() == 1);
  CHECK(told[0].find((places.cache / "features").string()) != std::string::npos);
  CHECK(features.map(dataset.validation.x).sizes() == at::IntArrayRef({dataset.validation.x.size(0), 128}));
  CHECK(features.detail.find("100.00 % of validation labels right") != std::string::npos);
  CHECK(features.name.size() == std::string("classifier 01234567").size());
  CHECK(features.detail.find(features.name.substr(11)) != std::string::npos);
  CHECK(features.of.find(features.name) != std::string::npos);

  const Features again = classifier_features(data, dataset, places, progress);
  CHECK(told.size() == 1);  // it was kept
  CHECK(again.name == features.name);
  CHECK(torch::equal(again.map(dataset.validation.x), features.map(dataset.validation.x)));

  // Bits that are drawn anew in training are stored as the same grey pixels, and are other data all the same.
  Choice drawn_anew = data;
  auto settings = data.settings.as<ImageFolderConfig>();
  settings.binarize = Binarize::dynamic;
  drawn_anew.settings = AnyConfig(settings);
  const Dataset bits = open_dataset(drawn_anew, places);
  REQUIRE(torch::equal(bits.train.x, dataset.train.x));
  const Features of_bits = classifier_features(drawn_anew, bits, places, progress);
  CHECK(told.size() == 2);
  CHECK(of_bits.name != features.name);
  CHECK(of_bits.of.find("binarized pixels") != std::string::npos);

  const auto spaces = features_for(data, dataset, places, progress);
  REQUIRE(spaces.size() == 2);
  CHECK(spaces[0].name == features.name);
  CHECK(spaces[1].name == "pixels");
}

TEST_CASE("without labels there are raw pixels alone", "[evaluation]") {
  const Dataset dataset = tiny::images(256, 4);
  const Progress progress = [](const std::string&) {};
  CHECK_THROWS_AS(classifier_features({}, dataset, {}, progress), UsageError);
  const auto spaces = features_for({}, dataset, {}, progress);
  REQUIRE(spaces.size() == 1);
  CHECK(spaces[0].name == "pixels");
}

}  // namespace
}  // namespace genzoo
