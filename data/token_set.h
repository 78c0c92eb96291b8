#pragma once
// Tokens from a file that `genzoo tokenizer encode` wrote, read as they are used: a text that does not fit into memory.

#include <string>

#include "data/dataset.h"

namespace genzoo {

struct TokenFileConfig {
  std::string file;
  std::string tokenizer;
  double validation = 0.1;

  void fields(Fields& f);
};

/// The last `validation` share of the file's tokens is kept for validation. They stay in the file, uint8, uint16 or
/// int32 (L), and are read where a batch asks for them. Throws UsageError if there is no such file or another tokenizer
/// made it, RunError if it is damaged.
Dataset open(const TokenFileConfig& config, const DataPlaces& places);

}  // namespace genzoo
