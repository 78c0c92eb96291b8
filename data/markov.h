#pragma once
// Text drawn from a random Markov chain, of which the entropy rate is known: what a language model can reach at best.

#include <cstdint>

#include "data/dataset.h"

namespace genzoo {

struct MarkovConfig {
  int64_t order = 2;
  int64_t symbols = 8;
  double concentration = 0.5;
  int64_t length = 1000000;
  int64_t validation = 100000;
  int64_t test = 100000;
  int64_t data_seed = 0;

  void fields(Fields& f);
};

/// A chain of order k over S symbols: the next depends on the last k.
struct MarkovChain {
  Tensor transitions;   ///< (S^k, S) float64, rows sum to 1; row index: the last k symbols, oldest first, in base S
  Tensor stationary;    ///< (S^k) float64: how often each context occurs
  double entropy_rate;  ///< nats per symbol: sum over contexts of stationary times the entropy of its row
};

/// Rows drawn from a symmetric Dirichlet(concentration), by data_seed. Throws RunError when the chain is so nearly
/// reducible that its stationary distribution cannot be found.
MarkovChain markov_chain(const MarkovConfig& config);

double entropy_of(const MarkovConfig& config);

/// The text as letters a, b, c, ...: tokens are characters.
Dataset open(const MarkovConfig& config, const DataPlaces& places);

}  // namespace genzoo
