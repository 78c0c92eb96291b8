#include "data/pairs.h"

#include <algorithm>
#include <fstream>
#include <set>

#include "core/error.h"
#include "data/pair_tasks.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using Catch::Matchers::Contains;

std::string text_of(const DataSpec& spec, const Tensor& row) {
  return text_before_end(spec, *tokenizer_from_json(spec.tokenizer), row);
}

/// The pairs of a split as texts.
std::vector<std::pair<std::string, std::string>> texts_of(const Dataset& set, Split split) {
  std::vector<std::pair<std::string, std::string>> texts;
  for (int64_t i = 0; i < set.count(split); ++i) {
    texts.emplace_back(text_of(set.spec, set[split].x[i]), text_of(set.spec, set[split].y[i]));
  }
  return texts;
}

Dataset open_file(const std::string& text, const TokensConfig& tokens, double validation = 0.25) {
  const TempDir folder;
  std::ofstream(folder / "pairs.tsv", std::ios::binary) << text;
  PairsConfig config;
  config.file = folder / "pairs.tsv";
  config.tokens = tokens;
  config.validation = validation;
  return open(config, DataPlaces{});
}

void require_ended(const Dataset& set) {
  for (const Split split : {Split::train, Split::validation, Split::test}) {
    if (!set.has(split)) continue;
    for (const Tensor& rows : {set[split].x, set[split].y}) {
      const Tensor tokens = rows.to(torch::kLong), ends = tokens.eq(set.spec.end_token);
      CHECK(ends.any(/*dim=*/1).all().item<bool>());
      // Behind the first end there is nothing but ends.
      CHECK(ends.logical_or(up_to_end(tokens, set.spec.end_token)).all().item<bool>());
      CHECK(tokens.max().item<int64_t>() < set.spec.vocabulary);
    }
  }
}

}  // namespace

TEST_CASE("a file of pairs becomes rows of tokens, ended and filled up, under one vocabulary", "[data][pairs]") {
  const Dataset set = open_file("ab\tc\nb\tdda\r\nc d\té\nabcd\ta\n", CharacterTokens{});
  CHECK(set.spec.kind == DataKind::pairs);
  CHECK(set.spec.vocabulary == 7);  // ' ', a, b, c, d, é and the end
  CHECK(set.spec.end_token == 6);
  CHECK(set.spec.token_unit == "char");
  CHECK(set.spec.shape == std::vector<int64_t>{5, 4});
  CHECK(set.spec.describe() == "pairs of texts, up to 5 and 4 chars, vocabulary 7");
  CHECK(set.count(Split::train) == 3);
  CHECK_FALSE(set.has(Split::test));
  CHECK(set.train.x.scalar_type() == torch::kByte);
  CHECK(torch::equal(set.train.x[0].to(torch::kLong), torch::tensor({1, 2, 6, 6, 6})));
  CHECK(torch::equal(set.train.y[1].to(torch::kLong), torch::tensor({4, 4, 1, 6})));
  using Texts = std::vector<std::pair<std::string, std::string>>;
  CHECK(texts_of(set, Split::train) == Texts{{"ab", "c"}, {"b", "dda"}, {"c d", "é"}});
  CHECK(texts_of(set, Split::validation) == Texts{{"abcd", "a"}});
  require_ended(set);
}

TEST_CASE("pairs may be bytes, byte pairs of the training part, or tokens of a tokenizer that is there",
          "[data][pairs]") {
  std::string text;
  for (int i = 0; i < 6; ++i) text += "the cat\tle chat\n";
  text += "zq zq zq zq\tzq zq\nzq\tzq";
  const Dataset bytes = open_file(text, ByteTokens{});
  CHECK(bytes.spec.vocabulary == 257);
  CHECK(bytes.spec.end_token == 256);
  CHECK(bytes.train.x.scalar_type() == torch::kInt);  // 256 is no byte
  CHECK(texts_of(bytes, Split::validation).back() == std::pair<std::string, std::string>{"zq", "zq"});
  BytePairTokens learned;
  learned.vocab_size = 260;
  const Dataset pairs = open_file(text, learned);
  CHECK(pairs.spec.vocabulary == 261);
  CHECK(pairs.spec.token_unit == "token");
  CHECK(pairs.train.x.size(1) < bytes.train.x.size(1) + 5);
  // "zq" stands in the validation part alone, so nobody learned it.
  CHECK(up_to_end(pairs.validation.y.to(torch::kLong), 260)[1].sum().item<int64_t>() == 3);
  require_ended(bytes);
  require_ended(pairs);
  CHECK(texts_of(pairs, Split::train) == texts_of(bytes, Split::train));

  const TempDir folder;
  std::ofstream(folder / "tokenizer.json", std::ios::binary) << pairs.spec.tokenizer;
  const Dataset given = open_file(text, TokenizerTokens{(folder / "tokenizer.json").string()});
  CHECK(given.digest() == pairs.digest());
  CHECK_THROWS_AS(open_file(text, TokenizerTokens{"/nowhere"}), UsageError);
}

