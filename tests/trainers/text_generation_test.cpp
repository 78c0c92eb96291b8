#include "trainers/text_generation.h"

#include <map>

#include "core/error.h"
#include "data/tokenizers/tokenizer.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using Catch::Matchers::Contains;

/// A model that says the same whatever it is asked.
struct Parrot : torch::nn::Module {
  std::string words;
};

AnyModel parrot_of(const std::string& words, const DataSpec& spec) {
  AnyModel model;
  model.family = "parrot";
  model.module = std::make_shared<Parrot>();
  model.can.generate = [=](const Tensor& prompt, const GenerateOptions& options, Rng&) {
    const Tensor tokens = tokenizer_from_json(spec.tokenizer)->encode(words);
    std::vector<bool> going(static_cast<size_t>(prompt.size(0)), true);
    for (int64_t i = 0; i < std::min(options.tokens, tokens.numel()); ++i) {
      for (int64_t row = 0; row < prompt.size(0); ++row) {
        const auto r = static_cast<size_t>(row);
        if (going[r]) going[r] = options.goes_on(row, tokens[i].item<int64_t>());
      }
    }
    return prompt;
  };
  return model;
}

DataSpec bytes() {
  DataSpec spec;
  spec.kind = DataKind::tokens;
  spec.vocabulary = 256;
  spec.token_unit = "byte";
  spec.tokenizer = Tokenizer::bytes()->to_json();
  return spec;
}

struct Heard {
  std::vector<std::string> texts;
  std::map<size_t, std::vector<std::string>> pieces;
};

Heard hear(const std::string& words, TextRequest request, const DataSpec& spec = bytes()) {
  Heard heard;
  request.stream = [&](size_t text, std::string_view piece) { heard.pieces[text].emplace_back(piece); };
  heard.texts = generate_texts(parrot_of(words, spec), spec, request, torch::kCPU);
  for (size_t i = 0; i < heard.texts.size(); ++i) {
    std::string told;
    for (const std::string& piece : heard.pieces[i]) told += piece;
    CHECK(told == heard.texts[i]);
  }
  return heard;
}

TEST_CASE("a text comes piece by piece, its prompt first", "[trainers][generation]") {
  const Heard heard = hear("abc", {.prompts = {"> "}});
  CHECK(heard.texts == std::vector<std::string>{"> abc"});
  CHECK(heard.pieces.at(0) == std::vector<std::string>{"> ", "a", "b", "c"});
  CHECK(hear("abc", {}).texts == std::vector<std::string>{"abc"});  // a prompt that nobody gave is not shown
  CHECK(hear("abc", {.options = {.tokens = 2}}).texts == std::vector<std::string>{"ab"});
}

TEST_CASE("a text ends before the first stop, of which nothing is told", "[trainers][generation]") {
  const Heard heard = hear("one. two. STOP three", {.prompts = {"STOP "}, .stops = {"STOP", "never"}});
  CHECK(heard.texts[0] == "STOP one. two. ");  // a prompt may have it
  const Heard begun = hear("ab. ST. STO", {.stops = {"STOP"}});
  CHECK(begun.texts[0] == "ab. ST. STO");  // what only began like one is told in the end
  CHECK(begun.pieces.at(0).back() == "STO");
  CHECK(hear("aab", {.stops = {"ab", "aab"}}).texts[0].empty());
  CHECK_THROWS_WITH(hear("a", {.stops = {""}}), Contains("an empty stop"));
}

TEST_CASE("a character is told whole", "[trainers][generation]") {
  const Heard heard = hear("a\xf0\x9f\x91\x8b\xc3\xa9!\xe2\x82", {});
  CHECK(heard.pieces.at(0) == std::vector<std::string>{"a", "\xf0\x9f\x91\x8b", "\xc3\xa9", "!", "\xe2\x82"});
}

TEST_CASE("the end token ends a text and is not shown", "[trainers][generation]") {
  DataSpec spec = bytes();
  spec.end_token = 'x';
  CHECK(hear("abxcd", {}, spec).texts[0] == "ab");
}

TEST_CASE("texts of several prompts come prompt by prompt, in batches of any size", "[trainers][generation]") {
  for (const int64_t batch : {1, 2, 3, 8}) {
    const Heard heard = hear("!", {.prompts = {"a", "bcd"}, .n = 2, .batch = batch});
    CHECK(heard.texts == std::vector<std::string>{"a!", "a!", "bcd!", "bcd!"});
  }
}

}  // namespace
}  // namespace genzoo
