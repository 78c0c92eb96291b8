#include "data/markov.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "core/error.h"
#include "data/synthetic.h"
#include "data/tokenizers/tokenizer.h"

namespace genzoo {
namespace {

// The chain's own stream, apart from those of the three splits (0, 1, 2).
constexpr uint64_t kChainStream = 3;
constexpr int64_t kMostContexts = int64_t{1} << 18;

int64_t contexts_of(const MarkovConfig& config) {
  int64_t contexts = 1;
  for (int64_t i = 0; i < config.order; ++i) contexts *= config.symbols;
  if (contexts > kMostContexts) {
    throw UsageError(fmt::format("data.markov: {} symbols and order {} make {} contexts, wanted at most {}; lower one",
                                 config.symbols, config.order, contexts, kMostContexts));
  }
  return contexts;
}

// Logarithms of Gamma(a, 1) samples (Marsaglia & Tsang, 2000, sec. 4 and 6): Gamma(a, 1) is Gamma(a + 1, 1) times
// u^(1 / a). In logarithms, so that with a small a a row does not underflow to zeros.
Tensor log_gamma_samples(double shape, at::IntArrayRef size, Rng& rng) {
  const double d = shape + 1 - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  const Tensor like = torch::empty(size, torch::kDouble);
  Tensor log_sample = torch::full(size, NAN, torch::kDouble);
  // Each round accepts about 95 % of what is left; all is drawn anew each time, so that the draws do not depend on it.
  while (log_sample.isnan().any().item<bool>()) {
    const Tensor z = rng.normal_like(like);
    const Tensor v = (1 + c * z).pow(3);
    const Tensor accepted = v.gt(0).logical_and(
        rng.uniform_like(like).log().lt(0.5 * z.square() + d - d * v + d * v.clamp_min(1e-300).log()));
    log_sample = torch::where(log_sample.isnan().logical_and(accepted), (d * v).log(), log_sample);
  }
  return log_sample + rng.uniform_like(like).clamp_min(1e-300).log() / shape;
}

// pi(b, ..., c) = sum_a pi(a, b, ...) P(c | a, b, ...), by repeated averaging of both sides: the average has the same
// fixed point and, unlike the plain iteration, converges for a periodic chain.
Tensor stationary_distribution(const Tensor& transitions, int64_t symbols) {
  constexpr int kMostSteps = 200000;
  const int64_t contexts = transitions.size(0);
  Tensor pi = torch::full({contexts}, 1.0 / static_cast<double>(contexts), torch::kDouble);
  for (int step = 0; step < kMostSteps; ++step) {
    const Tensor joint = pi.unsqueeze(1) * transitions;                  // (S^k, S)
    const Tensor next = joint.view({symbols, contexts}).sum(/*dim=*/0);  // the oldest dropped
    const double change = (next - pi).abs().sum().item<double>();
    pi = 0.5 * (pi + next);
    if (change < 1e-14) return pi / pi.sum();
  }
  throw RunError(
      "data/markov: the chain hardly mixes, its entropy rate was not found; "
      "choose a larger concentration or another data_seed");
}

Tensor generate(const MarkovChain& chain, int64_t length, int64_t order, Rng rng) {
  const int64_t contexts = chain.transitions.size(0), symbols = chain.transitions.size(1);
  const Tensor cumulative = chain.transitions.cumsum(/*dim=*/1).contiguous();
  const Tensor u = rng.uniform_like(torch::empty({length}, torch::kDouble));
  Tensor text = torch::empty({length}, torch::kByte);
  const auto* rows = cumulative.data_ptr<double>();
  const auto* draws = u.data_ptr<double>();
  auto* out = text.data_ptr<uint8_t>();
  // From the stationary distribution, so that every place of the text has it.
  int64_t context = rng.categorical(chain.stationary.unsqueeze(0)).item<int64_t>();
  for (int64_t i = 0; i < length; ++i) {
    int64_t symbol;
    if (i < order) {  // the first k symbols are the context itself, oldest first
      int64_t place = contexts;
      for (int64_t j = 0; j <= i; ++j) place /= symbols;
      symbol = context / place % symbols;
    } else {
      const double* row = rows + context * symbols;
      // Scaled by the sum, which is 1 but for rounding: a draw never falls behind the last symbol.
      symbol = std::upper_bound(row, row + symbols - 1, draws[i] * row[symbols - 1]) - row;
      context = (context * symbols + symbol) % contexts;
    }
    out[i] = static_cast<uint8_t>(symbol);
  }
  return text;
}

}  // namespace

void MarkovConfig::fields(Fields& f) {
  f("order", order, "how many symbols the next one depends on", Range{1, 8, false, false, "in [1, 8]"});
  f("symbols", symbols, "letters of the alphabet", Range{2, 26, false, false, "in [2, 26]"});
  f("concentration", concentration, "of the Dirichlet distribution of the transition probabilities; small: predictable",
    Range{0.05, 100, false, false, "in [0.05, 100]"});
  f("length", length, "letters of the training text", kSplitSize);
  f("validation", validation, "letters of the validation text", kSplitSize);
  f("test", test, "letters of the test text", kSplitSize);
  f("data_seed", data_seed, kDataSeedDoc, non_negative);
}

MarkovChain markov_chain(const MarkovConfig& config) {
  const int64_t contexts = contexts_of(config);
  Rng rng = Rng::for_batch(static_cast<uint64_t>(config.data_seed), Purpose::synthetic_data, 0, kChainStream);
  MarkovChain chain;
  chain.transitions = log_gamma_samples(config.concentration, {contexts, config.symbols}, rng).softmax(/*dim=*/1);
  chain.stationary = stationary_distribution(chain.transitions, config.symbols);
  const Tensor row_entropy = -at::special_xlogy(chain.transitions, chain.transitions).sum(/*dim=*/1);
  chain.entropy_rate = chain.stationary.dot(row_entropy).item<double>();
  return chain;
}

double entropy_of(const MarkovConfig& config) { return markov_chain(config).entropy_rate; }

Dataset open(const MarkovConfig& config, const DataPlaces&) {
  const MarkovChain chain = markov_chain(config);
  std::string letters;
  for (int64_t i = 0; i < config.symbols; ++i) letters += static_cast<char>('a' + i);
  const auto tokenizer = Tokenizer::characters_of(letters);

  Dataset dataset;
  dataset.spec.dataset = "markov";
  dataset.spec.kind = DataKind::tokens;
  dataset.spec.vocabulary = tokenizer->vocabulary();
  dataset.spec.token_unit = tokenizer->unit();
  dataset.spec.tokenizer = tokenizer->to_json();
  const auto text = [&](Split split, int64_t length) {
    return Examples{generate(chain, length, config.order, synthetic_stream(config.data_seed, split)), {}};
  };
  dataset.train = text(Split::train, config.length);
  dataset.validation = text(Split::validation, config.validation);
  dataset.test = text(Split::test, config.test);
  dataset.entropy = chain.entropy_rate;
  return dataset;
}

}  // namespace genzoo
