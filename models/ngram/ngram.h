#pragma once
// N-gram language model: the next token given the `order` - 1 before it, from counts of what followed them in the
// training text,
//
//   log p(x_2 ... x_T | x_1) = sum over t of log p(x_{t+1} | x_{t-order+2} ... x_t).
//
// It learns by counting, in one pass over the text; what was not seen is smoothed (models/ngram/smoothing.h).
// Shannon, A Mathematical Theory of Communication, 1948, section 3; Witten & Bell, IEEE Trans. Inform. Theory 37, 1991;
// Kneser & Ney, ICASSP 1995; Chen & Goodman, TR-10-98, Harvard, 1998.
//
// Legend: B batch, T tokens, V vocabulary, L tokens of the training text.

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/config.h"
#include "core/random.h"
#include "data/dataset.h"
#include "models/model.h"
#include "models/ngram/smoothing.h"

namespace genzoo {

struct NgramConfig {
  static constexpr const char* kName = "ngram";

  int64_t order = 5;
  Smoothing smoothing = Smoothing::witten_bell;
  int64_t block_size = 1024;

  void fields(Fields& f) {
    f("order", order, "tokens of the longest n-grams; the next token depends on order - 1 before it",
      Range{1, kLongestNgram, false, false, "in [1, 16]"});
    f("smoothing", smoothing, kSmoothingNames, "how tokens that were not seen in a context get a probability");
    f("block_size", block_size,
      "tokens of the windows in which text is evaluated; the first order - 1 of each have fewer before them", positive);
  }
};

/// The n-grams of one length, as NgramLevel (models/ngram/counts.h): three buffers, int32.
class NgramCountsImpl final : public torch::nn::Module {
 public:
  NgramCountsImpl();
  Tensor tokens;  ///< (n)
  Tensor counts;  ///< (n)
  Tensor first;   ///< (n + 1)
};
TORCH_MODULE(NgramCounts);

/// The language model. It has no parameters, and computes on the CPU wherever its counts lie.
class NgramImpl final : public torch::nn::Module {
 public:
  using Config = NgramConfig;
  static constexpr const char* kDoc = "n-gram language model with Witten-Bell or Kneser-Ney smoothing";
  static constexpr const char* kPaper = "Witten & Bell, 1991; Kneser & Ney, 1995; Chen & Goodman, 1998";

  /// Until it has counted, every token is equally likely. Throws UsageError if the data are not tokens.
  NgramImpl(const NgramConfig& config, const DataSpec& data, Rng& init);

  /// Counts a text, training.x (L) of whole numbers, instead of what it counted before. Terms: loss, the mean of -log p
  /// of the text itself, nats per token, which says nothing of other text; ngrams, how many different ones there are.
  /// Throws UsageError for tokens outside the vocabulary, and for fewer than 2 or more than 2^31 - 1 tokens.
  Terms fit(const Examples& training);

  /// Gives the buffers the sizes that they have in `state`, by name; what does not fit there is left for load_state.
  void make_room(const std::map<std::string, Tensor>& state);

  /// log p(y_t | x_1 ... x_t), double: x, y (B, T), any T -> (B, T), nats. The same bits on any number of threads.
  /// Throws UsageError for tokens outside the vocabulary.
  Tensor token_log_prob(const Tensor& x, const Tensor& y);

  /// log p(x_2 ... x_T | x_1), exact: x (B, T) -> (B), nats. k and rng have no part in it.
  Tensor log_prob(const Tensor& x, int64_t k, Rng& rng);
  LikelihoodClaim likelihood() const;
  int64_t context() const { return config_.block_size; }

  /// Continues the prompt (B, P) int64, P at least 1, by options.tokens tokens: (B, P + tokens). Row i is drawn from
  /// the stream of row i when `rng` has row streams.
  /// Throws UsageError: an empty prompt, tokens outside the vocabulary, options that cannot be; a draft, or a type for
  /// weights, of which it has none.
  Tensor generate(const Tensor& prompt, const GenerateOptions& options, Rng& rng);

 private:
  void require_tokens(const Tensor& tokens, const char* what) const;
  /// The counts as probabilities; made anew when the counts have changed. Throws RunError if they cannot be counts.
  std::shared_ptr<const SmoothedCounts> smoothed();

  NgramConfig config_;
  int64_t vocabulary_;
  std::vector<NgramCounts> levels_;  ///< [k] of length k + 1

  struct OnCpu;  // smoothed counts, and the tensors they look at
  std::shared_ptr<const OnCpu> smoothed_;
  std::vector<std::pair<const void*, int64_t>> smoothed_of_;  ///< where these were, and how often written to
};
TORCH_MODULE(Ngram);

static_assert(HasFit<NgramImpl> && HasTokenLogProb<NgramImpl> && HasLogProb<NgramImpl> && HasGenerate<NgramImpl>);
static_assert(!HasLoss<NgramImpl>, "it counts, and descends nothing");
static_assert(!HasSample<NgramImpl>, "a language model continues a text: it generates");

}  // namespace genzoo
