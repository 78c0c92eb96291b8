// Writing: what is written reads back equal, down to the last bit of a number. Schema and documentation too.

#include <bit>
#include <limits>
#include <map>
#include <random>

#include "core/config.h"
#include "core/error.h"
#include "core/json.h"
#include "tests/core/config_example.h"
#include "tests/support.h"

using namespace genzoo;
using namespace genzoo::config_example;

namespace {

struct Scalars {
  double number = 0;
  std::string text;
  void fields(Fields& f) {
    f("number", number, "");
    f("text", text, "");
  }
};

std::string written(double number) {
  const std::string yaml = write_config(Scalars{number, ""});
  return yaml.substr(8, yaml.find('\n') - 8);
}

std::string written(const std::string& text) {
  const std::string yaml = write_config(Scalars{0, text});
  const size_t begin = yaml.find("text: ") + 6;
  return yaml.substr(begin, yaml.size() - 1 - begin);
}

Scalars round_trip(const Scalars& scalars) {
  return read_config<Scalars>(ConfigSource::from_text(write_config(scalars), "written"));
}

/// A config with every value drawn at random.
Experiment random_experiment(std::mt19937_64& random) {
  const auto below = [&](uint64_t n) { return static_cast<int64_t>(random() % n); };
  const auto positive_number = [&] {
    return std::ldexp(static_cast<double>(random() >> 11) + 1, -60 + static_cast<int>(below(40)));
  };
  const auto unit = [&] { return std::ldexp(static_cast<double>(random() >> 11), -53); };
  Experiment e;
  for (int64_t i = below(12); i > 0; --i) e.experiment += static_cast<char>(1 + below(127));
  e.seed = below(uint64_t{1} << 63);
  if (below(2)) {
    const int64_t latent_dim = 1 + below(1000);
    e.model = {"vae", VAE{latent_dim, latent_dim + below(1000)}};
  } else {
    GAN gan{1 + below(1000), {}, below(2) == 1};
    for (int64_t i = below(4); i > 0; --i) gan.widths.push_back(1 + below(4096));
    e.model = {"gan", gan};
  }
  e.train.steps = 1 + below(1'000'000);
  e.train.precision = below(2) ? Precision::float32 : Precision::bfloat16;
  if (below(2)) {
    e.train.optimizer = AdamW{positive_number(), unit(), positive_number()};
  } else {
    e.train.optimizer = SGD{positive_number(), unit()};
  }
  switch (below(3)) {
    case 0:
      e.train.schedule = Cosine{below(500), positive_number()};
      break;
    case 1:
      e.train.schedule = Constant{below(500)};
      break;
    default:
      e.train.schedule = Off{};
  }
  if (below(2)) e.train.ema = Ema{1 + below(1'000'000)};
  return e;
}

}  // namespace

TEST_CASE("a config is written with every default spelled out", "[core][config]") {
  Experiment e;
  e.model = {"gan", GAN{}};
  e.train.schedule = Off{};
  CHECK(write_config(e) == R"(experiment: unnamed
seed: 0
model:
  gan:
    latent_dim: 64
    widths: [256, 128]
    spectral_norm: false
train:
  steps: 1000
  precision: float32
  optimizer:
    adamw:
      lr: 0.001
      beta1: 0.9
      weight_decay: 0.0
  schedule: off
  ema: none
)");
  CHECK(write_config(Off{}) == "{}\n");
}

TEST_CASE("what is written reads back equal", "[core][config]") {
  std::mt19937_64 random(1);
  for (int i = 0; i < 500; ++i) {
    const Experiment e = random_experiment(random);
    const std::string yaml = write_config(e);
    INFO(yaml);
    const Experiment again = read_config<Experiment>(ConfigSource::from_text(yaml, "written"));
    REQUIRE(again == e);
    REQUIRE(write_config(again) == yaml);
  }
}

TEST_CASE("a number is written in its shortest form that is a number to every reader of YAML", "[core][config]") {
  CHECK(written(0.001) == "0.001");
  CHECK(written(0.9) == "0.9");
  CHECK(written(0.1 + 0.2) == "0.30000000000000004");
  CHECK(written(1.0) == "1.0");
  CHECK(written(100000.0) == "100000.0");
  CHECK(written(1e-5) == "1.0e-05");
  CHECK(written(1.5e-7) == "1.5e-07");
  CHECK(written(1e22) == "1.0e+22");
  CHECK(written(-0.0) == "-0.0");
  CHECK_THROWS_AS(written(std::numeric_limits<double>::infinity()), std::logic_error);

  std::mt19937_64 random(2);
  for (int i = 0; i < 2000; ++i) {
    const double number = std::bit_cast<double>(random());
    if (!std::isfinite(number)) continue;
    REQUIRE(std::bit_cast<uint64_t>(round_trip({number, ""}).number) == std::bit_cast<uint64_t>(number));
  }
  for (double edge : {std::numeric_limits<double>::max(), std::numeric_limits<double>::denorm_min(), -0.0}) {
    CHECK(std::bit_cast<uint64_t>(round_trip({edge, ""}).number) == std::bit_cast<uint64_t>(edge));
  }
}

