#pragma once
// Unigram language models of pieces (Kudo, 2018): of all ways to cut a text into tokens the one whose log-probabilities
// sum to the most.

#include <memory>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/tokenizers/piece_model.h"

namespace genzoo {

struct UnigramVocabulary {
  std::vector<std::string> tokens;  ///< by index
  std::vector<double> scores;       ///< log-probability of each, nats
  std::optional<int32_t> unknown;   ///< for characters without a token; several in a row are one
  bool byte_fallback = false;       ///< characters without a token become tokens "<0x00>" to "<0xFF>", where there are
};

/// Throws RunError on tokens and scores that do not fit, an unknown token that is not there, a score that is no number.
std::unique_ptr<PieceModel> unigram_of(UnigramVocabulary vocabulary);

/// Throws RunError naming what is damaged.
std::unique_ptr<PieceModel> unigram_from_json(const SortedJson& model);

}  // namespace genzoo
