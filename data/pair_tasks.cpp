#include "data/pair_tasks.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/file.h"
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

/// Sources of associative recall of min ... max pairs, each number of pairs as often, each of its keys asked for as
/// often.
Draw recalls(const RecallConfig& config, int64_t min, int64_t max) {
  return [=](int64_t count, Rng& rng) {
    const Tensor pairs = rng.integers(max - min + 1, {count}) + min;
    const Tensor keys = rng.uniform({count, config.keys}).argsort(/*stable=*/true, /*dim=*/1);  // in random order
    const Tensor values = rng.integers(config.values, {count, max});
    const Tensor asked = rng.uniform({count});
    const auto n = pairs.accessor<int64_t, 1>();
    const auto k = keys.accessor<int64_t, 2>(), v = values.accessor<int64_t, 2>();
    const auto a = asked.accessor<float, 1>();
    std::vector<Drawn> drawn;
    for (int64_t i = 0; i < count; ++i) {
      std::string source;
      for (int64_t j = 0; j < n[i]; ++j) {
        source += static_cast<char>('a' + k[i][j]);
        source += static_cast<char>('0' + v[i][j]);
      }
      const auto place = static_cast<int64_t>(a[i] * static_cast<float>(n[i]));
      source += static_cast<char>('a' + k[i][place]);
      drawn.push_back({source, {source, std::to_string(v[i][place])}});
    }
    return drawn;
  };
}

/// Whether a source is kept for validation: of all there are about such a share, whichever are drawn, and how often.
bool is_held_out(const std::string& source, double share, int64_t data_seed) {
  const std::string hash = sha256(fmt::format("{} {}", data_seed, source)).substr(0, 8);
  return static_cast<double>(std::stoul(hash, nullptr, /*base=*/16)) < share * 0x1p32;
}

/// Training and validation part. Of few pairs there are few sources, which the training part has many times; in the
/// validation part none stands twice.
PairTexts split_recalls(const RecallConfig& config) {
  const auto validation = std::max<int64_t>(1, std::llround(static_cast<double>(config.examples) * config.validation));
  const int64_t training = config.examples - validation;
  constexpr int64_t kTogether = 4096;
  const Draw draw = recalls(config, config.min_pairs, config.max_pairs);
  Rng rng = synthetic_stream(config.data_seed, Split::train);
  const auto wants_more = [](const std::vector<TextPair>& pairs, int64_t count) {
    return static_cast<int64_t>(pairs.size()) < count;
  };
  PairTexts texts;
  std::unordered_set<std::string> held_out;
  constexpr int kPatience = 64;  // draws of kTogether sources without one that is wanted
  for (int in_vain = 0; wants_more(texts.train, training) || wants_more(texts.validation, validation);) {
    const size_t found = texts.train.size() + texts.validation.size();
    for (Drawn& drawn : draw(kTogether, rng)) {
      if (!is_held_out(drawn.key, config.validation, config.data_seed)) {
        if (wants_more(texts.train, training)) texts.train.push_back(std::move(drawn.pair));
      } else if (wants_more(texts.validation, validation) && held_out.insert(drawn.key).second) {
        texts.validation.push_back(std::move(drawn.pair));
      }
    }
    in_vain = texts.train.size() + texts.validation.size() > found ? 0 : in_vain + 1;
    if (in_vain < kPatience) continue;
    throw UsageError(fmt::format(
        "data/recall: of the sources there are, which are few, {} were found to train on and {} for validation, wanted "
        "{} and {}; take fewer examples, another data_seed, or more pairs, keys or values",
        texts.train.size(), texts.validation.size(), training, validation));
  }
  return texts;
}

/// How far before a source's end the value stands whose key is asked for: x (B, S) -> (B).
Tensor distance_of_value(const Tensor& x, int64_t end_token) {
  const Tensor end = up_to_end(x, end_token).sum(/*dim=*/1, /*keepdim=*/true) - 1;  // (B, 1)
  const Tensor place = at::arange(x.size(1), end.options());
  const Tensor is_key = x.eq(x.gather(/*dim=*/1, end - 1)).logical_and(place.lt(end - 1));
  const Tensor key = (is_key * place).sum(/*dim=*/1);  // it stands there once
  return end.squeeze(1) - key - 1;
}

/// How many sources of min ... max pairs there are; of more than 10^18 nobody needs to know.
double recall_sources(const RecallConfig& config, int64_t min, int64_t max) {
  double count = 0, of_pairs = 1;
  for (int64_t n = 1; n <= std::min(max, config.keys); ++n) {
    of_pairs = std::min(of_pairs * static_cast<double>((config.keys - n + 1) * config.values), 1e18);
    if (n >= min) count += static_cast<double>(n) * of_pairs;
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

void RecallConfig::fields(Fields& f) {
  const Range letters{2, 26, false, false, "in [2, 26]"};
  f("max_pairs", max_pairs, "of a key and a value, at most", Range{1, 26, false, false, "in [1, 26]"});
  f("min_pairs", min_pairs, "of a key and a value, at least", Range{1, 26, false, false, "in [1, 26]"});
  f("keys", keys, "how many letters keys are of, from a on", letters);
  f("values", values, "how many digits values are of, from 0 on", Range{2, 10, false, false, "in [2, 10]"});
  f("examples", examples, "for training and validation", Range{2, 1e8, false, false, "in [2, 1e8]"});
  f("validation", validation, "the share of all sources, and so of the examples, kept for validation", kShare);
  f("test_pairs", test_pairs, "the most pairs of longer sources, for a test split; 0: none",
    Range{0, 26, false, false, "in [0, 26]"});
  f("test", test, "sources of the test split, where there is one", kSplitSize);
  f("data_seed", data_seed, kDataSeedDoc, non_negative);
  f.require(min_pairs <= max_pairs, "min_pairs", "'min_pairs' must be at most 'max_pairs'");
  f.require(max_pairs <= keys, "max_pairs", "'max_pairs' must be at most 'keys': no key stands in a source twice");
  f.require(test_pairs == 0 || test_pairs > max_pairs, "test_pairs",
            "'test_pairs' must be 0 or more than 'max_pairs': the test is of longer sources");
  f.require(test_pairs <= keys, "test_pairs", "'test_pairs' must be at most 'keys': no key stands in a source twice");
  const double held_out = recall_sources(*this, min_pairs, max_pairs) * validation;
  f.require(2 * static_cast<double>(examples) * validation <= held_out, "examples",
            fmt::format("'examples' {} are more than half of the {:.0f} different ones there are, too many for a "
                        "validation part without repetitions",
                        examples, recall_sources(*this, min_pairs, max_pairs)));
  if (test_pairs > max_pairs) require_enough(f, test, recall_sources(*this, max_pairs + 1, test_pairs), "test");
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

Dataset open(const RecallConfig& config, const DataPlaces&) {
  const std::string where = "data/recall";
  PairTexts texts = split_recalls(config);
  if (config.test_pairs > 0) {
    texts.test = different(config.test, synthetic_stream(config.data_seed, Split::test),
                           recalls(config, config.max_pairs + 1, config.test_pairs));
  }
  texts.lengths = {2 * config.max_pairs + 1, 1};
  Dataset set = make_pairs_dataset("recall", texts, CharacterTokens{}, where);
  set.distance = [end = set.spec.end_token](const Tensor& x) { return distance_of_value(x, end); };
  return set;
}

}  // namespace genzoo
