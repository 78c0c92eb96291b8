#include "data/tokenizers/token_file.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>

#include "core/error.h"
#include "core/file.h"
#include "core/mapped_safetensors.h"
#include "core/safetensors.h"

namespace genzoo {
namespace {

constexpr const char* kTokens = "tokens";
constexpr const char* kTokenizer = "tokenizer";

std::string digest_of(const Tokenizer& tokenizer) { return "sha256:" + sha256(tokenizer.to_json()); }

/// The tokens of a file, if the tokenizer made them or it does not tell which one did.
Tensor tokens_in(const TensorFile& file, const std::filesystem::path& path, const Tokenizer& tokenizer) {
  const auto found = file.tensors.find(kTokens);
  if (found == file.tensors.end() || found->second.dim() != 1 ||
      !torch::isIntegralType(found->second.scalar_type(), /*includeBool=*/false)) {
    throw RunError(
        fmt::format("{}: no array `tokens` of whole numbers with one dimension; make one with `genzoo "
                    "tokenizer encode`",
                    path.string()));
  }
  const auto made_by = file.metadata.find(kTokenizer);
  if (made_by != file.metadata.end() && made_by->second != digest_of(tokenizer)) {
    throw UsageError(fmt::format("{}: made by another tokenizer ({}) than the one given ({}); give that one",
                                 path.string(), made_by->second, digest_of(tokenizer)));
  }
  return found->second;
}

/// Of tokens by nobody knows which tokenizer: throws RunError on one outside the vocabulary, looking at a piece at a
/// time.
void check_range(const Tensor& tokens, const std::filesystem::path& path, const Tokenizer& tokenizer) {
  constexpr int64_t kPiece = int64_t{1} << 20;
  for (int64_t at = 0; at < tokens.size(0); at += kPiece) {
    try {
      checked_tokens(tokens.narrow(/*dim=*/0, at, std::min(kPiece, tokens.size(0) - at)), tokenizer.vocabulary());
    } catch (const RunError& error) {
      throw RunError(fmt::format("{}: {}", path.string(), error.what()));
    }
  }
}

}  // namespace

void write_tokens(const std::filesystem::path& path, const Tensor& tokens, const Tokenizer& tokenizer) {
  const bool narrow = tokenizer.vocabulary() <= int64_t{1} << 16;
  write_safetensors(path, {{kTokens, tokens.to(narrow ? torch::kUInt16 : torch::kUInt32)}},
                    {{"vocabulary", std::to_string(tokenizer.vocabulary())}, {kTokenizer, digest_of(tokenizer)}});
}

Tensor read_tokens(const std::filesystem::path& path, const Tokenizer& tokenizer) {
  return tokens_in(read_safetensors(path), path, tokenizer);
}

Tensor map_tokens(const std::filesystem::path& path, const Tokenizer& tokenizer) {
  const TensorFile file = map_safetensors(path);
  const Tensor tokens = tokens_in(file, path, tokenizer);
  const auto type = tokens.scalar_type();
  if (type != torch::kUInt16 && type != torch::kUInt32 && type != torch::kInt32 && type != torch::kUInt8) {
    throw RunError(
        fmt::format("{}: its tokens are {}, wanted uint16 or uint32; write it anew with `genzoo tokenizer "
                    "encode`",
                    path.string(), c10::toString(type)));
  }
  if (!file.metadata.contains(kTokenizer)) check_range(tokens, path, tokenizer);
  return type == torch::kUInt32 ? tokens.view(torch::kInt32) : tokens;  // no vocabulary has 2^31 tokens
}

}  // namespace genzoo
