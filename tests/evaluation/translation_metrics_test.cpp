#include "evaluation/translation_metrics.h"

#include "core/file.h"
#include "core/json.h"
#include "tests/support.h"

namespace genzoo {
namespace {

const Json& reference() {
  static const Json json = parse_json(read_file(GENZOO_SOURCE_DIR "/tests/reference/translation_metrics.json"), "");
  return json;
}

}  // namespace

TEST_CASE("words are those of sacrebleu's tokenization 13a", "[evaluation][translation]") {
  REQUIRE(reference()["words"].size() >= 10);
  for (const Json& text : reference()["words"]) {
    INFO(text["text"].get<std::string>());
    CHECK(words_13a(text["text"].get<std::string>()) == text["words"].get<std::vector<std::string>>());
  }
}

TEST_CASE("BLEU and chrF of a corpus equal sacrebleu's", "[evaluation][translation]") {
  REQUIRE(reference()["corpora"].size() >= 10);
  for (const Json& corpus : reference()["corpora"]) {
    INFO(corpus["name"].get<std::string>());
    const auto translations = corpus["translations"].get<std::vector<std::string>>();
    const auto references = corpus["references"].get<std::vector<std::string>>();
    CHECK(std::abs(corpus_bleu(translations, references) - corpus["bleu"].get<double>()) < 1e-9);
    CHECK(std::abs(corpus_chrf(translations, references) - corpus["chrf"].get<double>()) < 1e-9);
  }
}

TEST_CASE("a corpus of nothing scores nothing, and a translation wants its reference", "[evaluation][translation]") {
  CHECK(corpus_bleu({}, {}) == 0);
  CHECK(corpus_chrf({}, {}) == 0);
  const std::vector<std::string> one{"a"};
  CHECK_THROWS_AS(corpus_bleu(one, {}), std::logic_error);
  CHECK_THROWS_AS(corpus_chrf(one, {}), std::logic_error);
  const std::vector<std::string> damaged{"\xff\xfe abc"};  // byte by byte
  CHECK(corpus_chrf(damaged, damaged) == Approx(100));
}

}  // namespace genzoo
