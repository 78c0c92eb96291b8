#pragma once
// Tokens that are words and signs, learned from a text.

#include <cstdint>
#include <memory>
#include <string_view>

#include "data/tokenizers/byte_pairs.h"
#include "data/tokenizers/tokenizer.h"

namespace genzoo {

/// Adds the words of a text (letters, digits and the apostrophes between them), its other signs and the ends of its
/// lines, one by one.
void count_words(std::string_view text, PieceCounts& counts);

/// The unknown token "<unk>" and the most frequent words, `size` tokens in all; of equals the smaller one, as
/// `tokenizers`' WordLevelTrainer has them. None that occurs less than `min_count` times.
///
/// What a text loses: which words were unknown; how many spaces there were between words, which decode puts as English
/// does, one before a word and none before "," or after "("; those at the ends of lines.
std::unique_ptr<Tokenizer> make_word_pipeline(const PieceCounts& words, int64_t size, int64_t min_count);

}  // namespace genzoo
