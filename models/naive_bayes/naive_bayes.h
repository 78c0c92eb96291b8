#pragma once
// Naive Bayes classifier of texts: given its class, the tokens of a text are taken to be independent of one another,
//
//   log p(c | x) = log p(c) + sum over t of log p(x_t | c) + constant                            (multinomial)
//   log p(c | x) = log p(c) + sum over w in x of log p_w|c + over w not in x of log(1 - p_w|c) + constant   (bernoulli)
//
// with Lidstone's smoothing of what was counted in the training texts: n_cw of the token w in those of class c, or N_cw
// of N_c texts of that class which have w,
//
//   p(w | c) = (n_cw + alpha) / (sum over w of n_cw + alpha V),   p_w|c = (N_cw + alpha) / (N_c + 2 alpha).
//
// alpha = 1 is Laplace's. The order of tokens has no say; ends of texts are not counted.
// McCallum & Nigam, A Comparison of Event Models for Naive Bayes Text Classification, AAAI-98 Workshop on Learning for
// Text Categorization, 1998; Manning, Raghavan & Schuetze, Introduction to Information Retrieval, 2008, chapter 13.
//
// Legend: N training texts, B batch, T tokens, V tokens of the vocabulary without the end, K classes.

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <map>
#include <string>

#include "core/config.h"
#include "core/random.h"
#include "data/dataset.h"
#include "models/model.h"

namespace genzoo {

/// What of a text is an event: how often each token occurs, or whether it does.
enum class EventModel { multinomial, bernoulli };
inline constexpr const char* kEventModelNames[] = {"multinomial", "bernoulli"};

struct NaiveBayesConfig {
  static constexpr const char* kName = "naive_bayes";

  EventModel events = EventModel::multinomial;
  double alpha = 1.0;
  double prior_alpha = 1.0;

  void fields(Fields& f) {
    f("events", events, kEventModelNames,
      "what of a text counts: how often each token occurs, or which tokens of the vocabulary do and which do not");
    f("alpha", alpha, "added to each count of a token: 1 as Laplace, less for many texts", positive);
    f("prior_alpha", prior_alpha, "added to the number of texts of each class; 0: the classes are as likely as counted",
      non_negative);
  }
};

/// The classifier. It has no parameters.
class NaiveBayesImpl final : public torch::nn::Module {
 public:
  using Config = NaiveBayesConfig;
  static constexpr const char* kDoc =
      "naive Bayes classifier of texts, by counting tokens: discriminates, makes no text";
  static constexpr const char* kPaper = "McCallum & Nigam, 1998";
  static constexpr const char* kNoLikelihood =
      "it models p(label | text); the p(text | label) behind it takes tokens for independent of one another";

  /// Until it has counted, every class is equally likely. Throws UsageError if the data are not documents.
  NaiveBayesImpl(const NaiveBayesConfig& config, const DataSpec& data, Rng& init);

  /// Counts texts x (N, T) with labels y (N), instead of what it counted before. Terms: loss, the mean of -log p(label
  /// | text) of these texts themselves, nats, and error_rate, the share of them whose label is not the likeliest; both
  /// say nothing of other texts. Throws UsageError for texts without labels, tokens or labels that are none of the
  /// data, and a class without texts where prior_alpha is 0.
  Terms fit(const Examples& training);

  /// Nothing: the sizes of its buffers come from the data's description.
  void make_room(const std::map<std::string, Tensor>& /*state*/) {}

  /// log p(c) + log p(x | c), double: x (B, T) -> (B, K), nats. Throws UsageError for tokens outside the vocabulary.
  Tensor class_logits(const Tensor& x);

 private:
  Tensor events_of(const Tensor& x) const;
  void require_within(const Tensor& numbers, int64_t count, const char* what) const;

  NaiveBayesConfig config_;
  int64_t end_token_, classes_;
  Tensor token_counts_;  ///< (V, K) int64: n_cw or N_cw
  Tensor class_counts_;  ///< (K) int64: texts
};
TORCH_MODULE(NaiveBayes);

static_assert(HasFit<NaiveBayesImpl> && HasClassify<NaiveBayesImpl>);
static_assert(!HasLoss<NaiveBayesImpl>, "it counts, and descends nothing");
static_assert(!HasLogProb<NaiveBayesImpl> && !HasGenerate<NaiveBayesImpl>, "it tells texts apart and makes none");

}  // namespace genzoo
