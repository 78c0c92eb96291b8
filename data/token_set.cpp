#include "data/token_set.h"

#include <fmt/format.h>
#include <torch/types.h>

#include "core/error.h"
#include "data/tokenizers/token_file.h"
#include "data/tokenizers/tokenizer.h"

namespace genzoo {

void TokenFileConfig::fields(Fields& f) {
  f("file", file, "the tokens, as `genzoo tokenizer encode` writes them; read as they are used, never as a whole",
    TextForm{"", "the path of a file of tokens", /*required=*/true});
  f("tokenizer", tokenizer, "the tokenizer that made them: a file or folder as `genzoo tokenizer` takes it",
    TextForm{"", "the path of a tokenizer", /*required=*/true});
  f("validation", validation, "the share of the tokens, at their end, kept for validation",
    Range{0, 1, true, true, "in (0, 1)"});
}

Dataset open(const TokenFileConfig& config, const DataPlaces&) {
  if (config.file.empty()) throw UsageError("data.token_file.file: empty, wanted the path of a file of tokens");
  if (config.tokenizer.empty()) throw UsageError("data.token_file.tokenizer: empty, wanted the path of a tokenizer");
  const auto tokenizer = open_tokenizer(config.tokenizer);
  const Tensor tokens = map_tokens(config.file, *tokenizer);
  if (tokens.numel() == 0) throw RunError(fmt::format("{}: no tokens; it should hold those to learn", config.file));
  const int64_t count = tokens.size(0);
  const auto train = static_cast<int64_t>(static_cast<double>(count) * (1 - config.validation));
  Dataset dataset;
  dataset.spec.dataset = "token_file";
  dataset.spec.kind = DataKind::tokens;
  dataset.spec.vocabulary = tokenizer->vocabulary();
  dataset.spec.token_unit = tokenizer->unit();
  dataset.spec.tokenizer = tokenizer->to_json();
  dataset.train.x = tokens.narrow(/*dim=*/0, 0, train);
  dataset.validation.x = tokens.narrow(/*dim=*/0, train, count - train);
  return dataset;
}

}  // namespace genzoo
