#include "data/tokenizers/sentencepiece.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/error.h"
#include "data/tokenizers/precompiled.h"
#include "data/tokenizers/protobuf.h"
#include "data/tokenizers/utf8.h"

namespace genzoo {
namespace {

constexpr const char* kSpace = "\xe2\x96\x81";  // U+2581

enum class PieceType { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

struct Piece {
  std::string text;
  float score = 0;
  PieceType type = PieceType::normal;
};

/// What of sentencepiece_model.proto decides how a text is cut, with its defaults.
struct Model {
  std::vector<Piece> pieces;
  int64_t type = 1;  // 1: unigram, 2: BPE, 3: words, 4: characters
  bool byte_fallback = false, space_as_suffix = false;
  std::string rules;
  bool space_before = true, fewer_spaces = true, escaped_spaces = true;
};

Piece read_piece(std::string_view message, size_t index) {
  Piece piece;
  ProtobufReader reader(message);
  while (const auto field = reader.next()) {
    if (field->number == 1) piece.text = field->text();
    if (field->number == 2) piece.score = field->as_float();
    if (field->number == 3) {
      const int64_t type = field->as_integer();
      if (type < 1 || type > 6) throw RunError(fmt::format("tokenizer: piece {}: type {}, wanted 1 to 6", index, type));
      piece.type = static_cast<PieceType>(type);
    }
  }
  if (piece.text.empty() || !is_utf8(piece.text) || !std::isfinite(piece.score)) {
    throw RunError(fmt::format("tokenizer: piece {}: no text, or no score", index));
  }
  return piece;
}

void read_trainer(std::string_view message, Model& model) {
  ProtobufReader reader(message);
  while (const auto field = reader.next()) {
    if (field->number == 3) model.type = field->as_integer();
    if (field->number == 24) model.space_as_suffix = field->as_bool();
    if (field->number == 35) model.byte_fallback = field->as_bool();
  }
}

void read_normalizer(std::string_view message, Model& model) {
  ProtobufReader reader(message);
  while (const auto field = reader.next()) {
    if (field->number == 2) model.rules = field->text();
    if (field->number == 3) model.space_before = field->as_bool();
    if (field->number == 4) model.fewer_spaces = field->as_bool();
    if (field->number == 5) model.escaped_spaces = field->as_bool();
  }
}

Model read_model(std::string_view message) {
  Model model;
  ProtobufReader reader(message);
  while (const auto field = reader.next()) {
    if (field->number == 1) model.pieces.push_back(read_piece(field->text(), model.pieces.size()));
    if (field->number == 2) read_trainer(field->text(), model);
    if (field->number == 3) read_normalizer(field->text(), model);
  }
  if (model.pieces.empty())
    throw RunError("tokenizer: the model has no pieces; it is damaged, or none of SentencePiece");
  if (model.type != 1 && model.type != 2) {
    throw RunError(fmt::format("tokenizer: a SentencePiece model of type {} ({}), wanted unigram or bpe", model.type,
                               model.type == 3   ? "word"
                               : model.type == 4 ? "char"
                                                 : "unknown"));
  }
  if (model.space_as_suffix || !model.escaped_spaces) {
    throw RunError("tokenizer: a SentencePiece model with spaces after words, or not escaped, is not supported");
  }
  return model;
}

SortedJson replacing(const char* kind, const char* pattern, const char* content) {
  return {{"type", "Replace"}, {"pattern", {{kind, pattern}}}, {"content", content}};
}

/// Whether no text begins with a space. Then Metaspace can put one before it, which it does not where there is one, and
/// only before the whole of it; else each part between added tokens gets one, as `transformers` has had it for LLaMA.
bool stripped(const Model& model) { return model.fewer_spaces; }

SortedJson pre_tokenizer_of(const Model& model) {
  if (!stripped(model)) return nullptr;
  return {{"type", "Metaspace"},
          {"replacement", kSpace},
          {"prepend_scheme", model.space_before ? "first" : "never"},
          {"split", false}};
}

SortedJson normalizer_of(const Model& model) {
  SortedJson all = SortedJson::array();
  if (!model.rules.empty()) {
    PrecompiledRules(model.rules);  // refuses damaged ones here
    all.push_back({{"type", "Precompiled"}, {"precompiled_charsmap", base64_of(model.rules)}});
  }
  if (model.fewer_spaces) {
    all.push_back(replacing("Regex", "\\A +| +\\z", ""));
    all.push_back(replacing("Regex", " {2,}", " "));
  }
  if (!stripped(model)) {
    if (model.space_before) all.push_back({{"type", "Prepend"}, {"prepend", kSpace}});
    all.push_back(replacing("String", " ", kSpace));
  }
  return {{"type", "Sequence"}, {"normalizers", all}};
}

SortedJson decoder_of(const Model& model) {
  SortedJson all = SortedJson::array(
      {replacing("String", kSpace, " "), SortedJson{{"type", "ByteFallback"}}, SortedJson{{"type", "Fuse"}}});
  if (model.space_before) all.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  return {{"type", "Sequence"}, {"decoders", all}};
}

/// The merges that make the pieces of others: in the order of their scores, the best first, as the model merges the
/// pair whose piece has the best.
SortedJson merges_of(const std::vector<Piece>& pieces) {
  struct Merge {
    std::string_view left, right;
    float score;
  };
  std::unordered_map<std::string_view, size_t> index;
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (pieces[i].type == PieceType::normal) index.emplace(pieces[i].text, i);
  }
  std::vector<Merge> merges;
  for (const Piece& piece : pieces) {
    if (piece.type != PieceType::normal) continue;
    const std::string_view text = piece.text;
    for (size_t at = 1; at < text.size(); ++at) {
      if (continues_character(text[at])) continue;
      const std::string_view left = text.substr(0, at), right = text.substr(at);
      if (index.contains(left) && index.contains(right)) merges.push_back({left, right, piece.score});
    }
  }
  std::ranges::stable_sort(merges, std::ranges::greater(), &Merge::score);
  SortedJson all = SortedJson::array();
  for (const Merge& merge : merges) all.push_back({merge.left, merge.right});
  return all;
}

SortedJson model_of(const Model& model, std::optional<size_t> unknown) {
  if (model.type == 1) {
    SortedJson vocabulary = SortedJson::array();
    for (const Piece& piece : model.pieces) vocabulary.push_back({piece.text, static_cast<double>(piece.score)});
    return {{"type", "Unigram"},
            {"unk_id", unknown ? SortedJson(*unknown) : SortedJson()},
            {"vocab", std::move(vocabulary)},
            {"byte_fallback", model.byte_fallback}};
  }
  SortedJson vocabulary = SortedJson::object();
  for (size_t i = 0; i < model.pieces.size(); ++i) {
    if (!vocabulary.emplace(model.pieces[i].text, i).second) {
      throw RunError(fmt::format("tokenizer: the piece \"{}\" stands twice in the model", model.pieces[i].text));
    }
  }
  return {{"type", "BPE"},
          {"unk_token", unknown ? SortedJson(model.pieces[*unknown].text) : SortedJson()},
          {"fuse_unk", true},
          {"byte_fallback", model.byte_fallback},
          {"vocab", std::move(vocabulary)},
          {"merges", merges_of(model.pieces)}};
}

}  // namespace

SortedJson json_of_sentencepiece(const std::string& file) {
  const Model model = read_model(file);
  std::optional<size_t> unknown;
  SortedJson added = SortedJson::array();
  for (size_t i = 0; i < model.pieces.size(); ++i) {
    const PieceType type = model.pieces[i].type;
    if (type == PieceType::unknown) unknown = i;
    if (type == PieceType::control || type == PieceType::user_defined) {
      // Chosen symbols are looked for in the normalized text, so that it is normalized as a whole.
      added.push_back({{"id", i},
                       {"content", model.pieces[i].text},
                       {"special", type == PieceType::control},
                       {"normalized", type == PieceType::user_defined && stripped(model)}});
    }
  }
  return {{"added_tokens", std::move(added)},
          {"normalizer", normalizer_of(model)},
          {"pre_tokenizer", pre_tokenizer_of(model)},
          {"post_processor", nullptr},
          {"decoder", decoder_of(model)},
          {"model", model_of(model, unknown)}};
}

}  // namespace genzoo
