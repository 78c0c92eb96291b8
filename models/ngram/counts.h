#pragma once
// Which sequences of n tokens stand in a text, and how often: a trie, level by level.

#include <torch/types.h>

#include <cstdint>
#include <span>
#include <vector>

namespace genzoo {

using torch::Tensor;

/// The n-grams of one length that occur, in lexicographic order. Of length 1 there are all tokens of the vocabulary,
/// those that do not occur with count 0.
struct NgramLevel {
  std::vector<int32_t> tokens;  ///< (n) the last token of each
  std::vector<int32_t> counts;  ///< (n)
  /// (n + 1) Those that are one token longer and begin with n-gram i are first[i] ... first[i + 1] - 1, by rising last
  /// token. Of the longest n-grams all zeros.
  std::vector<int32_t> first;
};

/// N-grams of the lengths 1 ... `order` of a text (L) int32, on the CPU, of tokens 0 ... vocabulary - 1; L below 2^31.
/// Takes time proportional to order x L.
std::vector<NgramLevel> count_ngrams(const Tensor& text, int64_t vocabulary, int64_t order);

/// In all levels but the last, puts in the place of a count how many different tokens stand before the n-gram; the
/// beginning of the text counts as one more. Kneser & Ney (1995).
void count_continuations(std::vector<NgramLevel>& levels, const Tensor& text);

/// The place of `token` among tokens[begin] ... tokens[end - 1], which rise; -1 if it is not there.
int32_t find_token(std::span<const int32_t> tokens, int32_t begin, int32_t end, int32_t token);

}  // namespace genzoo
