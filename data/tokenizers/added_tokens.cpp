#include "data/tokenizers/added_tokens.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "data/tokenizers/pattern.h"
#include "data/tokenizers/utf8.h"

namespace genzoo {
namespace {

/// Where the character that ends at `end` begins.
size_t begin_of_last(std::string_view all, size_t end) {
  size_t at = end - 1;
  while (at > 0 && end - at < 4 && (static_cast<unsigned char>(all[at]) & 0xc0) == 0x80) --at;
  return at;
}

/// Whether a text begins with a letter, mark, digit, connector or joiner: Unicode's \w (UTS #18), as Rust's regex has
/// it.
bool begins_with_word(std::string_view text) {
  static const Pattern word(
      R"(\A[\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{200c}\x{200d}\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189}])");
  return Pattern::Matches(word, text.substr(0, 4)).next();
}
bool ends_with_word(std::string_view text) {
  return !text.empty() && begins_with_word(text.substr(begin_of_last(text, text.size())));
}

bool is_space_at(std::string_view text, size_t at, int& bytes) {
  const CodePoint c = decode_utf8(text, at);
  bytes = c.bytes;
  return c.bytes > 0 && is_white_space(c.value);
}

/// The least begin, not below `least`, of the white space that ends at `end`.
size_t space_before(std::string_view all, size_t end, size_t least) {
  while (end > least) {
    const size_t at = begin_of_last(all, end);
    int bytes = 0;
    if (at < least || !is_space_at(all.substr(0, end), at, bytes) || at + static_cast<size_t>(bytes) != end) break;
    end = at;
  }
  return end;
}

size_t space_after(std::string_view all, size_t begin) {
  int bytes = 0;
  while (begin < all.size() && is_space_at(all, begin, bytes)) begin += static_cast<size_t>(bytes);
  return begin;
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    if (tokens_[i].content.empty()) throw RunError("tokenizer: added_tokens: one of them is empty");
    Beginnings& beginnings = tokens_[i].normalized ? normalized_ : as_written_;
    beginnings[static_cast<unsigned char>(tokens_[i].content[0])].push_back(i);
  }
  for (Beginnings* beginnings : {&as_written_, &normalized_}) {
    for (std::vector<size_t>& some : *beginnings) {
      std::ranges::stable_sort(some, std::ranges::greater(), [&](size_t i) { return tokens_[i].content.size(); });
    }
  }
}

/// The first at or after `at`, which becomes its place.
const AddedToken* AddedTokens::find(std::string_view all, size_t& at, const Beginnings& beginnings) const {
  for (; at < all.size(); ++at) {
    for (const size_t i : beginnings[static_cast<unsigned char>(all[at])]) {
      if (all.substr(at).starts_with(tokens_[i].content)) return &tokens_[i];
    }
  }
  return nullptr;
}

void AddedTokens::split(std::string_view all, const Beginnings& beginnings,
                        const std::function<void(std::string_view)>& text,
                        const std::function<void(int32_t)>& token) const {
  size_t done = 0, at = 0;
  while (const AddedToken* found = find(all, at, beginnings)) {
    size_t begin = at, end = at + found->content.size();
    at = end;  // also after one that does not count
    if (found->single_word && (ends_with_word(all.substr(0, begin)) || begins_with_word(all.substr(end)))) continue;
    if (found->lstrip) begin = space_before(all, begin, std::min(done, begin));
    if (found->rstrip) end = space_after(all, end);
    if (done < begin) text(all.substr(done, begin - done));
    token(found->index);
    done = end;
  }
  if (done < all.size()) text(all.substr(done));
}

void AddedTokens::split(std::string_view all, const std::function<void(std::string_view)>& text,
                        const std::function<void(int32_t)>& token) const {
  split(all, as_written_, [&](std::string_view part) { split(part, normalized_, text, token); }, token);
}

}  // namespace genzoo
