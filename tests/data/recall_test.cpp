// Associative recall: a value is asked for by its key.
#include <cmath>
#include <map>
#include <set>

#include "core/error.h"
#include "data/pair_tasks.h"
#include "data/pairs.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using Catch::Matchers::Contains;

RecallConfig small() {
  RecallConfig config;
  config.max_pairs = 5;
  config.min_pairs = 2;
  config.keys = 9;
  config.values = 4;
  config.examples = 3000;
  config.test_pairs = 8;
  config.test = 400;
  return config;
}

struct Question {
  std::string source, target;
  int64_t distance;  ///< as the data set tells it
};

std::vector<Question> questions_of(const Dataset& set, Split split) {
  const auto tokenizer = tokenizer_from_json(set.spec.tokenizer);
  const Tensor distance = set.distance(set[split].x.to(torch::kLong));
  REQUIRE(distance.sizes() == at::IntArrayRef({set.count(split)}));
  std::vector<Question> questions;
  for (int64_t i = 0; i < set.count(split); ++i) {
    questions.push_back({text_before_end(set.spec, *tokenizer, set[split].x[i]),
                         text_before_end(set.spec, *tokenizer, set[split].y[i]), distance[i].item<int64_t>()});
  }
  return questions;
}

TEST_CASE("every source of recall asks for one of its keys, and the target is its value", "[data][pairs][recall]") {
  const Dataset set = open(small(), DataPlaces{});
  CHECK(set.spec.kind == DataKind::pairs);
  CHECK(set.spec.vocabulary == 9 + 4 + 1);
  CHECK(set.spec.shape == std::vector<int64_t>{18, 2});
  CHECK(set.count(Split::train) == 2700);
  std::map<Split, std::set<std::string>> sources;
  std::map<size_t, std::map<size_t, int64_t>> asked;  // by pairs, by place
  for (const Split split : {Split::train, Split::validation, Split::test}) {
    for (const auto& [source, target, distance] : questions_of(set, split)) {
      REQUIRE(source.size() % 2 == 1);
      const size_t pairs = source.size() / 2;
      REQUIRE((split == Split::test ? pairs > 5 && pairs <= 8 : pairs >= 2 && pairs <= 5));
      std::map<char, char> value_of;
      size_t place = pairs;
      for (size_t i = 0; i < pairs; ++i) {
        REQUIRE((source[2 * i] >= 'a' && source[2 * i] < 'a' + 9));
        REQUIRE((source[2 * i + 1] >= '0' && source[2 * i + 1] < '4'));
        REQUIRE(value_of.emplace(source[2 * i], source[2 * i + 1]).second);
        if (source[2 * i] == source.back()) place = i;
      }
      REQUIRE(place < pairs);
      REQUIRE(target == std::string(1, value_of[source.back()]));
      // The end stands at source.size(), the value at 2 place + 1.
      REQUIRE(distance == static_cast<int64_t>(source.size() - (2 * place + 1)));
      sources[split].insert(source);
      ++asked[pairs][place];
    }
  }
  CHECK(set.count(Split::validation) == 300);
  CHECK(sources[Split::validation].size() == 300);  // none twice
  CHECK(sources[Split::test].size() == 400);
  CHECK(sources[Split::train].size() < 2700);  // of two pairs some stand there several times
  for (const std::string& source : sources[Split::validation]) CHECK_FALSE(sources[Split::train].contains(source));
  for (const auto& [pairs, places] : asked) {
    int64_t total = 0;
    for (const auto& [place, count] : places) total += count;
    CHECK(places.size() == pairs);
    for (const auto& [place, count] : places) {
      const double expected = static_cast<double>(total) / static_cast<double>(pairs);
      CHECK(std::abs(static_cast<double>(count) - expected) < 5 * std::sqrt(expected));
    }
  }
}

