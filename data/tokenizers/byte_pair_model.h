#pragma once
// Byte pairs as files hold them.

#include <memory>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/tokenizers/byte_pairs.h"
#include "data/tokenizers/piece_model.h"

namespace genzoo {

/// Throw RunError naming what is damaged or not supported.
std::unique_ptr<PieceModel> byte_pairs_from_json(const SortedJson& model, bool bytes);

/// From the texts of GPT-2's files: encoder.json (or vocab.json), the index of each token, and vocab.bpe (or
/// merges.txt), the merges, a line each. Throws RunError.
std::unique_ptr<PieceModel> byte_pairs_from_gpt2(const std::string& encoder_json, const std::string& vocab_bpe);

/// Of pairs that were learned on bytes; `special` stand in the vocabulary as they are written.
std::unique_ptr<PieceModel> byte_pairs_of(BytePairVocabulary pairs, const std::vector<std::string>& special);

}  // namespace genzoo
