#pragma once
// SentencePiece's models (Kudo & Richardson, 2018), the files tokenizer.model and spiece.model, as a tokenizer.json
// would hold them.

#include <memory>
#include <string>

#include "core/json.h"
#include "data/tokenizers/tokenizer.h"

namespace genzoo {

/// The tokenizer.json that does what a model does, of type "bpe" or "unigram". Control symbols ("<s>") and those that
/// its makers chose are added tokens. The model does not tell what it puts around a text, so there is no
/// "post_processor". Throws RunError naming what is damaged or not supported.
SortedJson json_of_sentencepiece(const std::string& model);

}  // namespace genzoo
