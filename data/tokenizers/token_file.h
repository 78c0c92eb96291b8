#pragma once
// Tokens in a file: the array `tokens` of a safetensors file, with the tokenizer that made them told in its metadata.

#include <filesystem>

#include "data/tokenizers/tokenizer.h"

namespace genzoo {

/// Writes tokens (L) as uint16, or uint32 where the vocabulary needs it. Throws RunError (write_file_whole).
void write_tokens(const std::filesystem::path& path, const Tensor& tokens, const Tokenizer& tokenizer);

/// Tokens (L) that `tokenizer` made, or that do not tell what made them. Throws UsageError if there is no such file or
/// another tokenizer made it, RunError if it is damaged or has no such array.
Tensor read_tokens(const std::filesystem::path& path, const Tokenizer& tokenizer);

/// The same, but they stay in the file, uint8, uint16 or int32, and are read where they are used (map_safetensors).
/// Where the file does not tell what made them, RunError too if one is outside the vocabulary.
Tensor map_tokens(const std::filesystem::path& path, const Tokenizer& tokenizer);

}  // namespace genzoo
