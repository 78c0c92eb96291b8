#include <set>

#include "core/error.h"
#include "data/dataset.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using Catch::Matchers::Contains;

}  // namespace

TEST_CASE("every data set has a name of its own, its documents, and defaults that read back", "[data]") {
  std::set<std::string_view> names;
  for (const DatasetEntry& entry : datasets()) {
    INFO(std::string(entry.name));
    CHECK(names.insert(entry.name).second);
    CHECK_FALSE(entry.doc.empty());
    CHECK_FALSE(entry.source.empty());
    AnyConfig settings = entry.defaults();
    const auto fields = [&](Fields& f) { settings.fields(f); };
    for (const KeyDoc& key : document_config(fields)) CHECK_FALSE(key.doc.empty());
    const std::string written = write_config(fields);
    read_config(ConfigSource::from_text(written, "defaults"), fields);
    CHECK(write_config(fields) == written);
  }
  CHECK(names == std::set<std::string_view>{"fashion_mnist",  "mnist",         "cifar10",
                                            "image_folder",   "uniform_noise", "eight_gaussians",
                                            "grid_gaussians", "two_moons",     "rings",
                                            "checkerboard",   "debd",          "text",
                                            "token_file",     "king_james",    "tiny_shakespeare",
                                            "markov",         "imported",      "pairs",
                                            "addition",       "reverse",       "copy",
                                            "conversations",  "documents",     "verses",
                                            "recall"});
  REQUIRE(dataset_choices().size() == datasets().size());
  CHECK(dataset_choices()[3].name == datasets()[3].name);
}

TEST_CASE("a set opened by its choice is the one of the table, with the entropy it promised", "[data]") {
  int64_t made = 0;
  for (const DatasetEntry& entry : datasets()) {
    const auto entropy = entry.entropy(entry.defaults());
    if (!entropy) continue;
    ++made;
    INFO(std::string(entry.name));
    const Dataset set = open_dataset({std::string(entry.name), entry.defaults()}, DataPlaces{});
    CHECK(set.spec.dataset == entry.name);
    CHECK(set.spec.kind == entry.kind);
    CHECK(set.entropy == entropy);
    for (const Split split : {Split::train, Split::validation, Split::test}) CHECK(set.has(split));
  }
  CHECK(made == 7);
  CHECK_THROWS_AS(open_dataset({"nothing", {}}, DataPlaces{}), UsageError);
}

TEST_CASE("a data description is written and read back, and a damaged one refused", "[data]") {
  DataSpec images;
  images.dataset = "mnist";
  images.kind = DataKind::images;
  images.shape = {1, 28, 28};
  images.levels = 256;
  images.classes = 10;
  DataSpec text;
  text.dataset = "text";
  text.kind = DataKind::tokens;
  text.vocabulary = 65;
  text.token_unit = "char";
  text.tokenizer = R"({"type":"bytes"})";
  DataSpec vectors;
  vectors.dataset = "rings";
  vectors.shape = {2};
  DataSpec bits = vectors;
  bits.levels = 2;
  DataSpec pairs = text;
  pairs.kind = DataKind::pairs;
  pairs.shape = {7, 5};
  pairs.end_token = text.vocabulary - 1;
  Json endless = pairs.to_json();
  endless["end_token"] = text.vocabulary;
  CHECK_THROWS_WITH(DataSpec::from_json(endless), Contains("\"end_token\" is"));
  DataSpec documents = pairs;
  documents.kind = DataKind::documents;
  documents.shape = {7};
  documents.classes = 2;
  documents.class_names = {"good", "bad"};
  Json nameless = documents.to_json();
  nameless["class_names"] = {"good"};
  CHECK_THROWS_WITH(DataSpec::from_json(nameless), Contains("\"class_names\" are not 2 names"));
  for (const DataSpec& spec : {images, text, vectors, bits, pairs, documents})
    CHECK(DataSpec::from_json(spec.to_json()) == spec);
  CHECK(images.dims() == 784);
  CHECK(images.describe() == "images 1x28x28, 256 levels, 10 classes");
  CHECK(text.describe() == "text of chars, vocabulary 65");
  CHECK(vectors.describe() == "vectors of 2 dimensions");
  CHECK(bits.describe() == "vectors of 2 dimensions, 2 levels");

  const auto damaged = [&](const char* key, const Json& value) {
    Json json = images.to_json();
    json[key] = value;
    return json;
  };
  CHECK_THROWS_WITH(DataSpec::from_json(damaged("kind", "sounds")), Contains("\"kind\" is \"sounds\""));
  CHECK_THROWS_WITH(DataSpec::from_json(damaged("shape", {28, 28})),
                    Contains("\"shape\" of images has 2 sizes, wanted 3"));
  CHECK_THROWS_WITH(DataSpec::from_json(damaged("shape", {1, 28, -28})), Contains("\"shape\" is -28"));
  CHECK_THROWS_AS(DataSpec::from_json(damaged("shape", {1, 28, 1ULL << 63})), RunError);
  CHECK_THROWS_AS(DataSpec::from_json(damaged("shape", {1, 28, 1.5})), RunError);
  CHECK_THROWS_AS(DataSpec::from_json(damaged("levels", 0)), RunError);
  CHECK_THROWS_AS(DataSpec::from_json(damaged("levels", "256")), RunError);
  CHECK_THROWS_AS(DataSpec::from_json(damaged("vocabulary", 3)), RunError);
  CHECK_THROWS_AS(DataSpec::from_json(damaged("tokenizer", 3)), RunError);
  Json lacking = images.to_json();
  lacking.erase("classes");
  CHECK_THROWS_WITH(DataSpec::from_json(lacking), Contains("no \"classes\""));
  CHECK_THROWS_AS(DataSpec::from_json(Json::array()), RunError);
}

}  // namespace genzoo
