#include "models/beam_search.h"

#include <map>
#include <set>
#include <vector>

#include "core/error.h"
#include "tests/support.h"

namespace genzoo {
namespace {

constexpr int64_t kVocabulary = 3, kEnd = 2, kTokens = 4;

using Text = std::vector<int64_t>;

/// A distribution over targets whose every conditional probability is a number of its own. It keeps the prefixes by
/// nothing but what the search tells it.
class Table final {
 public:
  explicit Table(uint64_t seed, int64_t sources) {
    Rng rng = Rng::for_batch(seed, Purpose::synthetic_data, 0);
    std::vector<Text> prefixes{{}};
    for (size_t i = 0; i < prefixes.size(); ++i) {
      for (int64_t source = 0; source < sources; ++source) {
        logits_[{source, prefixes[i]}] = rng.normal({kVocabulary}).to(torch::kDouble) * 1.5;
      }
      if (static_cast<int64_t>(prefixes[i].size()) + 1 == kTokens) continue;
      for (const int64_t token : {0, 1}) {
        prefixes.push_back(prefixes[i]);
        prefixes.back().push_back(token);
      }
    }
  }

  NextLogits steps() {
    rows_.clear();
    return [this](const Tensor& origin, const Tensor& last) {
      std::vector<std::pair<int64_t, Text>> rows;
      std::vector<Tensor> logits;
      for (int64_t i = 0; i < origin.size(0); ++i) {
        const int64_t from = origin[i].item<int64_t>(), token = last[i].item<int64_t>();
        auto row = rows_.empty() ? std::pair<int64_t, Text>{from, {}} : rows_.at(static_cast<size_t>(from));
        if (rows_.empty()) {
          REQUIRE(token == kEnd);
        } else {
          row.second.push_back(token);
        }
        // Rows of a draw go on behind their end; what is said of them does not matter.
        const auto known = logits_.find(row);
        logits.push_back(known == logits_.end() ? torch::zeros({kVocabulary}, torch::kDouble) : known->second);
        rows.push_back(std::move(row));
      }
      rows_ = std::move(rows);
      widest_ = std::max(widest_, origin.size(0));
      return torch::stack(logits);
    };
  }

  /// Every target there is, filled up, and its log-probability, of the last token that it is an end.
  std::map<Text, double> targets(int64_t source) const {
    std::map<Text, double> all;
    for (const auto& [key, logits] : logits_) {
      if (key.first != source) continue;
      Text target = key.second;
      double log_p = logits.log_softmax(0)[kEnd].item<double>();
      for (Text prefix = target; !prefix.empty();) {
        const int64_t token = prefix.back();
        prefix.pop_back();
        log_p += logits_.at({source, prefix}).log_softmax(0)[token].item<double>();
      }
      target.resize(kTokens, kEnd);
      all[target] = log_p;
    }
    return all;
  }

  int64_t widest() const { return widest_; }