TEST_CASE("the training part of recall has as many sources of each number of pairs", "[data][pairs][recall]") {
  RecallConfig config = small();
  config.min_pairs = 1;  // of which there are 36
  const Dataset set = open(config, DataPlaces{});
  std::map<size_t, int64_t> of_length;
  for (const Question& question : questions_of(set, Split::train)) ++of_length[question.source.size()];
  REQUIRE(of_length.size() == 5);
  for (const auto& [length, count] : of_length) CHECK(std::abs(count - 2700 / 5) < 110);
}

TEST_CASE("distances of recall are those of a source, whatever it is filled up with", "[data][pairs][recall]") {
  const Dataset set = open(small(), DataPlaces{});
  const auto tokenizer = tokenizer_from_json(set.spec.tokenizer);
  for (const auto& [source, distance] : std::map<std::string, int64_t>{{"a0b1a", 4}, {"a0b1b", 2}, {"c3a0b1c", 6}}) {
    const Tensor row = ended_tokens(set.spec, *tokenizer, source);
    const Tensor filled = torch::cat({row, torch::full({1, 5}, set.spec.end_token, torch::kLong)}, 1);
    CHECK(set.distance(row).item<int64_t>() == distance);
    CHECK(set.distance(filled).item<int64_t>() == distance);
  }
}

TEST_CASE("recall is a function of data_seed, and its test leaves the training part as it is",
          "[data][pairs][recall]") {
  RecallConfig config = small();
  const Dataset set = open(config, DataPlaces{});
  CHECK(open(config, DataPlaces{}).digest() == set.digest());
  config.test_pairs = 0;
  const Dataset untested = open(config, DataPlaces{});
  CHECK_FALSE(untested.has(Split::test));
  CHECK(torch::equal(untested.train.x, set.train.x));
  config.data_seed = 1;
  CHECK_FALSE(torch::equal(open(config, DataPlaces{}).train.x, set.train.x));
}

TEST_CASE("recall that cannot be is refused with the key", "[data][pairs][recall]") {
  const auto mistakes = [](const std::string& settings) -> std::string {
    struct Only {
      Choice data;
      void fields(Fields& f) { f("data", data, dataset_choices(), ""); }
    };
    try {
      read_config<Only>(ConfigSource::from_text("data: {recall: {" + settings + "}}", "c"));
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  CHECK(mistakes("max_pairs: 8, test_pairs: 16") == "");
  CHECK_THAT(mistakes("min_pairs: 9"), Contains("'min_pairs' must be at most 'max_pairs'"));
  CHECK_THAT(mistakes("keys: 6"), Contains("'max_pairs' must be at most 'keys'"));
  CHECK_THAT(mistakes("test_pairs: 8"), Contains("'test_pairs' must be 0 or more than 'max_pairs'"));
  CHECK_THAT(mistakes("keys: 10, test_pairs: 11"), Contains("'test_pairs' must be at most 'keys'"));
  // Of two keys and two values: of one pair 2 * 2, of two pairs 2 * 2 * 2 * 1 * 2.
  CHECK_THAT(mistakes("keys: 2, values: 2, min_pairs: 1, max_pairs: 2"),
             Contains("'examples' 50000 are more than half of the 20 "));
}

TEST_CASE("of too few sources recall says so, and does not look for ever", "[data][pairs][recall]") {
  RecallConfig config;
  config.min_pairs = config.max_pairs = 1;
  config.keys = config.values = 2;  // four sources
  config.examples = 2;
  int refused = 0;
  for (config.data_seed = 0; config.data_seed < 12; ++config.data_seed) {
    try {
      const Dataset set = open(config, DataPlaces{});
      CHECK(set.count(Split::train) + set.count(Split::validation) == 2);
    } catch (const UsageError& error) {
      CHECK_THAT(error.what(), Contains("another data_seed"));
      ++refused;
    }
  }
  CHECK(refused > 0);
  CHECK(refused < 12);
}

}  // namespace
}  // namespace genzoo
