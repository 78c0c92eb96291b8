// Byte-pair tokenizers against Hugging Face's `tokenizers` (tests/reference/tokenizers.py) and GPT-2's published files.
#include "data/tokenizers/pipeline.h"

#include <algorithm>
#include <map>

#include "core/error.h"
#include "core/file.h"
#include "data/dataset.h"
#include "data/tokenizers/byte_level.h"
#include "tests/support.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

const SortedJson& reference() {
  static const SortedJson file =
      parse_sorted_json(read_file(GENZOO_SOURCE_DIR "/tests/reference/tokenizers.json"), "reference");
  return file;
}

std::vector<int64_t> encoded(const Tokenizer& tokenizer, const std::string& text) {
  const Tensor tokens = tokenizer.encode(text);
  return {tokens.const_data_ptr<int64_t>(), tokens.const_data_ptr<int64_t>() + tokens.numel()};
}

/// Mostly no UTF-8.
std::string random_bytes(int64_t count, uint64_t seed) {
  Rng rng = Rng::for_batch(seed, Purpose::synthetic_data, /*step=*/0);
  const Tensor bytes = rng.integers(256, {count}).to(torch::kByte);
  return {static_cast<const char*>(bytes.const_data_ptr()), static_cast<size_t>(count)};
}

/// Null where the files are not at hand.
std::unique_ptr<Tokenizer> gpt2() {
  const fs::path folder = DataPlaces::from_environment().given / "gpt2";
  return fs::exists(folder / "vocab.bpe") ? open_tokenizer(folder) : nullptr;
}

}  // namespace

TEST_CASE("bytes have printable characters, there and back", "[data][tokenizers]") {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  CHECK(printable_of("a \n") == "a\xc4\xa0\xc4\x8a");  // Radford et al.: a, U+0120, U+010A
  CHECK(bytes_of_printable(printable_of(all)) == all);
  CHECK_FALSE(bytes_of_printable(" "));
  CHECK_FALSE(bytes_of_printable("\xe4\xbd\xa0"));
  CHECK_FALSE(bytes_of_printable("\xff"));
}

TEST_CASE("merges are learned as `tokenizers` learns them, ties too", "[data][tokenizers]") {
  for (const SortedJson& each : reference().at("trained")) {
    const auto text = each.at("text").get<std::string>();
    INFO(text);
    PieceCounts counts;
    count_pieces(text, counts);
    const BytePairVocabulary learned =
        train_byte_pairs(counts, each.at("vocab_size").get<int64_t>(), each.at("min_frequency").get<int64_t>(),
                         each.at("special").get<std::vector<std::string>>());
    std::vector<std::string> tokens;
    for (const std::string& token : learned.tokens) tokens.push_back(printable_of(token));
    SortedJson merges = SortedJson::array();
    for (const auto& [left, right] : learned.merges) merges.push_back({tokens[left], tokens[right]});
    CHECK(tokens == each.at("tokens").get<std::vector<std::string>>());
    CHECK(merges == each.at("merges"));
  }
}

TEST_CASE("in which order pieces were counted does not change what is learned", "[data][tokenizers]") {
  PieceCounts counts;
  for (const SortedJson& each : reference().at("trained")) count_pieces(each.at("text").get<std::string>(), counts);
  PieceCounts otherwise(4096);
  for (const auto& [piece, count] : std::map<std::string, int64_t>(counts.begin(), counts.end()))
    otherwise[piece] = count;
  const auto learned = train_byte_pairs(counts, 400, 1, {}), same = train_byte_pairs(otherwise, 400, 1, {});
  CHECK(learned.tokens == same.tokens);
  CHECK(learned.merges == same.merges);
  CHECK(learned.tokens.size() == 400);
}

TEST_CASE("texts are encoded and decoded as by `tokenizers`", "[data][tokenizers]") {
  for (const SortedJson& each : reference().at("encoded")) {
    INFO(each.at("name").get<std::string>());
    SortedJson file = reference().at("tokenizer");
    file.update(each.at("tokenizer"));
    const auto tokenizer = pipeline_from_json(file);
    const auto again = tokenizer_from_json(tokenizer->to_json());
    CHECK(again->to_json() == tokenizer->to_json());
    for (const SortedJson& example : each.at("texts")) {
      const auto text = example.at("text").get<std::string>();
      INFO(text);
      CHECK(encoded(*tokenizer, text) == example.at("ids").get<std::vector<int64_t>>());
      CHECK(encoded(*again, text) == encoded(*tokenizer, text));
      const SortedJson& decoded = example.at("decoded");
      if (!decoded.is_null()) CHECK(tokenizer->decode(tokenizer->encode(text)) == decoded.get<std::string>());
    }
  }
}

