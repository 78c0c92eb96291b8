#pragma once
// Text to tokens and back.

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace genzoo {

using torch::Tensor;

/// A reversible map between text (UTF-8 bytes) and token indices.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  virtual int64_t vocabulary() const = 0;
  /// (L) int64. Throws UsageError naming the first character that has no token, and where it stands.
  virtual Tensor encode(std::string_view text) const = 0;
  /// Bytes of the tokens (L) int64. Throws RunError on an index outside the vocabulary.
  virtual std::string decode(const Tensor& tokens) const = 0;
  virtual std::string unit() const = 0;     ///< "char", "byte" or "token"
  virtual std::string to_json() const = 0;  ///< read back by tokenizer_from_json

  /// One token a character (Unicode code point) of `text`, in ascending order. Throws RunError if it is not UTF-8.
  static std::unique_ptr<Tokenizer> characters_of(std::string_view text);
  /// One token a byte: 256 of them.
  static std::unique_ptr<Tokenizer> bytes();
};

/// Throws RunError on a damaged description.
std::unique_ptr<Tokenizer> tokenizer_from_json(const std::string& json);

}  // namespace genzoo
