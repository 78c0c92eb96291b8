#include "data/pair_tasks.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/error.h"
#include "data/pairs.h"
#include "data/synthetic.h"

namespace genzoo {
namespace {

constexpr const char* kValidationDoc = "the share of the examples, at their end, kept for validation";
constexpr int64_t kLongest = 4096;  // letters
constexpr Range kShare{0, 1, true, true, "in (0, 1)"};

int64_t power(int64_t base, int64_t exponent) {
  int64_t product = 1;
  for (int64_t i = 0; i < exponent; ++i) product *= base;
  return product;
}

/// `count` pairs of different keys. `draw` gives as many as it is asked for, with a key each, from the stream.
struct Drawn {
  std::string key;
  TextPair pair;
};
using Draw = std::function<std::vector<Drawn>(int64_t count, Rng& rng)>;

std::vector<TextPair> different(int64_t count, Rng rng, const Draw& draw) {
  constexpr int64_t kFewest = 256;    // towards the end most of what is drawn is there already
  constexpr int64_t kMost = 1 << 16;  // at a time, for memory's sake
  std::vector<TextPair> pairs;
  std::unordered_set<std::string> keys;
  while (static_cast<int64_t>(pairs.size()) < count) {
    const auto left = count - static_cast<int64_t>(pairs.size());
    for (Drawn& drawn : draw(std::clamp(left, kFewest, kMost), rng)) {
      if (static_cast<int64_t>(pairs.size()) == count) break;
      if (keys.insert(std::move(drawn.key)).second) pairs.push_back(std::move(drawn.pair));
    }
  }
  return pairs;
}

/// A sum as question and answer. The same question with its numbers exchanged has the same key.
Drawn addition(int64_t a, int64_t b, bool reverse) {
  std::string question = fmt::format("{}+{}", a, b);
  if (reverse) std::ranges::reverse(question);
  return {fmt::format("{}+{}", std::min(a, b), std::max(a, b)), {std::move(question), std::to_string(a + b)}};
}

/// Numbers of 1 to `digits` digits, each number of digits as often, leading zeros among them: Keras' distribution.
Draw short_additions(const AdditionConfig& config) {
  return [config](int64_t count, Rng& rng) {
    const Tensor digits = rng.integers(config.digits, {count, 2}) + 1;
    const Tensor values = rng.integers(power(10, config.digits), {count, 2});
    const auto d = digits.accessor<int64_t, 2>(), v = values.accessor<int64_t, 2>();
    std::vector<Drawn> drawn;
    for (int64_t i = 0; i < count; ++i) {
      drawn.push_back(addition(v[i][0] % power(10, d[i][0]), v[i][1] % power(10, d[i][1]), config.reverse));
    }
    return drawn;
  };
}

/// Two numbers of the same number of digits, which is one of digits + 1 ... test_digits.
Draw long_additions(const AdditionConfig& config) {
  return [config](int64_t count, Rng& rng) {
    const Tensor digits = rng.integers(config.test_digits - config.digits, {count}) + config.digits + 1;
    const Tensor values = rng.integers(9 * power(10, config.test_digits - 1), {count, 2});
    const auto d = digits.accessor<int64_t, 1>();
    const auto v = values.accessor<int64_t, 2>();
    std::vector<Drawn> drawn;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t smallest = power(10, d[i] - 1);  // 9 of it divides the range that v was drawn from
      drawn.push_back(
          addition(smallest + v[i][0] % (9 * smallest), smallest + v[i][1] % (9 * smallest), config.reverse));
    }
    return drawn;
  };
}

/// Strings of min ... max letters, each length as often.
Draw letters(int64_t min, int64_t max, int64_t alphabet, bool reverse) {
  return [=](int64_t count, Rng& rng) {
    const Tensor lengths = rng.integers(max - min + 1, {count}) + min;
    const Tensor symbols = rng.integers(alphabet, {count, max});
    const auto l = lengths.accessor<int64_t, 1>();
    const auto s = symbols.accessor<int64_t, 2>();
    std::vector<Drawn> drawn;
    for (int64_t i = 0; i < count; ++i) {
      std::string source;
      for (int64_t j = 0; j < l[i]; ++j) source += static_cast<char>('a' + s[i][j]);
      std::string target = source;
      if (reverse) std::ranges::reverse(target);
      drawn.push_back({source, {source, std::move(target)}});
    }
    return drawn;
  };
}

/// How many strings of min ... max letters there are; of more than 10^18 nobody needs to know.
double strings(int64_t min, int64_t max, int64_t alphabet) {
  double count = 0, of_length = 1;
  for (int64_t length = 1; length <= std::min(max, kLongest); ++length) {
    of_length = std::min(of_length * static_cast<double>(alphabet), 1e18);
    if (length >= min) count += of_length;
  }
  return count;
}

/// Half of all at most, so that those that are left are found by drawing.
void require_enough(Fields& f, int64_t wanted, double all, const char* key) {
  f.require(2 * static_cast<double>(wanted) <= all, key,
            fmt::format("'{}' {} is more than half of the {:.0f} different ones there are", key, wanted, all));
}

Dataset open_letters(const std::string& name, const LettersConfig& config, bool reverse) {
  const auto draw = [&](int64_t min, int64_t max) { return letters(min, max, config.alphabet, reverse); };
  const std::string where = "data/" + name;
  PairTexts texts = split_pairs(different(config.examples, synthetic_stream(config.data_seed, Split::train),
                                          draw(config.min_length, config.length)),
                                config.validation, where);
  if (config.test_length > 0) {
    texts.test = different(config.test, synthetic_stream(config.data_seed, Split::test),
                           draw(config.length + 1, config.test_length));
  }
  texts.lengths = {config.length, config.length};
  return make_pairs_dataset(name, texts, CharacterTokens{}, where);
}

}  // namespace

