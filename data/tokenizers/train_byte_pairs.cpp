// How `tokenizers` 0.23 learns merges, found by reading it: counts of pairs are kept up to date as words change, and a
// queue holds each pair with the words in which it was seen. Its corner cases are kept as well: pairs that overlap
// ("aaa") count twice at first, and a token that two merges make is one.
#include <algorithm>
#include <tuple>
#include <unordered_set>

#include "data/tokenizers/byte_level.h"
#include "data/tokenizers/byte_pairs.h"

namespace genzoo {
namespace {

using Pair = std::pair<int32_t, int32_t>;

struct PairHash {
  size_t operator()(const Pair& pair) const {
    const uint64_t key =
        static_cast<uint64_t>(static_cast<uint32_t>(pair.first)) << 32 | static_cast<uint32_t>(pair.second);
    return std::hash<uint64_t>()(key * 0x9e3779b97f4a7c15ULL);
  }
};

struct Word {
  std::vector<int32_t> symbols;
  int64_t count;
};

/// A pair to merge, and the words in which to look for it. The most frequent is at the top, of equals the smallest.
struct Candidate {
  int64_t count;
  Pair pair;
  std::vector<int32_t> words;
  friend bool operator<(const Candidate& a, const Candidate& b) {
    return a.count != b.count ? a.count < b.count : a.pair > b.pair;
  }
};

class Training final {
 public:
  Training(const PieceCounts& pieces, const std::vector<std::string>& reserved) {
    for (const std::string& token : reserved) add(token);
    for (int byte = 0; byte < 256; ++byte) alphabet_.emplace_back(1, static_cast<char>(byte));
    std::ranges::sort(alphabet_, {}, [](const std::string& byte) { return printable_of(byte); });
    for (const std::string& byte : alphabet_) add(byte);
    words_.reserve(pieces.size());
    for (const auto& [piece, count] : pieces) {
      Word& word = words_.emplace_back(Word{{}, count});
      for (const char c : piece) word.symbols.push_back(index_.at(std::string(1, c)));
    }
    for (size_t w = 0; w < words_.size(); ++w) {
      for (size_t i = 0; i + 1 < words_[w].symbols.size(); ++i) {
        change({words_[w].symbols[i], words_[w].symbols[i + 1]}, static_cast<int32_t>(w), 1);
      }
    }
    enqueue_changed();
  }

  int64_t size() const { return static_cast<int64_t>(vocabulary_.tokens.size()); }

  /// False when no pair occurs `min_count` times.
  bool merge_one(int64_t min_count) {
    while (!queue_.empty()) {
      std::pop_heap(queue_.begin(), queue_.end());
      Candidate top = std::move(queue_.back());
      queue_.pop_back();
      const int64_t now = counts_[top.pair];
      if (top.count != now) {
        top.count = now;
        enqueue(std::move(top));
        continue;
      }
      if (top.count < std::max<int64_t>(1, min_count)) return false;
      const int32_t merged = add(vocabulary_.tokens[top.pair.first] + vocabulary_.tokens[top.pair.second]);
      vocabulary_.merges.push_back(top.pair);
      for (const int32_t word : top.words) merge_in(word, top.pair, merged);
      enqueue_changed();
      return true;
    }
    return false;
  }

  BytePairVocabulary take() { return std::move(vocabulary_); }

 private:
  int32_t add(const std::string& token) {
    const auto [entry, is_new] = index_.emplace(token, static_cast<int32_t>(vocabulary_.tokens.size()));
    if (is_new) vocabulary_.tokens.push_back(token);
    return entry->second;
  }

  void change(const Pair& pair, int32_t word, int sign) {
    counts_[pair] += sign * words_[word].count;
    if (sign > 0) changed_[pair].push_back(word);
  }

  void merge_in(int32_t w, const Pair& pair, int32_t merged) {
    std::vector<int32_t>& s = words_[w].symbols;
    size_t kept = 0;  // symbols before it are done
    for (size_t i = 0; i < s.size(); ++i, ++kept) {
      if (s[i] != pair.first || i + 1 == s.size() || s[i + 1] != pair.second) {
        s[kept] = s[i];
        continue;
      }
      if (kept > 0) {
        change({s[kept - 1], pair.first}, w, -1);
        change({s[kept - 1], merged}, w, 1);
      }
      if (i + 2 < s.size()) {
        change({pair.second, s[i + 2]}, w, -1);
        change({merged, s[i + 2]}, w, 1);
      }
      s[kept] = merged;
      ++i;
    }
    s.resize(kept);
  }

  void enqueue_changed() {
    for (auto& [pair, words] : changed_) {
      const int64_t count = counts_[pair];
      if (count <= 0) continue;
      std::ranges::sort(words);
      words.erase(std::unique(words.begin(), words.end()), words.end());
      enqueue({count, pair, std::move(words)});
    }
    changed_.clear();
  }

  void enqueue(Candidate candidate) {
    queue_.push_back(std::move(candidate));
    std::push_heap(queue_.begin(), queue_.end());
  }

  BytePairVocabulary vocabulary_;
  std::vector<std::string> alphabet_;
  std::unordered_map<std::string, int32_t> index_;
  std::vector<Word> words_;
  std::unordered_map<Pair, int64_t, PairHash> counts_;
  std::unordered_map<Pair, std::vector<int32_t>, PairHash> changed_;
  std::vector<Candidate> queue_;  ///< a heap
};

}  // namespace

BytePairVocabulary train_byte_pairs(const PieceCounts& pieces, int64_t size, int64_t min_count,
                                    const std::vector<std::string>& reserved) {
  Training training(pieces, reserved);
  while (training.size() < size && training.merge_one(min_count)) {
  }
  return training.take();
}

}  // namespace genzoo
