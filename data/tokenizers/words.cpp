#include "data/tokenizers/words.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "core/error.h"
#include "data/tokenizers/json_fields.h"
#include "data/tokenizers/utf8.h"
#include "data/tokenizers/vocabulary.h"

namespace genzoo {
namespace {

/// The token for what the vocabulary does not know.
class Unknown final {
 public:
  Unknown(const TokenIndex& index, const SortedJson& model) : name_(text_in(model, "unk_token", "model")) {
    token_ = index.find(name_);
  }

  int32_t token(std::string_view piece) const {
    if (!token_) {
      throw UsageError(
          fmt::format("tokenizer: '{}' has no token, and the vocabulary no unk_token \"{}\"", piece, name_));
    }
    return *token_;
  }
  const std::string& name() const { return name_; }

 private:
  std::string name_;
  std::optional<int32_t> token_;
};

class WordLevel final : public PieceModel {
 public:
  explicit WordLevel(const SortedJson& model)
      : written_(read_vocabulary(object_in(model, "vocab", "model"), "model.vocab")),
        index_(written_),
        unknown_(index_, model) {}

  void encode(std::string_view piece, std::vector<int32_t>& tokens) const override {
    const auto found = index_.find(piece);
    tokens.push_back(found ? *found : unknown_.token(piece));
  }
  bool are_words() const override { return true; }
  const std::vector<std::string>& written() const override { return written_; }
  std::string to_json() const override {
    return fmt::format("{{\"type\":\"WordLevel\",\"vocab\":{},\n\"unk_token\":{}}}", vocabulary_json(written_),
                       quoted_json(unknown_.name()));
  }

 private:
  std::vector<std::string> written_;
  TokenIndex index_;
  Unknown unknown_;
};

class WordPiece final : public PieceModel {
 public:
  explicit WordPiece(const SortedJson& model)
      : written_(read_vocabulary(object_in(model, "vocab", "model"), "model.vocab")),
        index_(written_),
        unknown_(index_, model),
        prefix_(text_in(model, "continuing_subword_prefix", "model")) {
    const SortedJson most = model.value("max_input_chars_per_word", SortedJson(100));
    if (!is_count(most)) {
      throw RunError(fmt::format("tokenizer: model: max_input_chars_per_word {}, wanted how many", most.dump()));
    }
    most_characters_ = most.get<uint64_t>();
    for (const std::string& token : written_) longest_ = std::max(longest_, token.size());
  }

  void encode(std::string_view piece, std::vector<int32_t>& tokens) const override {
    const size_t before = tokens.size();
    const auto characters =
        static_cast<uint64_t>(std::ranges::count_if(piece, [](char c) { return !continues_character(c); }));
    std::string looked_for;
    for (size_t at = 0; at < piece.size() && characters <= most_characters_;) {
      if (at > 0) looked_for = prefix_;
      size_t end = std::min(piece.size(), at + longest_);
      looked_for += piece.substr(at, end - at);
      std::optional<int32_t> found;
      while (end > at) {
        found = end < piece.size() && continues_character(piece[end]) ? std::nullopt : index_.find(looked_for);
        if (found) break;
        looked_for.pop_back();
        --end;
      }
      if (!found) break;
      tokens.push_back(*found);
      looked_for.resize(0);
      at = end;
      if (at == piece.size()) return;
    }
    tokens.resize(before);
    if (!piece.empty()) tokens.push_back(unknown_.token(piece));
  }

  bool are_words() const override { return true; }
  const std::vector<std::string>& written() const override { return written_; }
  std::string to_json() const override {
    return fmt::format(
        "{{\"type\":\"WordPiece\",\"unk_token\":{},\"continuing_subword_prefix\":{},\"max_input_chars_per_word\":{},\n"
        "\"vocab\":{}}}",
        quoted_json(unknown_.name()), quoted_json(prefix_), most_characters_, vocabulary_json(written_));
  }

 private:
  std::vector<std::string> written_;
  TokenIndex index_;
  Unknown unknown_;
  std::string prefix_;
  uint64_t most_characters_ = 100;
  size_t longest_ = 0;  ///< bytes of the longest token
};

}  // namespace

std::unique_ptr<PieceModel> word_level_from_json(const SortedJson& model) { return std::make_unique<WordLevel>(model); }
std::unique_ptr<PieceModel> word_piece_from_json(const SortedJson& model) { return std::make_unique<WordPiece>(model); }

}  // namespace genzoo
