#pragma once
// GPT-2's pattern (Radford et al., 2019) without a regular expression where the text is ASCII.

#include "data/tokenizers/splitter.h"

namespace genzoo {

/// Hands on the matches of kGPT2Pattern, which together are the text. Where a character that is not ASCII decides, the
/// regular expression does.
Splitter gpt2_splitter();

}  // namespace genzoo
