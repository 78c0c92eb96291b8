#include "data/tokenizers/token_file.h"

#include <fmt/format.h>
#include <torch/types.h>

#include "core/error.h"
#include "core/file.h"
#include "core/safetensors.h"

namespace genzoo {
namespace {

constexpr const char* kTokens = "tokens";
constexpr const char* kTokenizer = "tokenizer";

std::string digest_of(const Tokenizer& tokenizer) { return "sha256:" + sha256(tokenizer.to_json()); }

}  // namespace

void write_tokens(const std::filesystem::path& path, const Tensor& tokens, const Tokenizer& tokenizer) {
  const bool narrow = tokenizer.vocabulary() <= int64_t{1} << 16;
  write_safetensors(path, {{kTokens, tokens.to(narrow ? torch::kUInt16 : torch::kUInt32)}},
                    {{"vocabulary", std::to_string(tokenizer.vocabulary())}, {kTokenizer, digest_of(tokenizer)}});
}

Tensor read_tokens(const std::filesystem::path& path, const Tokenizer& tokenizer) {
  const TensorFile file = read_safetensors(path);
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

}  // namespace genzoo
