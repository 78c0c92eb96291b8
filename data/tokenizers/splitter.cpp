#include "data/tokenizers/splitter.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <vector>

#include "core/error.h"
#include "data/tokenizers/gpt2_splitter.h"
#include "data/tokenizers/json_fields.h"
#include "data/tokenizers/pattern.h"
#include "data/tokenizers/replacement.h"
#include "data/tokenizers/utf8.h"

namespace genzoo {

const char* const kGPT2Pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

namespace {

constexpr const char* kWhere = "pre_tokenizer";

/// What becomes of the delimiters.
enum class Delimiters { removed, isolated, merged_with_previous, merged_with_next, contiguous };
constexpr const char* kDelimiterNames[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"};

struct Part {
  std::string_view text;
  bool delimiter;
};

/// Whether a part belongs to the piece that ends with the one before it.
bool joins(const Part& before, const Part& part, Delimiters delimiters) {
  switch (delimiters) {
    case Delimiters::merged_with_previous:
      return part.delimiter && !before.delimiter;
    case Delimiters::merged_with_next:
      return before.delimiter && !part.delimiter;
    case Delimiters::contiguous:
      return part.delimiter == before.delimiter;
    default:
      return false;
  }
}

std::vector<std::string_view> pieces_of(const std::vector<Part>& parts, Delimiters delimiters) {
  std::vector<std::string_view> pieces;
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto [text, delimiter] = parts[i];
    if (i > 0 && joins(parts[i - 1], parts[i], delimiters)) {
      pieces.back() = {pieces.back().data(), pieces.back().size() + text.size()};  // they lie next to each other
    } else if (!delimiter || delimiters != Delimiters::removed) {
      pieces.push_back(text);
    }
  }
  return pieces;
}

Splitter split_by(const std::string& expression, Delimiters delimiters, bool invert) {
  const auto pattern = std::make_shared<const Pattern>(expression);
  if (delimiters == Delimiters::isolated) {  // whichever the delimiters are, everything is a piece
    return [pattern](TextPart part, OwnedTexts&, const TakePiece& take) {
      split(*pattern, part.text, [&](std::string_view piece, bool) { take(piece); });
    };
  }
  return [=](TextPart whole, OwnedTexts&, const TakePiece& take) {
    std::vector<Part> parts;
    split(*pattern, whole.text,
          [&](std::string_view part, bool matched) { parts.push_back({part, matched != invert}); });
    for (const std::string_view piece : pieces_of(parts, delimiters)) take(piece);
  };
}

/// Everything as one piece.
void take_whole(TextPart part, OwnedTexts&, const TakePiece& take) { take(part.text); }

/// Pieces of the pieces.
Splitter one_after_another(Splitter first, Splitter second) {
  return [=](TextPart part, OwnedTexts& owned, const TakePiece& take) {
    first(part, owned, [&](std::string_view piece) {
      second({piece, part.first && piece.data() == part.text.data()}, owned, take);
    });
  };
}

Splitter byte_level(const SortedJson& description) {
  const bool prefix = flag_in(description, "add_prefix_space", true, kWhere);
  const Splitter words = flag_in(description, "use_regex", true, kWhere) ? gpt2_splitter() : take_whole;
  if (!prefix) return words;
  return [words](TextPart part, OwnedTexts& owned, const TakePiece& take) {
    if (!part.text.starts_with(' ')) part.text = owned.emplace_back(" " + std::string(part.text));
    words(part, owned, take);
  };
}

Delimiters delimiters_in(const SortedJson& description, const char* type) {
  const std::string behavior = text_in(description, "behavior", kWhere);
  const auto* const found = std::ranges::find(kDelimiterNames, behavior);
  if (found == std::end(kDelimiterNames)) {
    throw RunError(fmt::format("tokenizer: pre_tokenizer {}: behavior \"{}\", wanted one of {}", type, behavior,
                               fmt::join(kDelimiterNames, ", ")));
  }
  return static_cast<Delimiters>(found - kDelimiterNames);
}

Splitter split_of(const SortedJson& description) {
  return split_by(expression_in(description, kWhere), delimiters_in(description, "Split"),
                  flag_in(description, "invert", false, kWhere));
}

/// SentencePiece's spaces: written as a sign, which may stand before a text too, and begins each piece.
Splitter metaspace(const SortedJson& description) {
  const std::string sign = text_in(description, "replacement", kWhere);
  if (sign.empty() || static_cast<size_t>(decode_utf8(sign, 0).bytes) != sign.size()) {
    throw RunError(fmt::format("tokenizer: pre_tokenizer Metaspace: replacement \"{}\", wanted one character", sign));
  }
  // Before 0.15 `tokenizers` had add_prefix_space instead.
  const bool prefix = flag_in(description, "add_prefix_space", true, kWhere);
  const std::string scheme = description.contains("prepend_scheme") ? text_in(description, "prepend_scheme", kWhere)
                             : prefix                               ? "always"
                                                                    : "never";
  if (scheme != "always" && scheme != "first" && scheme != "never") {
    throw RunError(fmt::format(
        "tokenizer: pre_tokenizer Metaspace: prepend_scheme \"{}\", wanted always, first or never", scheme));
  }
  const bool cut = flag_in(description, "split", true, kWhere);
  const auto spaces =
      std::make_shared<Replacement>(SortedJson{{"pattern", {{"String", " "}}}, {"content", sign}}, kWhere);
  return [=](TextPart part, OwnedTexts& owned, const TakePiece& take) {
    if (part.text.empty()) return;
    std::string& text = owned.emplace_back(spaces->in(part.text));
    if (!text.starts_with(sign) && (scheme == "always" || (scheme == "first" && part.first))) text.insert(0, sign);
    const std::string_view all = text;
    for (size_t at = 0; at < all.size();) {
      const size_t next = cut ? std::min(all.find(sign, at + 1), all.size()) : all.size();
      take(all.substr(at, next - at));
      at = next;
    }
  };
}

Splitting sequence_of(const SortedJson& description) {
  constexpr size_t kMost = 64;
  Splitting all{take_whole};
  const SortedJson& each_of = list_in(description, "pretokenizers", kWhere);
  if (each_of.size() > kMost) {
    throw RunError(fmt::format("tokenizer: a Sequence of {} pre_tokenizers, wanted at most {}", each_of.size(), kMost));
  }
  for (const SortedJson& each : each_of) {
    if (all.bytes) {  // which would see printable characters instead of the text
      throw RunError("tokenizer: a pre_tokenizer after ByteLevel is not supported; ByteLevel must be the last one");
    }
    Splitting next = make_splitter(each);
    all.bytes = all.bytes || next.bytes;
    all.split = one_after_another(std::move(all.split), std::move(next.split));
  }
  return all;
}

Splitter white_space_split() { return split_by("\\s", Delimiters::removed, false); }

}  // namespace

Splitting make_splitter(const SortedJson& description) {
  constexpr const char* kPunctuation = R"([!-/:-@\[-`{-~\p{P}])";
  if (description.is_null()) return {take_whole};
  const std::string type = text_in(description, "type", kWhere);
  if (type == "ByteLevel") return {byte_level(description), /*bytes=*/true};
  if (type == "Split") return {split_of(description)};
  if (type == "Digits") {
    const bool each = flag_in(description, "individual_digits", false, kWhere);
    return {split_by("\\p{N}", each ? Delimiters::isolated : Delimiters::contiguous, false)};
  }
  if (type == "Punctuation") return {split_by(kPunctuation, delimiters_in(description, "Punctuation"), false)};
  if (type == "Whitespace") {
    return {split_by(fmt::format("[{0}]+|[^{0}\\s]+", kWordCharacters), Delimiters::removed, /*invert=*/true)};
  }
  if (type == "WhitespaceSplit") return {white_space_split()};
  if (type == "CharDelimiterSplit") {
    return {split_by(Pattern::quoted(text_in(description, "delimiter", kWhere)), Delimiters::removed, false)};
  }
  if (type == "BertPreTokenizer") {
    return {one_after_another(white_space_split(), split_by(kPunctuation, Delimiters::isolated, false))};
  }
  if (type == "Metaspace") return {metaspace(description)};
  if (type == "Sequence") return sequence_of(description);
  throw RunError(
      fmt::format("tokenizer: a pre_tokenizer of type \"{}\" is not known; known are ByteLevel, Split, Digits, "
                  "Punctuation, Whitespace, WhitespaceSplit, CharDelimiterSplit, BertPreTokenizer, Metaspace, Sequence",
                  type));
}

}  // namespace genzoo
