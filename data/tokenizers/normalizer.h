#pragma once
// What becomes of a text before it is cut into pieces: the "normalizer" of a tokenizer.json.

#include <functional>
#include <string>
#include <string_view>

#include "core/json.h"

namespace genzoo {

/// A text in the form in which its tokens are looked up. Bytes that are not UTF-8 stay.
using Normalizer = std::function<std::string(std::string_view text)>;

/// `description`: null (an empty function: texts stay as they are) or an object with its "type": NFC, NFD, NFKC, NFKD,
/// Lowercase, StripAccents, Strip, Prepend, Replace, Nmt, BertNormalizer, Precompiled, Sequence. Throws RunError naming
/// what is not supported.
Normalizer make_normalizer(const SortedJson& description);

}  // namespace genzoo
