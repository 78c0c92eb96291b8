#include "models/ngram/counts.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace genzoo {
namespace {

/// All places of a text (L), sorted by the `order` tokens from each on; where the text ends sooner comes before where
/// it goes on. Counting sort by the last of these tokens first: stable, and linear.
Tensor sorted_places(std::span<const int32_t> text, int64_t vocabulary, int64_t order) {
  const auto L = static_cast<int64_t>(text.size());
  Tensor places = at::arange(L, at::kInt), sorted = at::empty_like(places);
  std::vector<int64_t> start(static_cast<size_t>(vocabulary) + 1);  // by token + 1; 0: the text has ended
  for (int64_t d = order - 1; d >= 0; --d) {
    const auto key = [&](int64_t place) {
      return place + d < L ? static_cast<size_t>(text[static_cast<size_t>(place + d)]) + 1 : 0;
    };
    std::ranges::fill(start, 0);
    for (int64_t place = 0; place < L; ++place) ++start[key(place)];
    std::exclusive_scan(start.begin(), start.end(), start.begin(), int64_t{0});
    const int32_t* from = places.const_data_ptr<int32_t>();
    auto* to = sorted.mutable_data_ptr<int32_t>();
    for (int64_t i = 0; i < L; ++i) to[start[key(from[i])]++] = from[i];
    std::swap(places, sorted);
  }
  return places;
}

void add(NgramLevel& level, int32_t token, const NgramLevel* longer) {
  level.tokens.push_back(token);
  level.counts.push_back(0);
  level.first.push_back(longer ? static_cast<int32_t>(longer->tokens.size()) : 0);
}

std::span<const int32_t> values_of(const Tensor& text) {
  return {text.const_data_ptr<int32_t>(), static_cast<size_t>(text.size(0))};
}

}  // namespace

std::vector<NgramLevel> count_ngrams(const Tensor& text, int64_t vocabulary, int64_t order) {
  const auto tokens = values_of(text);
  const auto N = static_cast<size_t>(order);
  std::vector<NgramLevel> levels(N);
  const auto longer = [&](size_t k) { return k + 1 < N ? &levels[k + 1] : nullptr; };
  const auto add_unseen = [&](int64_t until) {
    while (static_cast<int64_t>(levels[0].tokens.size()) < until) {
      add(levels[0], static_cast<int32_t>(levels[0].tokens.size()), longer(0));
    }
  };

  const Tensor sorted = sorted_places(tokens, vocabulary, order);
  std::span<const int32_t> before;  // the n-gram at the place before, in sorted order
  for (const int32_t place : values_of(sorted)) {
    const auto here = tokens.subspan(static_cast<size_t>(place));
    const auto ngram = here.first(std::min(here.size(), N));
    const auto shared = static_cast<size_t>(std::ranges::mismatch(ngram, before).in1 - ngram.begin());
    if (shared == 0) add_unseen(ngram[0]);
    for (size_t k = shared; k < ngram.size(); ++k) add(levels[k], ngram[k], longer(k));
    for (size_t k = 0; k < ngram.size(); ++k) ++levels[k].counts.back();
    before = ngram;
  }
  add_unseen(vocabulary);
  for (size_t k = 0; k < N; ++k) {
    levels[k].first.push_back(k + 1 < N ? static_cast<int32_t>(levels[k + 1].tokens.size()) : 0);
  }
  return levels;
}

void count_continuations(std::vector<NgramLevel>& levels, const Tensor& text) {
  // The number, among the n-grams one token shorter, of each n-gram without its first token.
  std::vector<int32_t> shortened(levels[0].tokens.size());
  for (size_t k = 0; k + 1 < levels.size(); ++k) {
    NgramLevel& level = levels[k];
    const NgramLevel& longer = levels[k + 1];
    std::vector<int32_t> longer_shortened(longer.tokens.size());
    std::vector<int32_t> continuations(level.counts.size(), 0);
    for (size_t i = 0; i < level.tokens.size(); ++i) {
      for (int32_t child = level.first[i]; child < level.first[i + 1]; ++child) {
        const auto c = static_cast<size_t>(child);
        const int32_t token = longer.tokens[c];
        const auto parent = static_cast<size_t>(shortened[i]);
        longer_shortened[c] =
            k == 0 ? token
                   : find_token(level.tokens, levels[k - 1].first[parent], levels[k - 1].first[parent + 1], token);
        ++continuations[static_cast<size_t>(longer_shortened[c])];
      }
    }
    level.counts = std::move(continuations);
    shortened = std::move(longer_shortened);
  }

  int32_t beginning = -1;  // the n-gram with which the text begins
  for (size_t k = 0; k + 1 < levels.size() && k < static_cast<size_t>(text.size(0)); ++k) {
    const int32_t token = text.const_data_ptr<int32_t>()[k];
    const auto b = static_cast<size_t>(std::max(beginning, 0));
    beginning =
        k == 0 ? token : find_token(levels[k].tokens, levels[k - 1].first[b], levels[k - 1].first[b + 1], token);
    ++levels[k].counts[static_cast<size_t>(beginning)];
  }
}

int32_t find_token(std::span<const int32_t> tokens, int32_t begin, int32_t end, int32_t token) {
  const auto from = tokens.begin() + begin, to = tokens.begin() + end;
  const auto found = std::lower_bound(from, to, token);
  return found != to && *found == token ? static_cast<int32_t>(found - tokens.begin()) : -1;
}

}  // namespace genzoo
