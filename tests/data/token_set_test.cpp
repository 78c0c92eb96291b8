#include "data/token_set.h"

#include "core/error.h"
#include "core/file.h"
#include "core/safetensors.h"
#include "data/text.h"
#include "data/tokenizers/token_file.h"
#include "data/tokenizers/tokenizer.h"
#include "tests/support.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

/// A folder with a tokenizer of words and a text's tokens. `words` many of them make those of 16 bits or of 32.
struct Prepared {
  explicit Prepared(int64_t words) {
    std::string vocabulary = R"("<unk>":0)";
    for (int64_t i = 1; i < words; ++i) vocabulary += ",\"w" + std::to_string(i) + "\":" + std::to_string(i);
    write_file_whole(folder / "tokenizer.json",
                     R"({"pre_tokenizer":{"type":"WhitespaceSplit"},"model":{"type":"WordLevel",)"
                     R"("unk_token":"<unk>","vocab":{)" +
                         vocabulary + "}}}");
    for (int64_t i = 0; i < 400; ++i) text += "w" + std::to_string(i * i * 7919 % words) + " ";
    tokenizer = open_tokenizer(folder.path());
    write_tokens(file(), tokenizer->encode(text), *tokenizer);
  }
  fs::path file() const { return folder / "tokens.safetensors"; }
  TokenFileConfig config() const { return {.file = file(), .tokenizer = folder.path(), .validation = 0.25}; }

  TempDir folder;
  std::string text;
  std::unique_ptr<Tokenizer> tokenizer;
};

}  // namespace

TEST_CASE("tokens in a file make the batches that they make in memory", "[data]") {
  for (const int64_t words : {50, 60000, 70000}) {
    INFO(words);
    const Prepared prepared(words);
    const Dataset mapped = open(prepared.config(), DataPlaces{});
    const Tensor tokens = prepared.tokenizer->encode(prepared.text).to(torch::kInt);
    Dataset in_memory = mapped;
    in_memory.train.x = tokens.narrow(/*dim=*/0, 0, 300);
    in_memory.validation.x = tokens.narrow(/*dim=*/0, 300, 100);
    CHECK(tokens.max().item<int64_t>() > words / 2);
    CHECK(mapped.train.x.scalar_type() == (words > 65536 ? torch::kInt : torch::kUInt16));
    CHECK(mapped.count(Split::train) == 300);
    CHECK(mapped.spec.vocabulary == words);
    CHECK(mapped.spec.tokenizer == prepared.tokenizer->to_json());
    const TrainingSource a(mapped, 4, 16, 7, torch::kCPU), b(in_memory, 4, 16, 7, torch::kCPU);
    for (const int64_t index : {0, 5, 1}) {
      CHECK(torch::equal(a.batch(index).x, b.batch(index).x));
      CHECK(torch::equal(a.batch(index).y, b.batch(index).y));
      CHECK(a.batch(index).x.scalar_type() == torch::kLong);
    }
    const EvaluationSource c(mapped, Split::validation, 2, 16, 0, torch::kCPU);
    const EvaluationSource d(in_memory, Split::validation, 2, 16, 0, torch::kCPU);
    REQUIRE(c.batches() == d.batches());
    for (int64_t i = 0; i < c.batches(); ++i) CHECK(torch::equal(c.batch(i).x, d.batch(i).x));
    CHECK(mapped.digest() == open(prepared.config(), DataPlaces{}).digest());
  }
}

TEST_CASE("a file of tokens that does not fit is refused in one line", "[data]") {
  const Prepared prepared(50);
  const auto error_of = [&](const TokenFileConfig& config) {
    try {
      open(config, DataPlaces{});
    } catch (const std::runtime_error& error) {
      return std::string(error.what());
    }
    return std::string("opened");
  };
  CHECK(error_of(prepared.config()) == "opened");
  CHECK_THROWS_AS(open(TokenFileConfig{}, DataPlaces{}), UsageError);
  CHECK_THAT(error_of({.file = prepared.file(), .tokenizer = ""}), Contains("data.token_file.tokenizer: empty"));
  TokenFileConfig config = prepared.config();
  config.file = prepared.folder / "nowhere";
  CHECK_THAT(error_of(config), Contains("there is no file"));
  config = prepared.config();
  config.tokenizer = prepared.folder / "nowhere";
  CHECK_THAT(error_of(config), Contains("there is no file") && Contains("nowhere"));
  const Prepared other(51);
  config.tokenizer = other.folder.path();
  CHECK_THAT(error_of(config), Contains("made by another tokenizer"));
  CHECK_THROWS_AS(open(config, DataPlaces{}), UsageError);

  config = prepared.config();
  const auto with = [&](const Tensor& tokens) {
    write_safetensors(prepared.file(), {{"tokens", tokens}});  // which does not tell what made it
    return error_of(config);
  };
  CHECK(with(torch::tensor({0, 49, 3}, torch::kInt).to(torch::kUInt16)) == "opened");
  CHECK_THAT(with(torch::tensor({0, 50, 3}, torch::kInt).to(torch::kUInt16)), Contains("token 50, wanted 0 to 49"));
  CHECK_THAT(with(torch::tensor({0, -1}, torch::kInt)), Contains("token -1, wanted 0 to 49"));
  CHECK_THAT(with(torch::zeros({3}, torch::kLong)), Contains("wanted uint16 or uint32"));
  CHECK_THAT(with(torch::zeros({3})), Contains("no array `tokens` of whole numbers"));
  CHECK_THAT(with(torch::zeros({0}, torch::kInt)), Contains("no tokens"));
  const std::string bytes = read_file(prepared.file());
  write_file_whole(prepared.file(), bytes.substr(0, bytes.size() - 3));
  CHECK_THAT(error_of(config), Contains("is damaged"));
}

}  // namespace genzoo
