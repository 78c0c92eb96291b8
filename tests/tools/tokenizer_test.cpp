// `genzoo tokenizer`: learns, encodes and decodes, and says what is wrong.
#include "core/json.h"
#include "core/safetensors.h"
#include "tests/tools/program.h"

namespace genzoo {

using Catch::Matchers::Contains;

TEST_CASE("a tokenizer is learned, and a text becomes tokens and text again", "[tools][tokenizers]") {
  const TempDir folder;
  const Surroundings here{folder.path()};
  std::string text;
  for (int i = 0; i < 20; ++i) text += "In the beginning God created the heaven and the earth.\n\n \xff";
  write_text(folder / "genesis.txt", text);

  const Ended trained = genzoo({"tokenizer", "train", "genesis.txt", "--vocab-size", "280", "--out", "t.json"}, here);
  INFO(trained.err);
  REQUIRE(trained.code == 0);
  CHECK_THAT(trained.out, Contains("t.json: 280 tokens, learned from 1160 bytes"));
  const Json file = parse_json(read_text(folder / "t.json"), "t.json");
  CHECK(file.at("added_tokens").at(0).at("content") == "<|endoftext|>");
  CHECK(file.at("model").at("merges").size() == 280 - 257);

  const Ended encoded =
      genzoo({"tokenizer", "encode", "--tokenizer", "t.json", "genesis.txt", "--out", "x.safetensors", "--json"}, here);
  INFO(encoded.err);
  REQUIRE(encoded.code == 0);
  const Tensor tokens = read_safetensors(folder / "x.safetensors").tensors.at("tokens");
  CHECK(tokens.scalar_type() == torch::kUInt16);
  CHECK(parse_json(encoded.out, "encode").at("tokens") == tokens.size(0));
  CHECK(tokens.size(0) < static_cast<int64_t>(text.size()) / 2);

  REQUIRE(genzoo({"tokenizer", "decode", "--tokenizer", "t.json", "x.safetensors", "--out", "again.txt"}, here).code ==
          0);
  CHECK(read_text(folder / "again.txt") == text);

  REQUIRE(genzoo({"tokenizer", "train", "genesis.txt", "--vocab-size", "270", "--out", "u.json"}, here).code == 0);
  const Ended other =
      genzoo({"tokenizer", "decode", "--tokenizer", "u.json", "x.safetensors", "--out", "no.txt"}, here);
  CHECK(other.code == 2);
  CHECK_THAT(other.err, Contains("made by another tokenizer"));
  CHECK_FALSE(std::filesystem::exists(folder / "no.txt"));
}

TEST_CASE("tokenizer says what is wrong before it reads anything", "[tools][tokenizers]") {
  const auto error_of = [](std::vector<std::string> words) {
    words.insert(words.begin(), "tokenizer");
    return usage_error_of(words);
  };
  CHECK_THAT(error_of({"trian", "x.txt", "--out", "y", "--vocab-size", "300"}),
             Contains("no action 'trian'") && Contains("'train'"));
  CHECK_THAT(error_of({"train", "x.txt", "--out", "y"}), Contains("tokenizer train: --vocab-size is missing"));
  CHECK_THAT(error_of({"train", "x.txt", "--out", "y", "--vocab-size", "300", "--tokenizer", "t"}),
             Contains("--tokenizer is of another action"));
  CHECK_THAT(error_of({"train", "nowhere.txt", "--out", "y", "--vocab-size", "300"}), Contains("nowhere.txt"));
  CHECK_THAT(error_of({"encode", "x.txt", "--out", "y"}), Contains("tokenizer encode: --tokenizer is missing"));
  CHECK_THAT(error_of({"encode", "x.txt", "--out", "y", "--tokenizer", "nowhere"}), Contains("nowhere"));
  CHECK_THAT(error_of({"decode", "x", "--out", "y", "--tokenizer", "t", "--min-frequency", "3"}),
             Contains("--min-frequency is of another action"));
  CHECK_THAT(error_of({"decode", "x", "--out", "y", "--tokenizer", "t", "--whole"}),
             Contains("--whole is of another action"));
}

TEST_CASE("an empty text is refused, to learn from and to encode", "[tools][tokenizers]") {
  const TempDir folder;
  const Surroundings here{folder.path()};
  write_text(folder / "empty.txt", "");
  write_text(folder / "t.json", R"({"type":"bytes"})");
  const Ended trained = genzoo({"tokenizer", "train", "empty.txt", "--vocab-size", "300", "--out", "u.json"}, here);
  CHECK(trained.code == 2);
  CHECK_THAT(trained.err, Contains("tokenizer train: there is no text in the files"));
  const Ended encoded = genzoo({"tokenizer", "encode", "--tokenizer", "t.json", "empty.txt", "--out", "x"}, here);
  CHECK(encoded.code == 2);
  CHECK_THAT(encoded.err, Contains("empty.txt is empty"));
  CHECK_FALSE(std::filesystem::exists(folder / "u.json"));
}

TEST_CASE("a whole text gets its beginning and end when asked for, and not otherwise", "[tools][tokenizers]") {
  const TempDir folder;
  const Surroundings here{folder.path()};
  write_text(folder / "t.json",
             R"({"model":{"type":"BPE","vocab":{"a":0,"<s>":1,"</s>":2},"merges":[]},"post_processor":)"
             R"({"type":"BertProcessing","cls":["<s>",1],"sep":["</s>",2]}})");
  write_text(folder / "a.txt", "aa");
  const auto tokens_of = [&](std::vector<std::string> more) {
    std::vector<std::string> words{"tokenizer", "encode", "--tokenizer", "t.json", "a.txt", "--out", "x"};
    words.insert(words.end(), more.begin(), more.end());
    REQUIRE(genzoo(words, here).code == 0);
    return read_safetensors(folder / "x").tensors.at("tokens").to(torch::kLong);
  };
  CHECK(torch::equal(tokens_of({}), torch::tensor({0, 0})));
  CHECK(torch::equal(tokens_of({"--whole"}), torch::tensor({1, 0, 0, 2})));
}

// Of more than 64 KiB, so that a checkpoint keeps it as a tensor.
TEST_CASE("a model of byte pairs is trained, resumed to the same bytes, evaluated and generates",
          "[tools][tokenizers]") {
  const TempDir folder;
  std::string vocabulary = R"("t":0,"h":1,"e":2," ":3,"\n":4,"th":5,"the":6)";
  for (int i = 7; i < 5000; ++i) vocabulary += fmt::format(R"(,"<unused {}>":{})", i, i);
  write_text(folder / "t.json", R"({"model":{"type":"BPE","vocab":{)" + vocabulary + R"(},"merges":["t h","th e"]}})");
  std::string text;
  for (int i = 0; i < 200; ++i) text += "the thee eth\n";
  write_text(folder / "the.txt", text);
  write_text(folder / "c.yaml",
             "experiment: c\nthreads: 1\ndata: {text: {file: the.txt, tokens: {tokenizer: {path: t.json}}}}\n"
             "model: {transformer: {n_layer: 1, n_head: 1, n_embd: 4, block_size: 8}}\n"
             "train: {steps: 4, batch_size: 4, optimizer: {adamw: {lr: 1.0e-3}}, every: {save: 2}}\n");
  const Surroundings here{folder.path()};
  const auto done = [&](std::vector<std::string> words) {
    const Ended ended = genzoo(words, here);
    INFO(ended.err);
    REQUIRE(ended.code == 0);
    return ended.out;
  };
  done({"train", "c.yaml", "--run", "whole", "--quiet"});
  done({"train", "c.yaml", "--run", "parts", "--quiet"});
  std::filesystem::remove(folder / "parts/checkpoints/000000004.safetensors");
  done({"train", "c.yaml", "--run", "parts", "--quiet", "--resume"});
  const std::string checkpoint = "checkpoints/000000004.safetensors";
  CHECK(read_text(folder / "whole" / checkpoint) == read_text(folder / "parts" / checkpoint));
  CHECK(read_safetensors_header(folder / "whole" / checkpoint).tensors.contains("data.tokenizer"));
  CHECK_THAT(done({"evaluate", "whole", "--json"}), Contains("bits/byte"));
  std::filesystem::remove(folder / "t.json");  // the checkpoint alone suffices
  CHECK_FALSE(done({"generate", "whole", "--prompt", "the", "--tokens", "5"}).empty());
}

TEST_CASE("tokens of another kind are refused by `tokenizer decode`", "[tools][tokenizers]") {
  const TempDir folder;
  write_text(folder / "vocab.json", R"({"a": 0})");
  write_text(folder / "merges.txt", "");
  const auto decode = [&](const Tensor& tokens) {
    write_safetensors(folder / "x.safetensors", {{"tokens", tokens}});
    return genzoo({"tokenizer", "decode", (folder / "x.safetensors").string(), "--tokenizer", folder.path().string(),
                   "--out", (folder / "y").string()});
  };
  CHECK(decode(torch::tensor({0, 0})).code == 0);
  CHECK(read_text(folder / "y") == "aa");
  for (const Tensor& bad : {torch::tensor({0.0F}), torch::tensor({{0}})}) {
    const Ended ended = decode(bad);
    CHECK(ended.code == 1);
    CHECK_THAT(ended.err, Contains("no array `tokens` of whole numbers"));
  }
  CHECK(decode(torch::tensor({1})).code == 1);
}

}  // namespace genzoo
