// Text to tokens and back, and tokenizers learned from text.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "core/file.h"
#include "data/tokenizers/pipeline.h"
#include "data/tokenizers/token_file.h"
#include "tools/output.h"
#include "tools/verb.h"

namespace genzoo {
namespace {

constexpr const char* kEndOfText = "<|endoftext|>";

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

void require_option(const Arguments& arguments, const char* action, const char* option, bool wanted) {
  if (arguments.given(option) == wanted) return;
  throw UsageError(wanted ? fmt::format("tokenizer {}: --{} is missing", action, option)
                          : fmt::format("tokenizer {}: --{} is of another action; leave it out", action, option));
}

const std::string& only_file(const Arguments& arguments, const char* action) {
  const std::vector<std::string>& files = arguments.all("FILE");
  if (files.size() != 1) throw UsageError(fmt::format("tokenizer {}: {} files, wanted one", action, files.size()));
  return files[0];
}

void tell(const Arguments& arguments, const Json& facts, const std::string& line) {
  if (arguments.flag("json")) {
    print_json(facts);
  } else {
    print(line + "\n");
  }
}

ExitCode train(const Arguments& arguments) {
  require_option(arguments, "train", "vocab-size", true);
  require_option(arguments, "train", "tokenizer", false);
  const std::string& out = arguments.text("out");
  const std::vector<std::string> special{kEndOfText};
  const int64_t size = arguments.integer("vocab-size");
  PieceCounts counts;
  int64_t bytes = 0;
  const auto begin = Clock::now();
  for (const std::string& file : arguments.all("FILE")) {
    const std::string text = read_file(file);
    count_pieces(text, counts);
    bytes += static_cast<int64_t>(text.size());
  }
  if (bytes == 0) throw UsageError("tokenizer train: there is no text in the files; give some to learn from");
  const auto tokenizer =
      make_byte_pair_pipeline(train_byte_pairs(counts, size, arguments.integer("min-frequency"), special), special);
  const double seconds = seconds_since(begin);
  write_file_whole(out, tokenizer->to_json());
  Json facts;
  facts["tokenizer"] = out;
  facts["vocabulary"] = tokenizer->vocabulary();
  facts["pieces"] = counts.size();
  facts["bytes"] = bytes;
  facts["seconds"] = seconds;
  const std::string fewer = tokenizer->vocabulary() < size
                                ? fmt::format("; no more pairs occur {} times", arguments.text("min-frequency"))
                                : "";
  tell(arguments, facts,
       fmt::format("{}: {} tokens, learned from {} bytes with {} different pieces{}", out, tokenizer->vocabulary(),
                   bytes, counts.size(), fewer));
  return ExitCode::done;
}

ExitCode encode(const Arguments& arguments) {
  require_option(arguments, "encode", "tokenizer", true);
  const auto tokenizer = open_tokenizer(arguments.text("tokenizer"));
  const std::string text = read_file(only_file(arguments, "encode"));
  if (text.empty()) throw UsageError(fmt::format("tokenizer encode: {} is empty", arguments.text("FILE")));
  const auto begin = Clock::now();
  Tensor tokens = tokenizer->encode(text);
  const double seconds = seconds_since(begin);
  if (arguments.flag("whole")) tokens = tokenizer->whole(tokens).tokens;
  const std::string& out = arguments.text("out");
  write_tokens(out, tokens, *tokenizer);
  Json facts;
  facts["file"] = out;
  facts["tokens"] = tokens.size(0);
  facts["bytes"] = text.size();
  facts["vocabulary"] = tokenizer->vocabulary();
  facts["seconds"] = seconds;  // for the tokens alone
  tell(arguments, facts,
       fmt::format("{}: {} tokens of {} bytes, {:.3f} bytes each", out, tokens.size(0), text.size(),
                   static_cast<double>(text.size()) / static_cast<double>(std::max<int64_t>(1, tokens.size(0)))));
  return ExitCode::done;
}

ExitCode decode(const Arguments& arguments) {
  require_option(arguments, "decode", "tokenizer", true);
  const auto tokenizer = open_tokenizer(arguments.text("tokenizer"));
  const Tensor tokens = read_tokens(only_file(arguments, "decode"), *tokenizer);
  const std::string text = tokenizer->decode(tokens);
  const std::string& out = arguments.text("out");
  write_file_whole(out, text);
  Json facts;
  facts["file"] = out;
  facts["tokens"] = tokens.size(0);
  facts["bytes"] = text.size();
  tell(arguments, facts, fmt::format("{}: {} bytes of {} tokens", out, text.size(), tokens.size(0)));
  return ExitCode::done;
}

ExitCode run(const Arguments& arguments) {
  const std::string& action = arguments.text("ACTION");
  const std::vector<std::string> known{"train", "encode", "decode"};
  if (std::ranges::find(known, action) == known.end()) {
    throw UsageError(fmt::format("tokenizer: no action '{}'; the nearest of train, encode, decode is '{}'", action,
                                 closest_name(action, known)));
  }
  if (action != "encode") require_option(arguments, action.c_str(), "whole", false);
  if (action == "train") return train(arguments);
  require_option(arguments, action.c_str(), "vocab-size", false);
  require_option(arguments, action.c_str(), "min-frequency", false);
  return action == "encode" ? encode(arguments) : decode(arguments);
}

}  // namespace

Verb tokenizer_verb() {
  return {
      "tokenizer",
      "learns a byte-pair tokenizer, or applies one",
      "ACTION FILE...",
      "ACTION: train, encode or decode.\n"
      "\n"
      "`tokenizer train FILE... --vocab-size N --out tokenizer.json` learns byte-pair encoding from texts, as\n"
      "Hugging Face's `tokenizers` does with ByteLevel, line by line; the first token is <|endoftext|>.\n"
      "`tokenizer encode --tokenizer PATH FILE --out FILE.safetensors` writes a text's tokens as the array `tokens`\n"
      "(uint16, or uint32 if there are more than 65,536), `tokenizer decode` writes the text of such a file. PATH: a\n"
      "tokenizer.json or SentencePiece's tokenizer.model, or a folder with one, or with GPT-2's vocab.bpe and\n"
      "encoder.json.",
      {{"vocab-size", Takes::integer, "N", "of train: tokens in all", nullptr, false,
        Range{257, 1 << 24, false, false, "in [257, 16777216]"}},
       {"min-frequency", Takes::integer, "N", "of train: how often a pair must occur to be merged", "2", false,
        positive},
       {"tokenizer", Takes::text, "PATH", "of encode and decode: the tokenizer"},
       {"whole", Takes::nothing, "",
        "of encode: with the beginning and end that the tokenizer puts around a whole text, where it has them"},
       {"out", Takes::text, "FILE", "the file to write", nullptr, true},
       {"json", Takes::nothing, "", "print JSON"}},
      run};
}

}  // namespace genzoo
