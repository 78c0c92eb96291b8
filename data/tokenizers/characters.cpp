#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <set>
#include <unordered_map>
#include <vector>

#include "core/error.h"
#include "core/json.h"
#include "data/tokenizers/tokenizer.h"
#include "data/tokenizers/utf8.h"

namespace genzoo {
namespace {

std::string not_utf8(std::string_view text, size_t at) {
  return fmt::format("byte 0x{:02x} at position {} is not UTF-8; convert the text, or use `tokens: bytes`",
                     static_cast<unsigned char>(text[at]), at);
}

class Characters final : public Tokenizer {
 public:
  /// code_points: ascending, distinct.
  explicit Characters(std::vector<uint32_t> code_points) : code_points_(std::move(code_points)) {
    ascii_.fill(-1);
    for (size_t i = 0; i < code_points_.size(); ++i) {
      const uint32_t c = code_points_[i];
      if (c < ascii_.size()) {
        ascii_[c] = static_cast<int64_t>(i);
      } else {
        others_[c] = static_cast<int64_t>(i);
      }
    }
  }

  int64_t vocabulary() const override { return static_cast<int64_t>(code_points_.size()); }
  std::string unit() const override { return "char"; }

  Tensor encode(std::string_view text) const override {
    Tensor tokens = torch::empty({static_cast<int64_t>(text.size())}, torch::kLong);  // no more tokens than bytes
    auto* out = tokens.data_ptr<int64_t>();
    int64_t count = 0;
    for (size_t at = 0; at < text.size();) {
      const CodePoint c = decode_utf8(text, at);
      if (c.bytes == 0) throw UsageError("tokenizer: " + not_utf8(text, at));
      const int64_t token = token_of(c.value);
      if (token < 0) {
        throw UsageError(
            fmt::format("tokenizer: the character '{}' (U+{:04X}) at byte {} is not among the {} that the "
                        "model was made for; leave it out",
                        text.substr(at, c.bytes), c.value, at, code_points_.size()));
      }
      out[count++] = token;
      at += c.bytes;
    }
    return tokens.narrow(/*dim=*/0, 0, count).clone();
  }

  std::string decode(const Tensor& tokens) const override {
    const Tensor indices = checked_tokens(tokens, vocabulary());
    std::string text;
    text.reserve(static_cast<size_t>(indices.numel()));
    for (int64_t i = 0; i < indices.numel(); ++i) {
      append_utf8(text, code_points_[static_cast<size_t>(indices.data_ptr<int64_t>()[i])]);
    }
    return text;
  }

  std::string to_json() const override {
    std::string characters;
    for (const uint32_t c : code_points_) append_utf8(characters, c);
    Json json;
    json["type"] = "characters";
    json["characters"] = characters;
    return json.dump();
  }

 private:
  int64_t token_of(uint32_t c) const {
    if (c < ascii_.size()) return ascii_[c];
    const auto found = others_.find(c);
    return found == others_.end() ? -1 : found->second;
  }

  std::vector<uint32_t> code_points_;
  std::array<int64_t, 128> ascii_;
  std::unordered_map<uint32_t, int64_t> others_;
};

class Bytes final : public Tokenizer {
 public:
  int64_t vocabulary() const override { return 256; }
  std::string unit() const override { return "byte"; }

  Tensor encode(std::string_view text) const override {
    Tensor bytes = torch::empty({static_cast<int64_t>(text.size())}, torch::kByte);
    std::copy(text.begin(), text.end(), static_cast<char*>(bytes.data_ptr()));
    return bytes.to(torch::kLong);
  }

  std::string decode(const Tensor& tokens) const override {
    const Tensor bytes = checked_tokens(tokens, vocabulary()).to(torch::kByte);
    return {static_cast<const char*>(bytes.data_ptr()), static_cast<size_t>(bytes.numel())};
  }

  std::string to_json() const override { return R"({"type":"bytes"})"; }
};

std::vector<uint32_t> code_points_of(std::string_view text) {
  std::set<uint32_t> found;
  uint32_t last = 0x110000;  // most lookups are spared by remembering one; beyond every code point at first
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text, at);
    if (c.bytes == 0) throw RunError("tokenizer: " + not_utf8(text, at));
    if (c.value != last) found.insert(c.value);
    last = c.value;
    at += c.bytes;
  }
  return {found.begin(), found.end()};
}

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::characters_of(std::string_view text) {
  return std::make_unique<Characters>(code_points_of(text));
}

std::unique_ptr<Tokenizer> Tokenizer::bytes() { return std::make_unique<Bytes>(); }

}  // namespace genzoo