TEST_CASE("text is quoted only where it would be taken for something else", "[core][config]") {
  for (const char* bare : {"vae", "cuda:1", "../data/text", "/data/mnist", "two words", "a.b-c_d", "none", "3rd"}) {
    INFO(bare);
    CHECK(written(std::string(bare)) == bare);
  }
  for (const char* text : {"",     " a",   "a ",          "5",    "-5",  "1e3",   "1.5",  "010",  "0x1F", "true", "No",
                           "null", "~",    "2020-01-02",  "a: b", "a:",  "a #b",  "#a",   "- a",  "[a]",  "{a}",  "*a",
                           "&a",   "!a",   "%a",          "@a",   "'a'", "\"a\"", "a\\b", "a\nb", "a\tb", "---",  "...",
                           ".inf", "a  b", "caf\xc3\xa9", "\x7f", "<<",  "?",     "12:30"}) {
    INFO(text);
    CHECK(written(std::string(text)).front() == '"');
    CHECK(round_trip({0, text}).text == text);
  }
}

TEST_CASE("a config is flattened to its leaves", "[core][config]") {
  Experiment e;
  e.model = {"vae", VAE{}};
  e.train.schedule = Off{};
  using Leaf = std::pair<std::string, std::string>;
  CHECK(flatten_config([&](Fields& f) { e.fields(f); }) ==
        std::vector<Leaf>{{"experiment", "unnamed"},
                          {"seed", "0"},
                          {"model.vae.latent_dim", "16"},
                          {"model.vae.hidden_dim", "400"},
                          {"train.steps", "1000"},
                          {"train.precision", "float32"},
                          {"train.optimizer.adamw.lr", "0.001"},
                          {"train.optimizer.adamw.beta1", "0.9"},
                          {"train.optimizer.adamw.weight_decay", "0.0"},
                          {"train.schedule", "off"},
                          {"train.ema", "none"}});
}

TEST_CASE("the schema describes every key and takes no other", "[core][config]") {
  Experiment e;
  const Json schema = Json::parse(config_schema("an experiment", [&](Fields& f) { e.fields(f); }));
  CHECK(schema["$schema"] == "https://json-schema.org/draft/2020-12/schema");
  CHECK(schema["title"] == "an experiment");
  CHECK(schema["required"] == Json({"model"}));
  CHECK(schema["additionalProperties"] == false);
  CHECK(schema["properties"]["seed"] ==
        Json({{"description", "of every random stream"}, {"type", "integer"}, {"default", 0}, {"minimum", 0}}));

  const Json& train = schema["properties"]["train"]["properties"];
  CHECK(train["steps"]["exclusiveMinimum"] == 0);
  CHECK(train["precision"]["enum"] == Json({"float32", "bfloat16"}));
  CHECK(train["precision"]["default"] == "float32");
  CHECK(train["ema"]["oneOf"][0]["const"] == "none");
  CHECK(train["ema"]["oneOf"][1]["properties"].contains("halflife_images"));

  const Json& optimizer = train["optimizer"];
  CHECK(optimizer["default"] == "adamw");
  REQUIRE(optimizer["oneOf"].size() == 3);
  CHECK(optimizer["oneOf"][0]["enum"] == Json({"adamw", "sgd"}));
  CHECK(optimizer["oneOf"][2]["required"] == Json::array({"sgd"}));
  const Json& sgd = optimizer["oneOf"][2]["properties"]["sgd"];
  CHECK(sgd["additionalProperties"] == false);
  CHECK(sgd["properties"]["momentum"]["minimum"] == 0);
  CHECK(sgd["properties"]["momentum"]["exclusiveMaximum"] == 1);

  const Json& gan = schema["properties"]["model"]["oneOf"][2]["properties"]["gan"];
  CHECK(gan["description"] == "generative adversarial network");
  CHECK(gan["properties"]["widths"]["items"] == Json({{"type", "integer"}, {"minimum", 1}, {"maximum", 4096}}));
  CHECK(gan["properties"]["widths"]["default"] == Json({256, 128}));
}

TEST_CASE("every key is documented, and looking changes nothing", "[core][config]") {
  Experiment e;
  e.train.optimizer = AdamW{0.5, 0.9, 0.0};
  const std::string before = write_config(e);
  std::map<std::string, KeyDoc> rows;
  for (const KeyDoc& row : document_config([&](Fields& f) { e.fields(f); })) rows[row.key] = row;
  config_schema("an experiment", [&](Fields& f) { e.fields(f); });
  CHECK(write_config(e) == before);
  CHECK(e.model.name.empty());

  CHECK(rows.size() == 23);
  CHECK(rows["seed"].type == "integer");
  CHECK(rows["seed"].fallback == "0");
  CHECK(rows["seed"].range == "at least 0");
  CHECK(rows["seed"].doc == "of every random stream");
  CHECK(rows["model"].type == "one of vae, gan");
  CHECK(rows["model"].fallback.empty());
  CHECK(rows["model.gan.widths"].fallback == "[256, 128]");
  CHECK(rows["train.optimizer.adamw.lr"].fallback == "0.5");
  CHECK(rows["train.optimizer.sgd.lr"].fallback == "0.1");
  CHECK(rows["train.ema"].fallback == "none");
  CHECK(rows["train.ema.halflife_images"].fallback == "50000");
}

TEST_CASE("a choice that is in no table is a mistake of the program", "[core][config]") {
  Experiment e;
  e.model = {"none_such", {}};
  CHECK_THROWS_AS(write_config(e), std::logic_error);
}
