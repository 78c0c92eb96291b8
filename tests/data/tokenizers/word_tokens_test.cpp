#include "data/tokenizers/word_tokens.h"

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "data/text.h"
#include "tests/support.h"

namespace genzoo {
namespace {

std::vector<int64_t> encoded(const Tokenizer& tokenizer, const std::string& text) {
  const Tensor tokens = tokenizer.encode(text);
  return {tokens.const_data_ptr<int64_t>(), tokens.const_data_ptr<int64_t>() + tokens.numel()};
}

std::unique_ptr<Tokenizer> learned(const std::string& text, int64_t size, int64_t min_count = 1) {
  PieceCounts counts;
  count_words(text, counts);
  return make_word_pipeline(counts, size, min_count);
}

}  // namespace

TEST_CASE("words are learned and cut as `tokenizers` does with the same sections", "[data][tokenizers]") {
  const SortedJson reference =
      parse_sorted_json(read_file(GENZOO_SOURCE_DIR "/tests/reference/tokenizers.json"), "reference");
  for (const SortedJson& each : reference.at("words")) {
    const auto tokenizer = learned(each.at("text").get<std::string>(), each.at("vocab_size").get<int64_t>(),
                                   each.at("min_frequency").get<int64_t>());
    const SortedJson file = parse_sorted_json(tokenizer->to_json(), "words");
    CHECK(file.at("pre_tokenizer") == each.at("pre_tokenizer"));
    CHECK(file.at("decoder") == each.at("decoder"));
    CHECK(file.at("model").at("vocab") == each.at("vocab"));
    for (const SortedJson& example : each.at("texts")) {
      const auto text = example.at("text").get<std::string>();
      INFO(text);
      CHECK(encoded(*tokenizer, text) == example.at("ids").get<std::vector<int64_t>>());
      CHECK(tokenizer->decode(tokenizer->encode(text)) == example.at("decoded").get<std::string>());
    }
  }
}

TEST_CASE("words come back with the spaces of English", "[data][tokenizers]") {
  const std::string text =
      "And God said, Let there be light: and there was light.\nIt's (so) the LORD's; \xe2\x80\x9cyes!\xe2\x80\x9d "
      "40%\n";
  const auto tokenizer = learned(text, 1000);
  CHECK(tokenizer->decode(tokenizer->encode(text)) == text);
  CHECK(tokenizer->decode(tokenizer->encode("light  ,\n  said")) == "light,\nsaid");
  CHECK(tokenizer->decode(tokenizer->encode("light and dark")) == "light and <unk>");
  CHECK(tokenizer->encode("").numel() == 0);
  CHECK(tokenizer_from_json(tokenizer->to_json())->to_json() == tokenizer->to_json());
}

TEST_CASE("the most frequent words are tokens, of equals the smaller", "[data][tokenizers]") {
  const auto tokenizer = learned("b b c c a d", 4);
  for (const auto& [word, index] : {std::pair("<unk>", 0), std::pair("b", 1), std::pair("c", 2), std::pair("a", 3)}) {
    CHECK(tokenizer->find(word) == index);
  }
  CHECK_FALSE(tokenizer->find("d"));
  CHECK(learned("b b c c a d", 100, 2)->vocabulary() == 3);
}

TEST_CASE("a text of words is learned from its training part", "[data]") {
  const Dataset set = make_text_dataset("words", "one two two three ", WordTokens{.vocab_size = 10}, 0.4, "here");
  CHECK(set.spec.token_unit == "token");
  CHECK(set.spec.vocabulary == 4);  // <unk>, one, tw, two: floor(18 * 0.6) = 10 characters are "one two tw"
  CHECK(set.count(Split::train) == 3);
  CHECK(torch::equal(set.validation.x, torch::tensor({0, 0}, torch::kInt)));
}

}  // namespace genzoo
