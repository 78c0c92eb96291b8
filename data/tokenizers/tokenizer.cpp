#include "data/tokenizers/tokenizer.h"

#include <fmt/format.h>
#include <torch/types.h>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "data/tokenizers/byte_level.h"
#include "data/tokenizers/pipeline.h"
#include "data/tokenizers/sentencepiece.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

/// The first of `names` in a folder; empty if there is none.
fs::path first_in(const fs::path& folder, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (fs::exists(folder / name)) return folder / name;
  }
  return {};
}

}  // namespace

Tensor checked_tokens(const Tensor& tokens, int64_t vocabulary) {
  const Tensor indices = tokens.to(torch::kCPU, torch::kLong).contiguous();
  if (indices.numel() == 0) return indices;
  for (const int64_t bound : {indices.min().item<int64_t>(), indices.max().item<int64_t>()}) {
    if (bound < 0 || bound >= vocabulary) {
      throw RunError(fmt::format("tokenizer: token {}, wanted 0 to {}; the tokens are of another tokenizer", bound,
                                 vocabulary - 1));
    }
  }
  return indices;
}

WholeText Tokenizer::whole(const Tensor& tokens, const Tensor& second) const {
  if (!second.defined()) return {tokens, torch::zeros_like(tokens)};
  return {torch::cat({tokens, second}), torch::cat({torch::zeros_like(tokens), torch::ones_like(second)})};
}

std::optional<int64_t> Tokenizer::find(std::string_view) const { return {}; }

bool Tokenizer::is_special(int64_t token) const {
  checked_tokens(torch::full({1}, token, torch::kLong), vocabulary());
  return false;
}

std::unique_ptr<Tokenizer> tokenizer_from_json(const std::string& json) {
  const SortedJson description = parse_sorted_json(json, "tokenizer");
  if (description.is_object() && description.contains("model")) return pipeline_from_json(description);
  const auto text = [&](const char* key) {
    const bool there = description.is_object() && description.contains(key) && description[key].is_string();
    return there ? description[key].get<std::string>() : std::string();
  };
  const std::string type = text("type");
  if (type == "bytes") return Tokenizer::bytes();
  if (type == "characters" && !text("characters").empty()) return Tokenizer::characters_of(text("characters"));
  throw RunError(
      fmt::format("tokenizer: type \"{}\", wanted \"bytes\", or \"characters\" with the characters; "
                  "the description is damaged or of another version",
                  type));
}

std::string huggingface_tokenizer(const std::string& json) {
  if (parse_sorted_json(json, "tokenizer").contains("model")) return json;
  const auto tokenizer = tokenizer_from_json(json);
  const bool bytes = tokenizer->unit() == "byte";
  Json vocabulary = Json::object();
  for (int64_t token = 0; token < tokenizer->vocabulary(); ++token) {
    const std::string text = tokenizer->decode(torch::full({1}, token, torch::kLong));
    vocabulary[bytes ? printable_of(text) : text] = token;
  }
  const Json byte_level{
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
  // Byte pairs of which none are merged: characters stay what they are.
  const Json file{{"version", "1.0"},
                  {"truncation", nullptr},
                  {"padding", nullptr},
                  {"added_tokens", Json::array()},
                  {"normalizer", nullptr},
                  {"pre_tokenizer", bytes ? byte_level : Json()},
                  {"post_processor", nullptr},
                  {"decoder", bytes ? byte_level : Json{{"type", "Fuse"}}},
                  {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", Json::array()}}}};
  return file.dump(1) + "\n";
}

std::unique_ptr<Tokenizer> open_tokenizer(const fs::path& path) {
  const fs::path file =
      fs::is_directory(path) ? first_in(path, {"tokenizer.json", "tokenizer.model", "spiece.model"}) : path;
  const fs::path merges = first_in(path, {"vocab.bpe", "merges.txt"});
  const fs::path encoder = first_in(path, {"encoder.json", "vocab.json"});
  if (file.empty() && (merges.empty() || encoder.empty())) {
    throw UsageError(
        fmt::format("{}: no tokenizer.json, tokenizer.model, nor vocab.bpe and encoder.json", path.string()));
  }
  try {
    if (file.empty()) return pipeline_from_gpt2(read_file(encoder), read_file(merges));
    const std::string text = read_file(file);
    if (text.empty()) throw RunError("tokenizer: the file is empty");
    return file.extension() == ".model" ? pipeline_from_json(json_of_sentencepiece(text)) : tokenizer_from_json(text);
  } catch (const RunError& error) {
    throw RunError(fmt::format("{}: {}", (file.empty() ? path : file).string(), error.what()));
  }
}

}  // namespace genzoo