 private:
  std::map<std::pair<int64_t, Text>, Tensor> logits_;
  std::vector<std::pair<int64_t, Text>> rows_;
  int64_t widest_ = 0;
};

Text row_of(const Tensor& t, int64_t i) {
  const Tensor row = t[i].contiguous();
  return {row.data_ptr<int64_t>(), row.data_ptr<int64_t>() + row.numel()};
}

int64_t length_of(const Text& target) { return std::ranges::find(target, kEnd) - target.begin() + 1; }

Tensor find(Table& table, int64_t sources, const TranslateOptions& options) {
  Rng rng = Rng::for_rows(0, Purpose::sample, 0, sources);
  return find_targets({.sources = sources, .tokens = kTokens, .end = kEnd}, options, table.steps(), rng);
}

TEST_CASE("one beam takes the likeliest token, always", "[models][beam_search]") {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    Table table(seed, 3);
    const Tensor found = find(table, 3, {});
    REQUIRE(found.sizes() == at::IntArrayRef({3, kTokens}));
    for (int64_t source = 0; source < 3; ++source) {
      // As many targets begin with a prefix, so their probabilities say which token is likeliest after it.
      const auto all = table.targets(source);
      const Text got = row_of(found, source);
      REQUIRE(all.contains(got));
      Table alone(seed, 3);
      const NextLogits steps = alone.steps();
      Tensor logits = steps(torch::tensor({source}), torch::tensor({kEnd}));
      for (int64_t t = 0; t + 1 < kTokens; ++t) {
        const int64_t token = logits[0].argmax().item<int64_t>();
        CHECK(got[static_cast<size_t>(t)] == token);
        if (token == kEnd) break;
        logits = steps(torch::tensor({int64_t{0}}), torch::tensor({token}));
      }
    }
  }
}

TEST_CASE("with room for every target beam search finds the best one", "[models][beam_search]") {
  int64_t greedy_misses = 0, penalty_matters = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Table table(seed, 2);
    const Tensor greedy = find(table, 2, {});
    std::vector<Tensor> found;
    for (const double penalty : {0.0, 1.0}) {
      found.push_back(find(table, 2, {.beams = 81, .length_penalty = penalty}));
      for (int64_t source = 0; source < 2; ++source) {
        const auto all = table.targets(source);
        REQUIRE(all.size() == 15);  // 1 + 2 + 4 + 8
        const auto rank = [&](const auto& target) {
          return target.second / std::pow(static_cast<double>(length_of(target.first)), penalty);
        };
        const auto best =
            std::ranges::max_element(all, [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
        CHECK(row_of(found.back(), source) == best->first);
        if (penalty == 0) greedy_misses += row_of(greedy, source) != best->first;
      }
    }
    penalty_matters += !found[0].equal(found[1]);
  }
  CHECK(greedy_misses > 5);  // so it is a search
  CHECK(penalty_matters > 3);
}

TEST_CASE("a wider beam finds targets at least as likely, on average, within its places", "[models][beam_search]") {
  double last = -1e9;
  for (const int64_t beams : {1, 2, 4}) {
    double sum = 0;
    for (uint64_t seed = 0; seed < 40; ++seed) {
      Table table(seed, 2);
      const Tensor found = find(table, 2, {.beams = beams, .length_penalty = 0});
      CHECK(table.widest() <= 2 * beams);
      for (int64_t source = 0; source < 2; ++source) sum += table.targets(source).at(row_of(found, source));
    }
    CHECK(sum > last);
    last = sum;
  }
}

TEST_CASE("sources are searched together as they are alone", "[models][beam_search]") {
  Table table(5, 4);
  const Tensor together = find(table, 4, {.beams = 3});
  for (int64_t source = 0; source < 4; ++source) {
    const NextLogits steps = table.steps();
    bool first = true;
    const NextLogits of_source = [&](const Tensor& origin, const Tensor& last) {
      return steps(std::exchange(first, false) ? torch::full_like(origin, source) : origin, last);
    };
    Rng rng = Rng::for_rows(0, Purpose::sample, 0, 1);
    CHECK(find_targets({.sources = 1, .tokens = kTokens, .end = kEnd}, {.beams = 3}, of_source, rng)[0].equal(
        together[source]));
  }
}

TEST_CASE("drawn targets have their probabilities", "[models][beam_search]") {
  Table table(3, 1);
  constexpr int64_t kDraws = 4000;
  Rng rng = Rng::for_rows(1, Purpose::sample, 0, kDraws);
  const NextLogits steps = table.steps();
  bool first = true;
  const NextLogits of_one = [&](const Tensor& origin, const Tensor& last) {
    return steps(std::exchange(first, false) ? torch::zeros_like(origin) : origin, last);
  };
  const TargetsWanted wanted{.sources = kDraws, .tokens = kTokens, .end = kEnd};
  const Tensor drawn = find_targets(wanted, {.draw = true}, of_one, rng);
  std::map<Text, int64_t> counts;
  for (int64_t i = 0; i < kDraws; ++i) ++counts[row_of(drawn, i)];
  // The last token can only be an end: the probability of a longest target is that of its other tokens.
  std::map<Text, double> p;
  for (const auto& [target, log_p] : table.targets(0)) p[target] = std::exp(log_p);
  double ended = 0;
  for (const auto& [target, probability] : p) ended += length_of(target) < kTokens ? probability : 0;
  double drawn_shorter = 0;
  for (const auto& [target, count] : counts) {
    REQUIRE(p.contains(target));
    if (length_of(target) == kTokens) continue;
    drawn_shorter += static_cast<double>(count);
    const double expected = kDraws * p[target];
    CHECK(std::abs(static_cast<double>(count) - expected) < 5 * std::sqrt(expected) + 1);
  }
  CHECK(drawn_shorter / kDraws == Approx(ended).margin(0.04));
  CHECK(counts.size() > 8);
}

TEST_CASE("a search that cannot be is refused", "[models][beam_search]") {
  Table table(0, 1);
  CHECK_THROWS_AS(find(table, 1, {.beams = 0}), UsageError);
  CHECK_THROWS_AS(find(table, 1, {.tokens = -1}), UsageError);
  CHECK_THROWS_AS(find(table, 1, {.length_penalty = -1}), UsageError);
  CHECK_THROWS_AS(find(table, 1, {.beams = 2, .draw = true}), UsageError);
}

}  // namespace
}  // namespace genzoo
