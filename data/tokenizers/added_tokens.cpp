#include "data/tokenizers/added_tokens.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "data/tokenizers/pattern.h"
#include "data/tokenizers/utf8.h"

namespace genzoo {
namespace {

bool begins_with_word(std::string_view text) {
  static const Pattern word(std::string("\\A[") + kWordCharacters + "]");
  return Pattern::Matches(word, text.substr(0, 4)).next();
}
bool ends_with_word(std::string_view text) {
  return !text.empty() && begins_with_word(text.substr(begin_of_last(text, text.size())));
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, Normalizer normalizer)
    : tokens_(std::move(tokens)), normalizer_(std::move(normalizer)) {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const AddedToken& token = tokens_[i];
    if (token.content.empty()) throw RunError("tokenizer: added_tokens: one of them is empty");
    looked_for_.push_back(token.normalized && normalizer_ ? normalizer_(token.content) : token.content);
    if (looked_for_[i].empty()) continue;  // nothing is left of it
    Beginnings& beginnings = token.normalized ? normalized_ : as_written_;
    beginnings[static_cast<unsigned char>(looked_for_[i][0])].push_back(i);
  }
  for (Beginnings* beginnings : {&as_written_, &normalized_}) {
    for (std::vector<size_t>& some : *beginnings) {
      std::ranges::stable_sort(some, std::ranges::greater(), [&](size_t i) { return looked_for_[i].size(); });
    }
  }
}

/// Index of the first at or after `at`, which becomes its place.
std::optional<size_t> AddedTokens::find(std::string_view all, size_t& at, const Beginnings& beginnings) const {
  for (; at < all.size(); ++at) {
    for (const size_t i : beginnings[static_cast<unsigned char>(all[at])]) {
      if (all.substr(at).starts_with(looked_for_[i])) return i;
    }
  }
  return {};
}

void AddedTokens::split(std::string_view all, const Beginnings& beginnings, const TakeText& text,
                        const TakeToken& token) const {
  size_t done = 0, at = 0;
  while (const auto found = find(all, at, beginnings)) {
    const AddedToken& added = tokens_[*found];
    size_t begin = at, end = at + looked_for_[*found].size();
    at = end;  // also after one that does not count
    if (added.single_word && (ends_with_word(all.substr(0, begin)) || begins_with_word(all.substr(end)))) continue;
    if (added.lstrip) begin = space_before(all, begin, std::min(done, begin));
    if (added.rstrip) end = space_after(all, end);
    if (done < begin) text(all.substr(done, begin - done), done == 0);
    token(added.index);
    done = end;
  }
  if (done < all.size()) text(all.substr(done), done == 0);
}

void AddedTokens::split(std::string_view all, OwnedTexts& owned, const TakeText& text, const TakeToken& token) const {
  const auto normalize = [&](std::string_view part, bool first) {
    if (normalizer_) part = owned.emplace_back(normalizer_(part));
    split(part, normalized_, [&](std::string_view rest, bool leads) { text(rest, first && leads); }, token);
  };
  split(all, as_written_, normalize, token);
}

}  // namespace genzoo
