#pragma once
// Text to tokens and back.

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace genzoo {

using torch::Tensor;

/// A text, or two, as a model is given them whole.
struct WholeText {
  Tensor tokens;  ///< (L) int64
  Tensor types;   ///< (L) int64, BERT's segments: which text a token belongs to, 0 or 1, as the tokenizer counts it
};

/// A reversible map between text (UTF-8 bytes) and token indices. Not quite so some of tokenizer.json: what adds a
/// space before a text (add_prefix_space) may leave it there, normalizers change texts for good, pieces may be removed
/// on purpose, and an unknown token stands for anything.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  virtual int64_t vocabulary() const = 0;
  /// (L) int64, of the text alone: nothing is added before or after it, as no window of a long text has it either.
  /// Throws UsageError naming the first character that has no token, and where it stands.
  virtual Tensor encode(std::string_view text) const = 0;
  /// Bytes of the tokens (L) int64. Throws RunError on an index outside the vocabulary.
  virtual std::string decode(const Tensor& tokens) const = 0;
  /// Tokens (L) of a text, or of two, with the beginnings, ends and separators between which the tokenizer's makers put
  /// a whole text ("post_processor"); none where there are none. What `tokenizers` calls add_special_tokens.
  virtual WholeText whole(const Tensor& tokens, const Tensor& second = {}) const;
  /// The index of a token as the tokenizer's file writes it: "[MASK]", "</s>". Nothing if there is none.
  virtual std::optional<int64_t> find(std::string_view written) const;
  /// Whether a token steers the model and is no text. Throws RunError on an index outside the vocabulary.
  virtual bool is_special(int64_t token) const;
  virtual std::string unit() const = 0;     ///< "char", "byte" or "token"
  virtual std::string to_json() const = 0;  ///< read back by tokenizer_from_json

  /// One token a character (Unicode code point) of `text`, in ascending order. Throws RunError if it is not UTF-8.
  static std::unique_ptr<Tokenizer> characters_of(std::string_view text);
  /// One token a byte: 256 of them.
  static std::unique_ptr<Tokenizer> bytes();
};

/// Reads what Tokenizer::to_json wrote, or the text of a tokenizer.json (see pipeline.h). Throws RunError on a damaged
/// description.
std::unique_ptr<Tokenizer> tokenizer_from_json(const std::string& json);

/// The same tokenizer as the text of a tokenizer.json, whatever Tokenizer::to_json wrote. Throws as
/// tokenizer_from_json.
std::string huggingface_tokenizer(const std::string& json);

/// A tokenizer.json, or SentencePiece's tokenizer.model (or spiece.model), or a folder with one of them, or with
/// GPT-2's vocab.bpe and encoder.json (by other names merges.txt and vocab.json). Throws UsageError if it is not there,
/// RunError naming the file when it is damaged or not supported.
std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& path);

/// The tokens as contiguous int64 on the CPU. Throws RunError on an index outside the vocabulary.
Tensor checked_tokens(const Tensor& tokens, int64_t vocabulary);

}  // namespace genzoo