TEST_CASE("a line that is no pair is named with its file and number", "[data][pairs]") {
  const auto message = [](const std::string& text) -> std::string {
    try {
      read_pairs(text, "p.tsv");
    } catch (const RunError& error) {
      return error.what();
    }
    return "";
  };
  CHECK_THAT(message("a\tb\nc\n"), Contains("p.tsv:2: no tabs, wanted one"));
  CHECK_THAT(message("a\tb\tc\n"), Contains("p.tsv:1: 2 tabs, wanted one"));
  CHECK_THAT(message("a\tb\n\nc\td\n"), Contains("p.tsv:2: no tabs"));
  CHECK_THAT(message("a\tb\n\tb\n"), Contains("p.tsv:2: the source is empty"));
  CHECK_THAT(message("a\t\r\n"), Contains("p.tsv:1: the target is empty"));
  CHECK(message("a\tb") == "");
  CHECK_THROWS_WITH(open_file("a\tb\na\t\xff\n", CharacterTokens{}),
                    Contains("pairs.tsv:2: byte 0xff at position 0 of the target is not UTF-8"));
  CHECK_THROWS_WITH(open_file("", CharacterTokens{}), Contains("the file is empty"));
  CHECK_THROWS_WITH(open_file("a\tb\n", CharacterTokens{}), Contains("leave 0 to train on"));
  CHECK_THROWS_AS(open(PairsConfig{}, DataPlaces{}), UsageError);
}

TEST_CASE("batches of pairs are whole pairs of int64, every epoch each of them once", "[data][pairs]") {
  std::string text;
  for (char c = 'a'; c <= 'j'; ++c) text += std::string(1, c) + "\t" + std::string(1, c) + c + "\n";
  const Dataset set = open_file(text, CharacterTokens{}, 0.2);
  const TrainingSource source(set, /*batch_size=*/4, /*context=*/0, /*seed=*/3, torch::kCPU);
  std::multiset<int64_t> seen;
  for (int64_t i = 0; i < 4; ++i) {
    const Batch batch = source.batch(i);
    CHECK(batch.x.scalar_type() == torch::kLong);
    CHECK(batch.y.scalar_type() == torch::kLong);
    CHECK(torch::equal(batch.x.select(1, 0), batch.y.select(1, 1)));
    for (int64_t b = 0; b < 4; ++b) seen.insert(batch.x[b][0].item<int64_t>());
  }
  for (int64_t token = 0; token < 8; ++token) CHECK(seen.count(token) == 2);
  const EvaluationSource ordered(set, Split::validation, 100, 0, /*limit=*/0, torch::kCPU);
  CHECK(ordered.examples() == 2);
  const Batch batch = ordered.batch(0);
  CHECK(batch.y.scalar_type() == torch::kLong);
  CHECK(torch::equal(batch.y.select(1, 0), torch::tensor({8, 9})));
}

TEST_CASE("a text is up to and with its first end, and comes back from its tokens", "[data][pairs]") {
  const Dataset set = open_file("ab\tc\nc\tb\n", CharacterTokens{}, 0.5);
  const auto tokenizer = tokenizer_from_json(set.spec.tokenizer);
  const Tensor row = ended_tokens(set.spec, *tokenizer, "cab");
  CHECK(torch::equal(row, torch::tensor({{2, 0, 1, 3}})));
  CHECK(text_before_end(set.spec, *tokenizer, row[0]) == "cab");
  CHECK(text_before_end(set.spec, *tokenizer, torch::tensor({0, 3, 1, 3})) == "a");
  CHECK(text_before_end(set.spec, *tokenizer, torch::tensor({1, 1})) == "bb");  // cut short, it has no end
  CHECK(
      torch::equal(up_to_end(torch::tensor({{0, 3, 1, 3}, {1, 1, 1, 1}, {3, 3, 3, 3}}), 3),
                   torch::tensor({{true, true, false, false}, {true, true, true, true}, {true, false, false, false}})));
}

