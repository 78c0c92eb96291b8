#include "data/tokenizers/unigram.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <unordered_map>
#include <utility>

#include "core/error.h"
#include "data/tokenizers/json_fields.h"
#include "data/tokenizers/utf8.h"
#include "data/tokenizers/vocabulary.h"

namespace genzoo {
namespace {

/// What of the tokens a text begins with, found byte by byte.
class Trie final {
 public:
  static constexpr int32_t kNone = -1;

  void add(std::string_view text, int32_t token) {
    int32_t node = 0;
    for (const char c : text) {
      const auto [entry, is_new] = children_.try_emplace(key_of(node, c), static_cast<int32_t>(tokens_.size()));
      if (is_new) tokens_.push_back(kNone);
      node = entry->second;
    }
    tokens_[static_cast<size_t>(node)] = token;
  }

  /// The node that continues `node` with a byte, or kNone.
  int32_t child(int32_t node, char c) const {
    const auto found = children_.find(key_of(node, c));
    return found == children_.end() ? kNone : found->second;
  }
  /// The token that ends at a node, or kNone.
  int32_t token(int32_t node) const { return tokens_[static_cast<size_t>(node)]; }

 private:
  static uint64_t key_of(int32_t node, char c) {
    return static_cast<uint64_t>(node) << 8 | static_cast<unsigned char>(c);
  }
  std::unordered_map<uint64_t, int32_t> children_;
  std::vector<int32_t> tokens_{kNone};  ///< by node
};

/// The best way to a place of the text: its last token, and where that begins.
struct Step {
  double score = 0;
  size_t begin = std::string_view::npos;
  int32_t token = 0;
};

class Unigram final : public PieceModel {
 public:
  explicit Unigram(UnigramVocabulary vocabulary) : v_(std::move(vocabulary)), index_(v_.tokens) {
    double least = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < v_.tokens.size(); ++i) {
      if (!v_.tokens[i].empty()) trie_.add(v_.tokens[i], static_cast<int32_t>(i));
      least = std::min(least, v_.scores[i]);
    }
    unknown_score_ = least - 10;  // SentencePiece's kUnkPenalty
    for (int byte = 0; byte < 256; ++byte) {
      bytes_[byte] = v_.byte_fallback ? index_.find(fmt::format("<0x{:02X}>", byte)).value_or(-1) : -1;
    }
  }

  void encode(std::string_view piece, std::vector<int32_t>& tokens) const override {
    const std::vector<Step> best = best_steps(piece);
    std::vector<std::pair<size_t, size_t>> parts;  // from the last to the first; unknown ones in a row are one
    bool unknown_after = false;
    for (size_t end = piece.size(); end > 0; end = best[end].begin) {
      const bool unknown = best[end].token == v_.unknown;
      if (unknown && unknown_after) {
        parts.back().first = best[end].begin;
      } else {
        parts.emplace_back(best[end].begin, end);
      }
      unknown_after = unknown;
    }
    for (size_t i = parts.size(); i-- > 0;) {
      append(piece.substr(parts[i].first, parts[i].second - parts[i].first), tokens);
    }
  }

  const std::vector<std::string>& written() const override { return v_.tokens; }

  std::string to_json() const override {
    std::vector<std::string> lines;
    for (size_t i = 0; i < v_.tokens.size(); ++i) {
      lines.push_back(fmt::format("[{},{}]", quoted_json(v_.tokens[i]), Json(v_.scores[i]).dump()));
    }
    return fmt::format("{{\"type\":\"Unigram\",\"unk_id\":{},\"byte_fallback\":{},\n\"vocab\":{}}}",
                       v_.unknown ? fmt::format("{}", *v_.unknown) : "null", v_.byte_fallback,
                       lines_of(lines, '[', ']'));
  }

