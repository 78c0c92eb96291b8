#include "data/tokenizers/piece_model.h"

#include <fmt/format.h>

#include "core/error.h"
#include "data/tokenizers/byte_pair_model.h"
#include "data/tokenizers/json_fields.h"
#include "data/tokenizers/unigram.h"
#include "data/tokenizers/words.h"

namespace genzoo {

std::unique_ptr<PieceModel> make_piece_model(const SortedJson& model, bool bytes) {
  const std::string type = text_in(model, "type", "model");
  if (type == "BPE") return byte_pairs_from_json(model, bytes);
  if (type == "WordPiece") return word_piece_from_json(model);
  if (type == "WordLevel") return word_level_from_json(model);
  if (type == "Unigram") return unigram_from_json(model);
  throw RunError(fmt::format(
      "tokenizer: a model of type \"{}\" is not known; known are BPE, WordPiece, WordLevel, Unigram", type));
}

}  // namespace genzoo
