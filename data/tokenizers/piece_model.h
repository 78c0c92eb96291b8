#pragma once
// What makes tokens of a piece of text: the "model" of a tokenizer.json.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace genzoo {

class PieceModel {
 public:
  PieceModel() = default;
  PieceModel(const PieceModel&) = delete;
  PieceModel& operator=(const PieceModel&) = delete;
  virtual ~PieceModel() = default;

  /// Appends the tokens of a piece. Throws UsageError naming what has no token.
  virtual void encode(std::string_view piece, std::vector<int32_t>& tokens) const = 0;
  /// Whether it is given the bytes of a piece where a file writes them as printable characters; else it is given those.
  virtual bool takes_bytes() const { return false; }
  /// Whether tokens are words or pieces of them, from a text without its spaces.
  virtual bool are_words() const { return false; }
  /// The tokens as a file writes them, by index; an empty one is none.
  virtual const std::vector<std::string>& written() const = 0;
  /// The "model" of a tokenizer.json.
  virtual std::string to_json() const = 0;
};

/// Reads the "model" of a tokenizer.json: BPE, WordPiece, WordLevel or Unigram. `bytes`: pieces are bytes, which the
/// file writes as printable characters. Throws RunError naming what is damaged or not supported.
std::unique_ptr<PieceModel> make_piece_model(const SortedJson& model, bool bytes);

}  // namespace genzoo