TEST_CASE("the addition task is Keras' example: distinct sums of numbers, the question reversed", "[data][pairs]") {
  const AdditionConfig config;
  const Dataset set = open(config, DataPlaces{});
  CHECK(set.spec.vocabulary == 12);
  CHECK(set.spec.shape == std::vector<int64_t>{8, 5});
  CHECK(set.count(Split::train) == 45000);
  CHECK(set.count(Split::validation) == 5000);
  require_ended(set);
  std::set<std::pair<int64_t, int64_t>> questions;
  std::vector<int64_t> of_digits(4);
  for (const Split split : {Split::train, Split::validation}) {
    for (auto [source, target] : texts_of(set, split)) {
      std::ranges::reverse(source);
      const size_t plus = source.find('+');
      const int64_t a = std::stoll(source.substr(0, plus)), b = std::stoll(source.substr(plus + 1));
      REQUIRE(std::to_string(a) + "+" + std::to_string(b) == source);
      REQUIRE(std::to_string(a + b) == target);
      questions.emplace(std::min(a, b), std::max(a, b));
      ++of_digits[std::to_string(a).size()];
    }
  }
  CHECK(questions.size() == 50000);
  // As many numbers of each length are drawn, but of short ones most questions are there already.
  CHECK(of_digits[3] > of_digits[2]);
  CHECK(of_digits[2] > of_digits[1]);
  CHECK(of_digits[1] > 1000);

  AdditionConfig plain = config;
  plain.reverse = false;
  plain.examples = 1000;
  const auto pairs = texts_of(open(plain, DataPlaces{}), Split::train);
  for (const auto& [source, target] : pairs) {
    const size_t plus = source.find('+');
    REQUIRE(std::to_string(std::stoll(source.substr(0, plus)) + std::stoll(source.substr(plus + 1))) == target);
  }
}

TEST_CASE("tasks of letters reverse and copy strings of every length, none twice", "[data][pairs]") {
  ReverseConfig reverse;
  reverse.length = 6;
  reverse.min_length = 2;
  reverse.alphabet = 5;
  reverse.examples = 2000;
  reverse.test_length = 9;
  reverse.test = 300;
  const Dataset reversed = open(reverse, DataPlaces{});
  CHECK(reversed.spec.shape == std::vector<int64_t>{10, 10});
  CHECK(reversed.train.x.sizes() == at::IntArrayRef({1800, 7}));
  CHECK(reversed.test.y.sizes() == at::IntArrayRef({300, 10}));
  CHECK(reversed.spec.vocabulary == 6);
  require_ended(reversed);
  std::set<std::string> sources;
  std::set<size_t> lengths, test_lengths;
  for (const Split split : {Split::train, Split::validation, Split::test}) {
    for (const auto& [source, target] : texts_of(reversed, split)) {
      REQUIRE(std::string(source.rbegin(), source.rend()) == target);
      sources.insert(source);
      (split == Split::test ? test_lengths : lengths).insert(source.size());
    }
  }
  CHECK(sources.size() == 2300);
  CHECK(lengths == std::set<size_t>{2, 3, 4, 5, 6});
  CHECK(test_lengths == std::set<size_t>{7, 8, 9});

  CopyConfig copy;
  copy.examples = 200;
  for (const auto& [source, target] : texts_of(open(copy, DataPlaces{}), Split::train)) REQUIRE(source == target);
}

TEST_CASE("made pairs are a function of data_seed, and longer tests leave the training part as it is",
          "[data][pairs]") {
  AdditionConfig config;
  config.examples = 500;
  config.test = 200;
  const Dataset set = open(config, DataPlaces{});
  CHECK(open(config, DataPlaces{}).digest() == set.digest());
  config.test_digits = 5;
  const Dataset tested = open(config, DataPlaces{});
  CHECK(torch::equal(tested.train.x, set.train.x));
  CHECK(tested.digest() != set.digest());
  for (const auto& [source, target] : texts_of(tested, Split::test)) {
    const size_t plus = source.find('+');
    REQUIRE((plus == 4 || plus == 5));
    REQUIRE(source.size() == 2 * plus + 1);
  }
  config.data_seed = 1;
  CHECK_FALSE(torch::equal(open(config, DataPlaces{}).train.x, set.train.x));
}

TEST_CASE("tasks that cannot be are refused with the key", "[data][pairs]") {
  const auto mistakes = [](const char* task, const std::string& settings) -> std::string {
    struct Only {
      Choice data;
      void fields(Fields& f) { f("data", data, dataset_choices(), ""); }
    };
    try {
      read_config<Only>(ConfigSource::from_text("data: {" + std::string(task) + ": {" + settings + "}}", "c"));
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  CHECK(mistakes("addition", "digits: 3, examples: 200000") == "");
  CHECK_THAT(mistakes("addition", "digits: 1"), Contains("'examples' 50000 is more than half of the 55"));
  CHECK_THAT(mistakes("addition", "test_digits: 3"), Contains("'test_digits' must be 0 or more than 'digits'"));
  CHECK_THAT(mistakes("copy", "min_length: 11"), Contains("'min_length' must be at most 'length'"));
  CHECK_THAT(mistakes("reverse", "test_length: 10"), Contains("'test_length' must be 0 or more than 'length'"));
  CHECK_THAT(mistakes("copy", "length: 2, alphabet: 2"), Contains("'examples' 20000 is more than half of the 6"));
  CHECK_THAT(mistakes("reverse", "alphabet: 27"), Contains("alphabet"));
}

}  // namespace genzoo
