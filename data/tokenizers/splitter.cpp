#include "data/tokenizers/splitter.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <vector>

#include "core/error.h"
#include "data/tokenizers/json_fields.h"
#include "data/tokenizers/pattern.h"

namespace genzoo {

const char* const kGPT2Pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

namespace {

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
    return [pattern](std::string_view text, OwnedTexts&, const TakePiece& take) {
      split(*pattern, text, [&](std::string_view piece, bool) { take(piece); });
    };
  }
  return [=](std::string_view text, OwnedTexts&, const TakePiece& take) {
    std::vector<Part> parts;
    split(*pattern, text, [&](std::string_view part, bool matched) { parts.push_back({part, matched != invert}); });
    for (const std::string_view piece : pieces_of(parts, delimiters)) take(piece);
  };
}

Splitter byte_level(const SortedJson& description) {
  const bool prefix = flag_in(description, "add_prefix_space", true, "pre_tokenizer");
  const Splitter words = flag_in(description, "use_regex", true, "pre_tokenizer")
                             ? split_by(kGPT2Pattern, Delimiters::isolated, false)
                             : [](std::string_view text, OwnedTexts&, const TakePiece& take) { take(text); };
  if (!prefix) return words;
  return [words](std::string_view text, OwnedTexts& owned, const TakePiece& take) {
    if (!text.starts_with(' ')) text = owned.emplace_back(" " + std::string(text));
    words(text, owned, take);
  };
}

Splitter split_of(const SortedJson& description) {
  const std::string behavior = text_in(description, "behavior", "pre_tokenizer");
  const auto* const found = std::ranges::find(kDelimiterNames, behavior);
  if (found == std::end(kDelimiterNames)) {
    throw RunError(fmt::format("tokenizer: pre_tokenizer Split: behavior \"{}\", wanted one of {}", behavior,
                               fmt::join(kDelimiterNames, ", ")));
  }
  const SortedJson pattern = description.value("pattern", SortedJson());
  const std::string expression = pattern.contains("Regex")
                                     ? text_in(pattern, "Regex", "pre_tokenizer")
                                     : Pattern::quoted(text_in(pattern, "String", "pre_tokenizer"));
  return split_by(expression, static_cast<Delimiters>(found - kDelimiterNames),
                  flag_in(description, "invert", false, "pre_tokenizer"));
}

Splitting sequence_of(const SortedJson& description) {
  constexpr size_t kMost = 64;
  Splitting all{[](std::string_view text, OwnedTexts&, const TakePiece& take) { take(text); }};
  const SortedJson& each_of = list_in(description, "pretokenizers", "pre_tokenizer");
  if (each_of.size() > kMost) {
    throw RunError(fmt::format("tokenizer: a Sequence of {} pre_tokenizers, wanted at most {}", each_of.size(), kMost));
  }
  for (const SortedJson& each : each_of) {
    if (all.bytes) {  // which would see printable characters instead of the text
      throw RunError("tokenizer: a pre_tokenizer after ByteLevel is not supported; ByteLevel must be the last one");
    }
    const Splitting next = make_splitter(each);
    all.bytes = all.bytes || next.bytes;
    all.split = [first = all.split, second = next.split](std::string_view text, OwnedTexts& owned,
                                                         const TakePiece& take) {
      first(text, owned, [&](std::string_view piece) { second(piece, owned, take); });
    };
  }
  return all;
}

}  // namespace

Splitting make_splitter(const SortedJson& description) {
  if (description.is_null()) {
    return {[](std::string_view text, OwnedTexts&, const TakePiece& take) { take(text); }};
  }
  const std::string type = text_in(description, "type", "pre_tokenizer");
  if (type == "ByteLevel") return {byte_level(description), /*bytes=*/true};
  if (type == "Split") return {split_of(description)};
  if (type == "Digits") {
    const bool each = flag_in(description, "individual_digits", false, "pre_tokenizer");
    return {split_by("\\p{N}", each ? Delimiters::isolated : Delimiters::contiguous, false)};
  }
  if (type == "Sequence") return sequence_of(description);
  throw RunError(
      fmt::format("tokenizer: a pre_tokenizer of type \"{}\" is not known; known are ByteLevel, Split, "
                  "Digits, Sequence",
                  type));
}

}  // namespace genzoo
