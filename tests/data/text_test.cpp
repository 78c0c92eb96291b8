#include "data/text.h"

#include <cstdlib>
#include <fstream>

#include "core/error.h"
#include "data/tokenizers/tokenizer.h"
#include "tests/support.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

void write(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

std::string decoded(const Dataset& set, Split split) {
  return tokenizer_from_json(set.spec.tokenizer)->decode(set[split].x);
}

// An environment variable changed while this lives.
class ChangedEnvironment final {
 public:
  ChangedEnvironment(const char* name, const std::string& value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    setenv(name, value.c_str(), 1);
  }
  ~ChangedEnvironment() {
    if (before_) {
      setenv(name_, before_->c_str(), 1);
    } else {
      unsetenv(name_);
    }
  }
  ChangedEnvironment(const ChangedEnvironment&) = delete;
  ChangedEnvironment& operator=(const ChangedEnvironment&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

}  // namespace

TEST_CASE("a text is split at its end, its tokens kept small", "[data]") {
  const TempDir folder;
  std::string text;
  for (int i = 0; i < 105; ++i) text += static_cast<char>('a' + i % 7);
  write(folder / "t.txt", text);
  TextConfig config;
  config.file = folder / "t.txt";
  const Dataset set = open(config, DataPlaces{});
  CHECK(set.spec.vocabulary == 7);
  CHECK(set.spec.token_unit == "char");
  CHECK(set.spec.describe() == "text of chars, vocabulary 7");
  CHECK(set.train.x.scalar_type() == torch::kByte);
  CHECK_FALSE(set.has(Split::test));
  // floor(105 * 0.9) = 94 characters.
  CHECK(decoded(set, Split::train) == text.substr(0, 94));
  CHECK(decoded(set, Split::validation) == text.substr(94));

  config.tokens = ByteTokens{};
  CHECK(open(config, DataPlaces{}).spec.vocabulary == 256);
  CHECK(open(config, DataPlaces{}).spec.token_unit == "byte");
}

TEST_CASE("a text of many pieces and characters is encoded as a whole one", "[data]") {
  // 400 characters of two bytes, beyond a piece of 4 MiB, so that pieces would end within a character.
  std::string text = "x";
  for (int i = 0; i < 2200000; ++i) {
    const int c = 0x400 + i % 400;
    text += {static_cast<char>(0xc0 | c >> 6), static_cast<char>(0x80 | (c & 0x3f))};
  }
  const Dataset set = make_text_dataset("long", text, CharacterTokens{}, 0.5, "here");
  CHECK(set.spec.vocabulary == 401);
  CHECK(set.train.x.scalar_type() == torch::kInt);
  CHECK(set.count(Split::train) + set.count(Split::validation) == 2200001);
  CHECK(decoded(set, Split::train) + decoded(set, Split::validation) == text);
}

TEST_CASE("byte pairs are learned from the training part, which ends at a character", "[data]") {
  std::string text;
  for (int i = 0; i < 90; ++i) text += "ab \xc3\xa9";  // 360 characters
  for (int i = 0; i < 20; ++i) text += "cd";           // 40
  const Dataset set =
      make_text_dataset("pairs", text, BytePairTokens{.vocab_size = 300, .min_frequency = 2}, 0.1, "here");
  CHECK(set.spec.token_unit == "token");
  CHECK(decoded(set, Split::train) == text.substr(0, 90 * 5));
  CHECK(decoded(set, Split::validation) == text.substr(90 * 5));
  CHECK(set.spec.vocabulary < 300);           // no pair is left
  CHECK(set.count(Split::train) == 91);       // "ab", then " \xc3\xa9" "ab" as one piece, " \xc3\xa9" at the end
  CHECK(set.count(Split::validation) == 40);  // "cd" was never seen
  CHECK(decoded(make_text_dataset("odd", "\xc3\xa9\xc3\xa9\xc3\xa9", BytePairTokens{}, 0.5, "here"), Split::train) ==
        "\xc3\xa9");
}

TEST_CASE("a text is read with a tokenizer that is there", "[data]") {
  const TempDir folder;
  write(folder / "vocab.json", R"({"a": 0, "b": 1, "ab": 2})");
  write(folder / "merges.txt", "a b\n");
  const Dataset set = make_text_dataset("given", "ababab", TokenizerTokens{folder.path()}, 0.34, "here");
  CHECK(torch::equal(set.train.x, torch::tensor({2, 0}, torch::kInt)));  // "aba"
  CHECK(torch::equal(set.validation.x, torch::tensor({1, 2}, torch::kInt)));
  CHECK(set.spec.vocabulary == 3);
  CHECK_THROWS_AS(make_text_dataset("given", "ab", TokenizerTokens{folder / "nowhere"}, 0.5, "here"), UsageError);
}

TEST_CASE("texts that cannot be learned are refused", "[data]") {
  const TempDir folder;
  TextConfig config;
  CHECK_THROWS_AS(open(config, DataPlaces{}), UsageError);
  config.file = folder / "nowhere.txt";
  CHECK_THROWS_AS(open(config, DataPlaces{}), UsageError);
  config.file = folder / "t.txt";
  write(config.file, "");
  CHECK_THROWS_WITH(open(config, DataPlaces{}), Contains("t.txt: the file is empty"));
  write(config.file, "good \xff bad");
  CHECK_THROWS_AS(open(config, DataPlaces{}), RunError);
  CHECK_THROWS_WITH(open(config, DataPlaces{}), Contains("t.txt: tokenizer: byte 0xff at position 5 is not UTF-8"));
  config.tokens = ByteTokens{};
  CHECK(decoded(open(config, DataPlaces{}), Split::train) == std::string("good \xff bad").substr(0, 9));
}

TEST_CASE("verse references are stripped, and a line without one is refused", "[data]") {
  CHECK(strip_references("Ge1:1 In the beginning\n1Jn2:3 And  hereby\n") == "In the beginning\nAnd  hereby\n");
  CHECK(strip_references("").empty());
  CHECK_THROWS_WITH(strip_references("Ge1:1 In\nno reference\n"), Contains("the line \"no reference\""));
}

TEST_CASE("king_james comes from its folder, else from the program bible, else says what to install", "[data]") {
  const TempDir folder;
  fs::create_directories(folder / "king_james");
  DataPlaces places{folder.path(), {}, {}};
  {
    const ChangedEnvironment no_programs("PATH", folder / "no-programs");
    CHECK_THROWS_WITH(open(KingJamesConfig{}, places),
                      "data/king_james: not found: the program `bible` is not installed; apt install bible-kjv, or put "
                      "the text into " +
                          (folder / "king_james/king_james.txt").string());
  }
  {
    fs::create_directories(folder / "bin");
    write(folder / "bin/bible", "#!/bin/sh\necho 'Ge1:1 In the beginning'\n");
    fs::permissions(folder / "bin/bible", fs::perms::owner_all);
    const ChangedEnvironment other_bible("PATH", folder / "bin");
    CHECK_THROWS_WITH(open(KingJamesConfig{}, places),
                      Contains("printed 1 lines and ended with status 0, wanted 31102"));
  }
  write(folder / "king_james/king_james.txt", "In the beginning God created the heaven and the earth.\n");
  CHECK(decoded(open(KingJamesConfig{}, places), Split::train).starts_with("In the beginning God"));
  KingJamesConfig elsewhere;
  elsewhere.root = folder / "nowhere";
  CHECK_THROWS_WITH(open(elsewhere, places), Contains("looked for king_james.txt in " + elsewhere.root));
}

TEST_CASE("the King James text has its 31,102 verses", "[data]") {
  if (std::system("command -v bible > /dev/null") != 0) SKIP("no program `bible` (package bible-kjv)");
  const Dataset set = open(KingJamesConfig{}, DataPlaces{});
  const std::string text = decoded(set, Split::train) + decoded(set, Split::validation);
  CHECK(std::count(text.begin(), text.end(), '\n') == 31102);
  CHECK(text.size() == 4137850);  // Debian 12's
  CHECK(text.starts_with("In the beginning God created the heaven and the earth.\n"));
  CHECK(text.ends_with("\nThe grace of our Lord Jesus Christ be with you all. Amen.\n"));
  CHECK(set.count(Split::train) == 3724065);
}

TEST_CASE("tiny_shakespeare is as nanoGPT prepares it", "[data]") {
  const auto folder = data_dir("tiny_shakespeare");
  if (!folder) SKIP("no $GENZOO_DATA/tiny_shakespeare");
  TinyShakespeareConfig config;
  config.root = *folder;
  const Dataset set = open(config, DataPlaces{});
  // "vocab size: 65, train has 1,003,854 tokens, val has 111,540 tokens" (nanoGPT, data/shakespeare_char/prepare.py)
  CHECK(set.spec.vocabulary == 65);
  CHECK(set.count(Split::train) == 1003854);
  CHECK(set.count(Split::validation) == 111540);
  const auto tokenizer = tokenizer_from_json(set.spec.tokenizer);
  CHECK(tokenizer->decode(torch::arange(65)) == "\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
}

TEST_CASE("tiny_shakespeare is found under either name, or what to do is said", "[data]") {
  const TempDir folder;
  const DataPlaces places{{}, folder.path(), {}};
  CHECK_THROWS_WITH(open(TinyShakespeareConfig{}, places),
                    "data/tiny_shakespeare: not found: looked for tinyshakespeare.txt or input.txt in " +
                        (folder / "tiny_shakespeare").string() + "; run `genzoo fetch tiny_shakespeare`");
  CHECK_THROWS_WITH(open(TinyShakespeareConfig{}, DataPlaces{}), Contains("neither GENZOO_DATA nor HOME is set"));
  fs::create_directories(folder / "tiny_shakespeare");
  write(folder / "tiny_shakespeare/input.txt", "First Citizen:");
  CHECK(decoded(open(TinyShakespeareConfig{}, places), Split::train) == "First Citize");
}

}  // namespace genzoo
