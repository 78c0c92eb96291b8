#pragma once
// From counts of n-grams to p(w | h), for every context h and every token w of the vocabulary.
//
// All smoothings here interpolate: with h' the context h without its first token, c a count and c(h) the sum of c(h, w)
// over w,
//
//   p(w | h) = (c(h, w) - D(c(h, w)) + G(h) p(w | h')) / Z(h),        p(w | h) = p(w | h') where h was never seen,
//
// down to p = 1 / V. Every p is positive and they sum to one.
//
//   Witten-Bell             D = 0, G(h) = the number of different tokens seen after h, Z(h) = c(h) + G(h).
//                           Witten & Bell (1991), method C; Chen & Goodman (1998), equations 12 and 13
//   Kneser-Ney              D constant for a length of n-grams, G(h) = the sum of D over the tokens seen after h,
//                           Z(h) = c(h). Of all but the longest n-grams c is not how often, but after how many
//                           different tokens they occur. Kneser & Ney (1995); Chen & Goodman (1998), section 2.7,
//                           interpolated
//   modified Kneser-Ney     the same with three discounts, for counts of 1, 2 and more. Chen & Goodman (1998), section
//   3
//
// S. F. Chen & J. Goodman, An Empirical Study of Smoothing Techniques for Language Modeling, TR-10-98, Harvard, 1998.

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace genzoo {

enum class Smoothing { witten_bell, kneser_ney, modified_kneser_ney };
inline constexpr const char* kSmoothingNames[] = {"witten_bell", "kneser_ney", "modified_kneser_ney"};

inline constexpr int64_t kLongestNgram = 16;

/// One level of the trie, somebody else's memory; as NgramLevel.
struct NgramView {
  std::span<const int32_t> tokens, counts, first;
};

/// By which D(c) is subtracted, c = 0, 1, 2, 3 or more.
using Discounts = std::array<double, 4>;

/// The discounts that leaving one out suggests, from how many n-grams of this length have a count of 1, 2, 3, 4: with
/// Y = n_1 / (n_1 + 2 n_2), D = Y; modified D_c = c - (c + 1) Y n_{c+1} / n_c. Chen & Goodman (1998), section 3. Where
/// such n-grams are missing, as they are for single characters, or a discount is not in (0, c]: 0.5 for Kneser-Ney,
/// 0.5, 1, 1.5 for the modified one, as in KenLM.
Discounts estimate_discounts(std::span<const int32_t> counts, Smoothing smoothing);

/// The distribution of the next token, of n-grams of up to kLongestNgram tokens.
class SmoothedCounts final {
 public:
  /// levels[k]: the n-grams of length k + 1, their counts as the smoothing wants them.
  SmoothedCounts(std::vector<NgramView> levels, Smoothing smoothing);

  /// What was read last: [k] the number of the last k tokens among the n-grams of length k; -1 if these were never
  /// seen, or fewer tokens were read.
  using Context = std::array<int32_t, kLongestNgram>;
  Context beginning() const;  ///< nothing was read

  /// p(token | context), and the context when it has been read too.
  double read(Context& context, int32_t token) const;

  /// p(w | context) of all w (V).
  void distribution(const Context& context, std::span<double> p) const;

  /// Tokens before it on which the next one depends.
  int64_t reach() const { return static_cast<int64_t>(levels_.size()) - 1; }

 private:
  /// The n-grams one token longer than the context of k tokens that is number i: begin and end.
  std::pair<int32_t, int32_t> continued(size_t k, int32_t i) const;

  std::vector<NgramView> levels_;
  std::vector<Discounts> discounts_;  ///< [k] of the n-grams of length k + 1
  struct Weights {
    double kept;  ///< G(h) / Z(h)
    double z;     ///< Z(h); 0: nothing was seen after h
  };
  std::vector<std::vector<Weights>> weights_;  ///< [k][i] of the context of k tokens that is number i
};

}  // namespace genzoo