TEST_CASE("byte-level tokens are any bytes at all, there and back", "[data][tokenizers]") {
  const auto tokenizer = pipeline_from_json(reference().at("tokenizer"));
  CHECK(tokenizer->unit() == "token");
  for (const int64_t count : {0, 1, 7, 1000, 50000}) {
    const std::string text = random_bytes(count, static_cast<uint64_t>(count));
    CHECK(tokenizer->decode(tokenizer->encode(text)) == text);
  }
  const std::string mixed = "light \xff\xfelight\xc3 the \xed\xa0\x80 earth";
  CHECK(tokenizer->decode(tokenizer->encode(mixed)) == mixed);
  CHECK_THROWS_AS(tokenizer->decode(torch::tensor({tokenizer->vocabulary()})), RunError);
}

TEST_CASE("one long piece takes time in proportion to its length", "[data][tokenizers]") {
  const auto tokenizer = pipeline_from_json(reference().at("tokenizer"));
  const std::string text(1 << 20, 'a');  // of 2^40 pairs, if each merge looked at all
  CHECK(tokenizer->decode(tokenizer->encode(text)) == text);
}

TEST_CASE("GPT-2's tokens are those published", "[data][tokenizers]") {
  const auto tokenizer = gpt2();
  if (!tokenizer) SKIP("no $GENZOO_DATA/gpt2 with vocab.bpe and encoder.json");
  using Tokens = std::vector<int64_t>;
  CHECK(tokenizer->vocabulary() == 50257);
  CHECK(encoded(*tokenizer, "hello world") == Tokens{31373, 995});
  CHECK(encoded(*tokenizer, "indivisible") == Tokens{521, 452, 12843});
  CHECK(encoded(*tokenizer, "hello \xf0\x9f\x91\x8b world \xf0\x9f\x8c\x8d") ==
        Tokens{31373, 50169, 233, 995, 12520, 234, 235});
  CHECK(encoded(*tokenizer, "<|endoftext|>") == Tokens{50256});
  const std::string bytes = random_bytes(20000, 1);
  CHECK(tokenizer->decode(tokenizer->encode(bytes)) == bytes);
}

TEST_CASE("tiny Shakespeare has as many GPT-2 tokens as nanoGPT counts", "[data][tokenizers]") {
  const auto tokenizer = gpt2();
  const fs::path file = DataPlaces::from_environment().given / "tiny_shakespeare/tinyshakespeare.txt";
  if (!tokenizer || !fs::exists(file)) SKIP("no $GENZOO_DATA/gpt2, or no $GENZOO_DATA/tiny_shakespeare");
  const std::string text = read_file(file);
  const size_t train = text.size() * 9 / 10;
  CHECK(tokenizer->encode(text.substr(0, train)).numel() == 301966);
  CHECK(tokenizer->encode(text.substr(train)).numel() == 36059);
}

