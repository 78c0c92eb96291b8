#include "data/tokenizers/byte_pairs.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <queue>

#include "core/error.h"
#include "data/tokenizers/utf8.h"

namespace genzoo {
namespace {

uint64_t key_of(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

/// A merge that could be made at a place; the one learned first is at the top, of equals the leftmost.
struct Candidate {
  int32_t rank, at, token;
  bool operator<(const Candidate& other) const { return rank != other.rank ? rank > other.rank : at > other.at; }
};

}  // namespace

BytePairs::BytePairs(BytePairVocabulary vocabulary, BytePairSettings settings)
    : vocabulary_(std::move(vocabulary)), settings_(settings), merges_(vocabulary_.merges.size()) {
  const auto size = static_cast<int32_t>(vocabulary_.tokens.size());
  index_.reserve(vocabulary_.tokens.size());
  for (int32_t i = 0; i < size; ++i) {
    if (!vocabulary_.tokens[i].empty()) index_.emplace(vocabulary_.tokens[i], i);
  }
  for (size_t rank = 0; rank < vocabulary_.merges.size(); ++rank) {
    const auto [left, right] = vocabulary_.merges[rank];
    const auto in = [&](int32_t token) { return token >= 0 && token < size && !vocabulary_.tokens[token].empty(); };
    const auto merged =
        in(left) && in(right) ? find(vocabulary_.tokens[left] + vocabulary_.tokens[right]) : std::optional<int32_t>();
    if (!merged) {
      throw RunError(
          fmt::format("tokenizer: merge {} is of tokens {} and {}, and what they make together is not among "
                      "the {} tokens",
                      rank, left, right, size));
    }
    merges_.set(left, right, {static_cast<int32_t>(rank), *merged});
  }
  for (int byte = 0; byte < 256; ++byte) {
    byte_tokens_[byte] = find(std::string(1, static_cast<char>(byte))).value_or(-1);
    fallback_tokens_[byte] = find(fmt::format("<0x{:02X}>", byte)).value_or(-1);
  }
}

std::optional<int32_t> BytePairs::find(std::string_view token) const {
  const auto found = index_.find(token);
  return found == index_.end() ? std::optional<int32_t>() : found->second;
}

BytePairs::MergeTable::MergeTable(size_t most) : slots_(std::bit_ceil(2 * most + 2)) {}

/// Where a pair is, or would be.
size_t BytePairs::MergeTable::place_of(uint64_t pair) const {
  const size_t mask = slots_.size() - 1;
  size_t at = (pair * 0x9e3779b97f4a7c15ULL) >> 32 & mask;
  while (slots_[at].pair != pair && slots_[at].pair != kNone) at = (at + 1) & mask;
  return at;
}

void BytePairs::MergeTable::set(int32_t left, int32_t right, Merge merge) {
  const uint64_t pair = key_of(left, right);
  slots_[place_of(pair)] = {pair, merge};
}

BytePairs::Merge BytePairs::MergeTable::find(int32_t left, int32_t right) const {
  return slots_[place_of(key_of(left, right))].merge;
}

void BytePairs::begin_with_bytes(std::string_view piece, std::vector<int32_t>& symbols) const {
  for (const char c : piece) {
    const int32_t token = byte_tokens_[static_cast<unsigned char>(c)];
    if (token >= 0) {
      symbols.push_back(token);
    } else if (settings_.unknown) {
      symbols.push_back(*settings_.unknown);
    } else {
      throw UsageError(
          fmt::format("tokenizer: the byte 0x{:02x} has no token, and the tokenizer none for what it does "
                      "not know",
                      static_cast<unsigned char>(c)));
    }
  }
}

bool BytePairs::fall_back(std::string_view character, std::vector<int32_t>& symbols) const {
  const auto token = [&](char c) { return fallback_tokens_[static_cast<unsigned char>(c)]; };
  if (!settings_.byte_fallback || std::ranges::any_of(character, [&](char c) { return token(c) < 0; })) return false;
  for (const char c : character) symbols.push_back(token(c));
  return true;
}

void BytePairs::begin_with_characters(std::string_view piece, std::vector<int32_t>& symbols) const {
  bool unknown_before = false;
  for (size_t at = 0; at < piece.size();) {
    const auto size = static_cast<size_t>(std::max(1, decode_utf8(piece, at).bytes));  // a stray byte is one of its own
    const std::string_view character = piece.substr(at, size);
    at += size;
    bool unknown = false;
    if (const auto token = find(character)) {
      symbols.push_back(*token);
    } else if (!fall_back(character, symbols)) {
      if (!settings_.unknown) {
        throw UsageError(
            fmt::format("tokenizer: '{}' has no token, and the tokenizer none for what it does not know", character));
      }
      unknown = true;
      if (!unknown_before || !settings_.fuse_unknown) symbols.push_back(*settings_.unknown);
    }
    unknown_before = unknown;
  }
}

void BytePairs::encode(std::string_view piece, std::vector<int32_t>& tokens) const {
  if (piece.size() > std::numeric_limits<int32_t>::max()) {
    throw UsageError(
        fmt::format("tokenizer: a piece of {} bytes, wanted at most 2^31 - 1; cut the text", piece.size()));
  }
  if (settings_.whole_first) {
    if (const auto whole = find(piece)) {
      tokens.push_back(*whole);
      return;
    }
  }
  std::vector<int32_t> symbols;
  symbols.reserve(piece.size());
  settings_.bytes ? begin_with_bytes(piece, symbols) : begin_with_characters(piece, symbols);
  constexpr size_t kFew = 48;  // a word, where to look at all pairs again is quicker than to keep them in order
  symbols.size() <= kFew ? merge_few(symbols) : merge_many(symbols);
  tokens.insert(tokens.end(), symbols.begin(), symbols.end());
}

void BytePairs::merge_few(std::vector<int32_t>& symbols) const {
  std::vector<Merge> merges(symbols.size());  // of each symbol and the next; none of the last
  for (size_t i = 0; i + 1 < symbols.size(); ++i) merges[i] = merges_.find(symbols[i], symbols[i + 1]);
  while (symbols.size() > 1) {
    const auto best = std::ranges::min_element(merges, {}, &Merge::rank);  // of equals the leftmost
    if (best->rank == kNoMerge) return;
    const auto at = best - merges.begin();
    symbols[static_cast<size_t>(at)] = best->token;
    symbols.erase(symbols.begin() + at + 1);
    merges.erase(best);
    const auto consider = [&](size_t i) {
      merges[i] = i + 1 < symbols.size() ? merges_.find(symbols[i], symbols[i + 1]) : Merge{};
    };
    consider(static_cast<size_t>(at));
    if (at > 0) consider(static_cast<size_t>(at) - 1);
  }
}

void BytePairs::merge_many(std::vector<int32_t>& symbols) const {
  const auto n = static_cast<int32_t>(symbols.size());
  // A list linked both ways: what was merged away is -1.
  std::vector<int32_t> before(symbols.size()), after(symbols.size());
  std::priority_queue<Candidate> candidates;
  const auto consider = [&](int32_t at) {
    if (at < 0 || after[at] >= n) return;
    const Merge merge = merges_.find(symbols[at], symbols[after[at]]);
    if (merge.rank != kNoMerge) candidates.push({merge.rank, at, merge.token});
  };
  for (int32_t i = 0; i < n; ++i) before[i] = i - 1, after[i] = i + 1;
  for (int32_t i = 0; i < n; ++i) consider(i);
  while (!candidates.empty()) {
    const Candidate best = candidates.top();
    candidates.pop();
    const int32_t left = best.at;
    if (symbols[left] < 0 || after[left] >= n) continue;
    const int32_t right = after[left];
    if (merges_.find(symbols[left], symbols[right]).rank != best.rank) continue;  // its neighbours were merged since
    symbols[left] = best.token;
    symbols[right] = -1;
    after[left] = after[right];
    if (after[left] < n) before[after[left]] = left;
    consider(before[left]);
    consider(left);
  }
  std::erase(symbols, -1);
}

}  // namespace genzoo