void AdditionConfig::fields(Fields& f) {
  f("digits", digits, "of the numbers added, at most", Range{1, 9, false, false, "in [1, 9]"});
  f("reverse", reverse, "whether the source is the question from its end: 12+345 as 543+21");
  f("examples", examples, "different questions, for training and validation", kSplitSize);
  f("validation", validation, kValidationDoc, kShare);
  f("test_digits", test_digits, "the most digits of longer numbers, for a test split; 0: none",
    Range{0, 18, false, false, "in [0, 18]"});
  f("test", test, "questions of the test split, where there is one", kSplitSize);
  f("data_seed", data_seed, kDataSeedDoc, non_negative);
  f.require(test_digits == 0 || test_digits > digits, "test_digits",
            "'test_digits' must be 0 or more than 'digits': the test is of longer numbers");
  const auto pairs = [](double numbers) { return numbers * (numbers + 1) / 2; };  // b+a is a+b
  const auto in_range = std::clamp<int64_t>(digits, 1, 9);
  require_enough(f, examples, pairs(static_cast<double>(power(10, in_range))), "examples");
  require_enough(f, test, pairs(9 * static_cast<double>(power(10, in_range))), "test");
}

void LettersConfig::fields(Fields& f) {
  const Range lengths{1, kLongest, false, false, "in [1, 4096]"};
  f("length", length, "letters at most", lengths);
  f("min_length", min_length, "letters at least", lengths);
  f("alphabet", alphabet, "how many letters there are, from a on", Range{2, 26, false, false, "in [2, 26]"});
  f("examples", examples, "different strings, for training and validation", kSplitSize);
  f("validation", validation, kValidationDoc, kShare);
  f("test_length", test_length, "the most letters of longer strings, for a test split; 0: none",
    Range{0, kLongest, false, false, "in [0, 4096]"});
  f("test", test, "strings of the test split, where there is one", kSplitSize);
  f("data_seed", data_seed, kDataSeedDoc, non_negative);
  f.require(min_length <= length, "min_length", "'min_length' must be at most 'length'");
  f.require(test_length == 0 || test_length > length, "test_length",
            "'test_length' must be 0 or more than 'length': the test is of longer strings");
  require_enough(f, examples, strings(min_length, length, alphabet), "examples");
  if (test_length > length) require_enough(f, test, strings(length + 1, test_length, alphabet), "test");
}

Dataset open(const AdditionConfig& config, const DataPlaces&) {
  const std::string where = "data/addition";
  PairTexts texts =
      split_pairs(different(config.examples, synthetic_stream(config.data_seed, Split::train), short_additions(config)),
                  config.validation, where);
  if (config.test_digits > 0) {
    texts.test = different(config.test, synthetic_stream(config.data_seed, Split::test), long_additions(config));
  }
  texts.lengths = {2 * config.digits + 1, config.digits + 1};
  return make_pairs_dataset("addition", texts, CharacterTokens{}, where);
}

Dataset open(const ReverseConfig& config, const DataPlaces&) { return open_letters("reverse", config, true); }

Dataset open(const CopyConfig& config, const DataPlaces&) { return open_letters("copy", config, false); }

}  // namespace genzoo