TEST_CASE("a tokenizer.json that is damaged or not supported is refused in one line", "[data][tokenizers]") {
  const auto error_of = [](const char* path, const SortedJson& value) {
    SortedJson file = reference().at("tokenizer");
    file[SortedJson::json_pointer(path)] = value;
    try {
      pipeline_from_json(file);
    } catch (const RunError& error) {
      return std::string(error.what());
    }
    return std::string("read");
  };
  CHECK(error_of("/model", nullptr) == "tokenizer: tokenizer.json: \"model\" is missing, or no object");
  CHECK_THAT(error_of("/model/type", "Trigram"), Contains("a model of type \"Trigram\" is not known"));
  CHECK_THAT(error_of("/model/vocab", SortedJson::array()), Contains("\"vocab\" is missing, or no object"));
  CHECK_THAT(error_of("/model/vocab/a", -1), Contains("the index -1"));
  CHECK_THAT(error_of("/model/vocab/a", 1e9), Contains("the index 1000000000.0"));
  CHECK_THAT(error_of("/model/vocab/a", int64_t{1} << 40), Contains("the index 1099511627776"));
  CHECK_THAT(error_of("/model/vocab/a", 1), Contains("the index 1 is of"));
  CHECK_THAT(error_of("/model/merges/0", "th"), Contains("merge 0 is \"th\", wanted two tokens"));
  CHECK_THAT(error_of("/model/merges/0", "t zzz"), Contains("\"zzz\", which is no token"));
  CHECK_THAT(error_of("/model/merges/0", SortedJson({"z", "q"})), Contains("what they make together"));
  CHECK_THAT(error_of("/model/merges/0", SortedJson({"z", 1})), Contains("wanted two tokens"));
  CHECK_THAT(error_of("/model/unk_token", "<none>"), Contains("unk_token \"<none>\" is no token"));
  CHECK_THAT(error_of("/model/dropout", 0.1), Contains("\"dropout\" is not supported"));
  CHECK_THAT(error_of("/model/fuse_unk", 3), Contains("\"fuse_unk\", wanted true or false"));
  CHECK_THAT(error_of("/normalizer", {{"type", "NFE"}}), Contains("a normalizer of type \"NFE\" is not known"));
  CHECK_THAT(error_of("/pre_tokenizer/type", "Letters"), Contains("a pre_tokenizer of type \"Letters\" is not known"));
  CHECK_THAT(error_of("/pre_tokenizer", {{"type", "Split"}, {"behavior", "Kept"}}), Contains("behavior \"Kept\""));
  CHECK_THAT(error_of("/pre_tokenizer", {{"type", "Split"}, {"behavior", "Isolated"}, {"pattern", {{"Regex", "("}}}}),
             Contains("the pattern \"(\" cannot be read"));
  CHECK_THAT(error_of("/model/vocab/a", (1 << 24) - 1), Contains("the index 16777215"));
  CHECK_THAT(error_of("/model/vocab/", 3), Contains("the token with the index 3 is empty"));
  CHECK_THAT(error_of("/decoder", {{"type", "CTC"}}), Contains("a decoder of type \"CTC\""));
  const SortedJson last{{"type", "Sequence"},
                        {"pretokenizers", {reference().at("tokenizer").at("pre_tokenizer"), {{"type", "Digits"}}}}};
  CHECK_THAT(error_of("/pre_tokenizer", last), Contains("after ByteLevel is not supported"));
  CHECK_THROWS_WITH(tokenizer_from_json(std::string(100000, '[') + std::string(100000, ']')),
                    Contains("100000 levels of lists and objects"));
  CHECK_THROWS_WITH(tokenizer_from_json("{\"model\": 1e999}"), Contains("tokenizer: not JSON"));
  CHECK_THAT(error_of("/added_tokens", {{{"content", ""}, {"id", 3}}}), Contains("one of them is empty"));
  CHECK_THAT(error_of("/added_tokens", {{{"content", "<s>"}}}), Contains("the index null"));
}

TEST_CASE("a tokenizer is found in a file or a folder, and errors name it", "[data][tokenizers]") {
  const TempDir folder;
  CHECK_THROWS_AS(open_tokenizer(folder / "nowhere.json"), UsageError);
  CHECK_THROWS_WITH(open_tokenizer(folder.path()), Contains("no tokenizer.json, tokenizer.model, nor vocab.bpe"));
  write_file_whole(folder / "vocab.json", R"({"a": 0, "b": 1, "ab": 2, "<|endoftext|>": 3})");
  write_file_whole(folder / "merges.txt", "#version: 0.2\r\na b\r\n");
  const auto tokenizer = open_tokenizer(folder.path());
  CHECK(encoded(*tokenizer, "abb<|endoftext|>a") == std::vector<int64_t>{2, 1, 3, 0});
  CHECK_THROWS_WITH(tokenizer->encode("abc"), Contains("the byte 0x63 has no token"));
  write_file_whole(folder / "merges.txt", "ab\n");
  CHECK_THROWS_WITH(open_tokenizer(folder.path()), Contains("merge 0 is \"ab\", wanted two tokens"));
  write_file_whole(folder / "tokenizer.json", "{");
  CHECK_THROWS_WITH(open_tokenizer(folder.path()), Contains("tokenizer.json: tokenizer: not JSON"));
}

}  // namespace genzoo
