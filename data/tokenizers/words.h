#pragma once
// Tokens that are words, and BERT's pieces of words.

#include <memory>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/tokenizers/piece_model.h"

namespace genzoo {

/// "WordLevel": a piece is a token, or the unknown one. Throws RunError naming what is damaged.
std::unique_ptr<PieceModel> word_level_from_json(const SortedJson& model);

/// "WordPiece" (Schuster & Nakajima, 2012; Devlin et al., 2019): the longest token that a piece begins with, then the
/// longest that continues it, to its end; where that fails, or a piece is too long, the whole of it is the unknown
/// token. Throws RunError naming what is damaged.
std::unique_ptr<PieceModel> word_piece_from_json(const SortedJson& model);

}  // namespace genzoo