 private:
  std::vector<Step> best_steps(std::string_view piece) const {
    std::vector<Step> best(piece.size() + 1);
    const auto consider = [&](size_t begin, size_t end, int32_t token, double score) {
      const double all = score + best[begin].score;
      if (best[end].begin == piece.npos || all > best[end].score) best[end] = {all, begin, token};
    };
    for (size_t at = 0; at < piece.size();) {
      const size_t next = at + static_cast<size_t>(std::max(1, decode_utf8(piece, at).bytes));
      bool has_character = false;
      int32_t node = 0;
      for (size_t end = at; end < piece.size();) {
        node = trie_.child(node, piece[end++]);
        if (node == Trie::kNone) break;
        const int32_t token = trie_.token(node);
        if (token == Trie::kNone) continue;
        consider(at, end, token, v_.scores[static_cast<size_t>(token)]);
        has_character = has_character || end == next;
      }
      if (!has_character) consider(at, next, unknown_of(piece.substr(at, next - at)), unknown_score_);
      at = next;
    }
    return best;
  }

  int32_t unknown_of(std::string_view character) const {
    if (v_.unknown) return *v_.unknown;
    throw UsageError(
        fmt::format("tokenizer: '{}' has no token, and the tokenizer none for what it does not know", character));
  }

  void append(std::string_view part, std::vector<int32_t>& tokens) const {
    const auto byte_token = [&](char c) { return bytes_[static_cast<unsigned char>(c)]; };
    if (const auto found = index_.find(part)) {
      tokens.push_back(*found);
    } else if (std::ranges::all_of(part, [&](char c) { return byte_token(c) >= 0; })) {
      for (const char c : part) tokens.push_back(byte_token(c));
    } else {
      tokens.push_back(unknown_of(part));
    }
  }

  UnigramVocabulary v_;
  TokenIndex index_;
  Trie trie_;
  double unknown_score_ = 0;
  std::array<int32_t, 256> bytes_;  ///< of "<0x00>" to "<0xFF>"; -1: none
};

}  // namespace

std::unique_ptr<PieceModel> unigram_of(UnigramVocabulary vocabulary) {
  const size_t count = vocabulary.tokens.size();
  if (count == 0 || vocabulary.scores.size() != count) {
    throw RunError(fmt::format("tokenizer: model.vocab: {} tokens with {} scores", count, vocabulary.scores.size()));
  }
  if (vocabulary.unknown && (*vocabulary.unknown < 0 || static_cast<size_t>(*vocabulary.unknown) >= count)) {
    throw RunError(fmt::format("tokenizer: model: unk_id {}, wanted 0 to {}", *vocabulary.unknown, count - 1));
  }
  for (size_t i = 0; i < count; ++i) {
    if (std::isfinite(vocabulary.scores[i])) continue;
    throw RunError(fmt::format("tokenizer: model.vocab: the score of token {} is no number", i));
  }
  return std::make_unique<Unigram>(std::move(vocabulary));
}

std::unique_ptr<PieceModel> unigram_from_json(const SortedJson& model) {
  UnigramVocabulary vocabulary;
  for (const SortedJson& entry : list_in(model, "vocab", "model")) {
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number()) {
      throw RunError(fmt::format("tokenizer: model.vocab: {}, wanted a token and its score", entry.dump()));
    }
    vocabulary.tokens.push_back(entry[0].get<std::string>());
    vocabulary.scores.push_back(entry[1].get<double>());
  }
  const SortedJson unknown = model.value("unk_id", SortedJson());
  if (!unknown.is_null()) {
    if (!is_count(unknown) || unknown.get<uint64_t>() >= vocabulary.tokens.size()) {
      throw RunError(fmt::format("tokenizer: model: unk_id {}, wanted 0 to {}", unknown.dump(),
                                 static_cast<int64_t>(vocabulary.tokens.size()) - 1));
    }
    vocabulary.unknown = unknown.get<int32_t>();
  }
  vocabulary.byte_fallback = flag_in(model, "byte_fallback", false, "model");
  return unigram_of(std::move(vocabulary));
}

}  // namespace genzoo
