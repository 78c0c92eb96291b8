#pragma once
// Tokenizers as tokenizer.json describes them, the file of Hugging Face's `tokenizers`: added tokens are found, the
// text between them is normalized and cut into pieces, and each piece becomes tokens of a model.

#include <memory>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/tokenizers/byte_pairs.h"
#include "data/tokenizers/tokenizer.h"

namespace genzoo {

/// Reads a tokenizer.json. Throws RunError naming what is damaged or not supported.
std::unique_ptr<Tokenizer> pipeline_from_json(const SortedJson& file);

/// From the texts of GPT-2's files: encoder.json (or vocab.json), the index of each token, and vocab.bpe (or
/// merges.txt), the merges, a line each. Throws RunError.
std::unique_ptr<Tokenizer> pipeline_from_gpt2(const std::string& encoder_json, const std::string& vocab_bpe);

/// A byte-level tokenizer with GPT-2's pattern, of what train_byte_pairs learned. `special` are added tokens, where the
/// vocabulary has them.
std::unique_ptr<Tokenizer> make_byte_pair_pipeline(BytePairVocabulary pairs, const std::vector<std::string>& special);

/// Adds the pieces of a text, by GPT-2's pattern, line by line as `tokenizers` reads its training files.
void count_pieces(std::string_view text, PieceCounts& counts);

}  // namespace genzoo
