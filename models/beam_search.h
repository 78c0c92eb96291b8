#pragma once
// Target texts from a model of p(target | source), one token after another: the likeliest, token by token or by beam
// search, or a draw.

#include <torch/types.h>

#include <cstdint>
#include <functional>

#include "core/random.h"
#include "models/model.h"

namespace genzoo {

/// What a model is asked: the logits (N, V) of the token behind each of N prefixes.
///
/// last (N) int64: the last token of each, in the first call the end token, for nothing stands there yet. origin (N)
/// int64: the row of the last call from which it goes on, and whose state it takes; in the first call its source.
/// Some prefixes have no successor, others several, so N changes from call to call. Both on the targets' device.
using NextLogits = std::function<Tensor(const Tensor& origin, const Tensor& last)>;

/// Which targets are wanted.
struct TargetsWanted {
  int64_t sources = 0;
  int64_t tokens = 0;  ///< of a target at most, its end included; at least 1
  int64_t end = 0;     ///< the token that ends one
  torch::Device device = torch::kCPU;
};

/// One target for each source: (sources, tokens) int64, each ended and filled up with the end token. The last token can
/// only be an end.
///
/// Beam search: each source has `beams` places; the likeliest of all one-token continuations take those that are left,
/// one that ends keeps its place and is not continued. The search is over when all places have ended, and the best of
/// log p / length^length_penalty is the result; length counts the end. Sutskever et al. (2014),
/// https://arxiv.org/abs/1409.3215, section 3.2; the penalty is Wu et al.'s (2016), https://arxiv.org/abs/1609.08144,
/// section 7. One beam: the likeliest token, always. Ties go to the likelier prefix, then to the smaller token.
/// options.draw: each token from its distribution, row i from the stream of row i when `rng` has row streams.
/// options.told hears of the tokens as they come, of one source without beams.
/// Throws UsageError if the options cannot be. options.tokens is the caller's: what it means depends on the data.
Tensor find_targets(const TargetsWanted& wanted, const TranslateOptions& options, const NextLogits& next, Rng& rng);

}  // namespace genzoo
