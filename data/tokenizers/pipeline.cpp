#include "data/tokenizers/pipeline.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <algorithm>
#include <unordered_map>

#include "core/error.h"
#include "data/tokenizers/added_tokens.h"
#include "data/tokenizers/byte_level.h"
#include "data/tokenizers/json_fields.h"
#include "data/tokenizers/splitter.h"

namespace genzoo {
namespace {

/// What of a tokenizer.json is kept as it stands.
struct Sections {
  SortedJson normalizer, pre_tokenizer, post_processor, decoder;
};

SortedJson byte_level_section() {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
}

std::string line_of(const AddedToken& t) {
  Json json;
  json["id"] = t.index;
  json["content"] = t.content;
  json["single_word"] = t.single_word;
  json["lstrip"] = t.lstrip;
  json["rstrip"] = t.rstrip;
  json["normalized"] = t.normalized;
  json["special"] = t.special;
  return json.dump();
}

/// A map or list with a line for each entry.
std::string lines_of(const std::vector<std::string>& entries, char open, char close) {
  return entries.empty() ? fmt::format("{}{}", open, close)
                         : fmt::format("{}\n{}\n{}", open, fmt::join(entries, ",\n"), close);
}

/// The tokens of a model, and how its file writes them: bytes as printable characters.
struct Vocabulary {
  BytePairVocabulary pairs;
  std::vector<std::string>
      written;  ///< by index; empty: no token. What is written but no token of `pairs` is never made
};

class Pipeline final : public Tokenizer {
 public:
  Pipeline(Sections sections, std::vector<AddedToken> added, Vocabulary vocabulary, BytePairSettings settings,
           Splitting splitting)
      : sections_(std::move(sections)),
        added_(std::move(added)),
        written_(std::move(vocabulary.written)),
        model_(std::move(vocabulary.pairs), settings),
        splitter_(std::move(splitting.split)),
        bytes_(model_.vocabulary().tokens) {
    for (size_t i = 0; i < bytes_.size(); ++i) {
      if (bytes_[i].empty()) bytes_[i] = written_[i];
      if (const auto byte = model_.fallback_byte(static_cast<int32_t>(i))) bytes_[i] = *byte;
    }
    for (const AddedToken& token : added_.tokens()) {
      bytes_.resize(std::max(bytes_.size(), static_cast<size_t>(token.index) + 1));
      bytes_[token.index] = token.content;
    }
  }

  int64_t vocabulary() const override { return static_cast<int64_t>(bytes_.size()); }
  std::string unit() const override { return "token"; }

  Tensor encode(std::string_view text) const override {
    std::vector<int32_t> tokens;
    tokens.reserve(text.size() / 3);
    OwnedTexts owned;
    // Pieces come again and again: where in `tokens` each stood first, and how many they are.
    struct Known {
      size_t begin, count;
    };
    std::unordered_map<std::string_view, Known> known;
    const auto take = [&](std::string_view piece) {
      const auto [entry, is_new] = known.try_emplace(piece, Known{tokens.size(), 0});
      Known& place = entry->second;
      if (is_new) {
        model_.encode(piece, tokens);
        place.count = tokens.size() - place.begin;
      } else {
        for (size_t i = 0; i < place.count; ++i) tokens.push_back(tokens[place.begin + i]);
      }
    };
    added_.split(
        text, [&](std::string_view part) { splitter_(part, owned, take); },
        [&](int32_t token) { tokens.push_back(token); });
    return torch::tensor(at::ArrayRef<int32_t>(tokens), torch::kInt).to(torch::kLong);
  }

  std::string decode(const Tensor& tokens) const override {
    const Tensor indices = checked_tokens(tokens, vocabulary());
    std::string text;
    for (int64_t i = 0; i < indices.numel(); ++i) text += bytes_[indices.const_data_ptr<int64_t>()[i]];
    return text;
  }

  std::string to_json() const override {
    const BytePairVocabulary& v = model_.vocabulary();
    const BytePairSettings& s = model_.settings();
    const auto text = [&](int32_t token) { return Json(written_[token]).dump(); };
    std::vector<std::string> added, vocabulary, merges;
    for (const AddedToken& token : added_.tokens()) added.push_back(line_of(token));
    for (size_t i = 0; i < written_.size(); ++i) {
      if (!written_[i].empty()) vocabulary.push_back(fmt::format("{}:{}", text(static_cast<int32_t>(i)), i));
    }
    for (const auto& [left, right] : v.merges) merges.push_back(fmt::format("[{},{}]", text(left), text(right)));
    const std::string unknown = s.unknown ? text(*s.unknown) : "null";
    std::string json = R"({"version":"1.0","truncation":null,"padding":null,)";
    json += fmt::format("\n\"added_tokens\":{},\n", lines_of(added, '[', ']'));
    json += fmt::format("\"normalizer\":{},\n\"pre_tokenizer\":{},\n", sections_.normalizer.dump(),
                        sections_.pre_tokenizer.dump());
    json += fmt::format("\"post_processor\":{},\n\"decoder\":{},\n", sections_.post_processor.dump(),
                        sections_.decoder.dump());
    json += fmt::format(
        "\"model\":{{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":{},\"continuing_subword_prefix\":null,"
        "\"end_of_word_suffix\":null,\"fuse_unk\":{},\"byte_fallback\":{},\"ignore_merges\":{},\n",
        unknown, s.fuse_unknown, s.byte_fallback, s.whole_first);
    return json + fmt::format("\"vocab\":{},\n\"merges\":{}}}}}\n", lines_of(vocabulary, '{', '}'),
                              lines_of(merges, '[', ']'));
  }

 private:
  Sections sections_;
  AddedTokens added_;
  std::vector<std::string> written_;
  BytePairs model_;
  Splitter splitter_;
  std::vector<std::string> bytes_;  ///< what each token is in a text; empty: no token
};

/// The tokens of {"token": index, ...}.
Vocabulary read_vocabulary(const SortedJson& file, bool bytes, const std::string& where) {
  Vocabulary vocabulary;
  std::vector<std::string>& tokens = vocabulary.pairs.tokens;
  for (const auto& [written, value] : file.items()) {
    const auto index = static_cast<size_t>(index_of(value, file.size(), where));
    if (written.empty())
      throw RunError(fmt::format("tokenizer: {}: the token with the index {} is empty", where, index));
    if (index >= tokens.size()) {
      tokens.resize(index + 1);
      vocabulary.written.resize(index + 1);
    }
    if (!vocabulary.written[index].empty()) {
      throw RunError(fmt::format("tokenizer: {}: the index {} is of \"{}\" and of \"{}\"", where, index,
                                 vocabulary.written[index], written));
    }
    vocabulary.written[index] = written;
    tokens[index] = bytes ? bytes_of_printable(written).value_or("") : written;
  }
  return vocabulary;
}

/// Merges, each given as two written tokens, found among those of a vocabulary.
class MergeReader final {
 public:
  MergeReader(Vocabulary& vocabulary, std::string where) : merges_(vocabulary.pairs.merges), where_(std::move(where)) {
    for (size_t i = 0; i < vocabulary.written.size(); ++i) {
      if (!vocabulary.pairs.tokens[i].empty()) index_.emplace(vocabulary.written[i], static_cast<int32_t>(i));
    }
  }

  void add(const std::string& left, const std::string& right) { merges_.emplace_back(find(left), find(right)); }
  /// "left right"
  void add_line(const std::string& line) {
    const size_t space = line.find(' ');
    if (space == line.npos || space == 0 || space + 1 == line.size()) {
      throw RunError(fmt::format("tokenizer: {}: merge {} is \"{}\", wanted two tokens with a space between", where_,
                                 merges_.size(), line));
    }
    add(line.substr(0, space), line.substr(space + 1));
  }

 private:
  int32_t find(const std::string& written) const {
    const auto found = index_.find(written);
    if (found == index_.end()) {
      throw RunError(fmt::format("tokenizer: {}: merge {} is of \"{}\", which is no token of the vocabulary", where_,
                                 merges_.size(), written));
    }
    return found->second;
  }

  std::vector<std::pair<int32_t, int32_t>>& merges_;
  std::string where_;
  std::unordered_map<std::string, int32_t> index_;
};

Vocabulary read_byte_pairs(const SortedJson& model, bool bytes) {
  Vocabulary vocabulary = read_vocabulary(object_in(model, "vocab", "model"), bytes, "model.vocab");
  MergeReader merges(vocabulary, "model.merges");
  for (const SortedJson& merge : list_in(model, "merges", "model")) {
    if (merge.is_string()) {
      merges.add_line(merge.get<std::string>());
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      merges.add(merge[0].get<std::string>(), merge[1].get<std::string>());
    } else {
      throw RunError(fmt::format("tokenizer: model.merges: {}, wanted two tokens", merge.dump()));
    }
  }
  return vocabulary;
}

BytePairSettings read_settings(const SortedJson& model, const std::vector<std::string>& tokens, bool bytes) {
  const auto has = [&](const char* key) {
    return model.contains(key) && !model[key].is_null() && model[key] != "" && model[key] != 0.0;
  };
  for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
    if (has(key)) throw RunError(fmt::format("tokenizer: model: \"{}\" is not supported for BPE", key));
  }
  BytePairSettings settings;
  settings.bytes = bytes;
  settings.fuse_unknown = flag_in(model, "fuse_unk", false, "model");
  settings.byte_fallback = flag_in(model, "byte_fallback", false, "model");
  settings.whole_first = flag_in(model, "ignore_merges", false, "model");
  if (has("unk_token")) {
    const std::string unknown = text_in(model, "unk_token", "model");
    const auto found = std::ranges::find(tokens, unknown);
    if (found == tokens.end()) {
      throw RunError(fmt::format("tokenizer: model: unk_token \"{}\" is no token of the vocabulary", unknown));
    }
    settings.unknown = static_cast<int32_t>(found - tokens.begin());
  }
  return settings;
}

std::vector<AddedToken> read_added_tokens(const SortedJson& tokens, size_t others) {
  std::vector<AddedToken> all;
  for (const SortedJson& token : tokens) {
    const std::string where = "added_tokens";
    AddedToken added;
    added.content = text_in(token, "content", where);
    added.index = index_of(token.value("id", SortedJson()), others + tokens.size(), where);
    added.single_word = flag_in(token, "single_word", false, where);
    added.lstrip = flag_in(token, "lstrip", false, where);
    added.rstrip = flag_in(token, "rstrip", false, where);
    added.normalized = flag_in(token, "normalized", false, where);
    added.special = flag_in(token, "special", false, where);
    all.push_back(added);
  }
  return all;
}

/// Refuses decoders that do more than to put the tokens' bytes together.
void require_joining(const SortedJson& decoder) {
  if (decoder.is_null()) return;
  const std::string type = text_in(decoder, "type", "decoder");
  if (type == "Sequence") {
    for (const SortedJson& each : list_in(decoder, "decoders", "decoder")) require_joining(each);
  } else if (type != "ByteLevel" && type != "ByteFallback" && type != "Fuse") {
    throw RunError(
        fmt::format("tokenizer: a decoder of type \"{}\" is not supported; supported are ByteLevel, "
                    "ByteFallback, Fuse and a Sequence of them",
                    type));
  }
}

/// A byte-level pipeline with GPT-2's pattern; `special` are added tokens where the vocabulary has them.
std::unique_ptr<Tokenizer> gpt2_pipeline(Vocabulary vocabulary, const std::vector<std::string>& special) {
  Sections sections;
  sections.pre_tokenizer = sections.decoder = byte_level_section();
  std::vector<AddedToken> added;
  for (const std::string& content : special) {
    const auto found = std::ranges::find(vocabulary.written, content);
    if (found == vocabulary.written.end()) continue;
    AddedToken token;
    token.index = static_cast<int32_t>(found - vocabulary.written.begin());
    token.content = content;
    token.special = true;
    added.push_back(token);
  }
  Splitting splitting = make_splitter(sections.pre_tokenizer);
  return std::make_unique<Pipeline>(std::move(sections), std::move(added), std::move(vocabulary), BytePairSettings{},
                                    std::move(splitting));
}

}  // namespace

std::unique_ptr<Tokenizer> pipeline_from_json(const SortedJson& file) {
  const SortedJson& model = object_in(file, "model", "tokenizer.json");
  const auto section = [&](const char* key) { return file.value(key, SortedJson()); };
  Sections sections{section("normalizer"), section("pre_tokenizer"), section("post_processor"), section("decoder")};
  if (!sections.normalizer.is_null()) {
    throw RunError(fmt::format("tokenizer: a normalizer is not supported: {}", sections.normalizer.dump()));
  }
  require_joining(sections.decoder);
  const std::string type = text_in(model, "type", "model");
  if (type != "BPE") throw RunError(fmt::format("tokenizer: a model of type \"{}\" is not known; known is BPE", type));
  Splitting splitting = make_splitter(sections.pre_tokenizer);
  const bool bytes = splitting.bytes;
  Vocabulary vocabulary = read_byte_pairs(model, bytes);
  const BytePairSettings settings = read_settings(model, vocabulary.written, bytes);
  std::vector<AddedToken> added;
  if (file.contains("added_tokens")) {
    added = read_added_tokens(list_in(file, "added_tokens", "tokenizer.json"), vocabulary.written.size());
  }
  return std::make_unique<Pipeline>(std::move(sections), std::move(added), std::move(vocabulary), settings,
                                    std::move(splitting));
}

std::unique_ptr<Tokenizer> make_byte_pair_pipeline(BytePairVocabulary pairs, const std::vector<std::string>& special) {
  Vocabulary vocabulary{std::move(pairs), {}};
  for (const std::string& token : vocabulary.pairs.tokens) {
    const bool as_it_is = std::ranges::find(special, token) != special.end();
    vocabulary.written.push_back(as_it_is ? token : printable_of(token));
  }
  return gpt2_pipeline(std::move(vocabulary), special);
}

std::unique_ptr<Tokenizer> pipeline_from_gpt2(const std::string& encoder_json, const std::string& vocab_bpe) {
  const SortedJson encoder = parse_sorted_json(encoder_json, "tokenizer");
  if (!encoder.is_object()) throw RunError("tokenizer: no object of tokens and their indices");
  Vocabulary vocabulary = read_vocabulary(encoder, /*bytes=*/true, "the vocabulary");
  MergeReader merges(vocabulary, "the merges");
  for (size_t at = 0; at < vocab_bpe.size();) {
    const size_t end = std::min(vocab_bpe.find('\n', at), vocab_bpe.size());
    std::string line = vocab_bpe.substr(at, end - at);
    at = end + 1;
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty() && !line.starts_with("#version")) merges.add_line(line);
  }
  return gpt2_pipeline(std::move(vocabulary), {"<|endoftext|>"});
}

void count_pieces(std::string_view text, PieceCounts& counts) {
  static const Splitting splitting = make_splitter(byte_level_section());
  OwnedTexts owned;
  std::unordered_map<std::string_view, int64_t> here;  // keys that are copied once
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    splitting.split(text.substr(at, end - at), owned, [&](std::string_view piece) { ++here[piece]; });
    at = end;
  }
  for (const auto& [piece, count] : here) counts[std::string(piece)] += count;
}

}  // namespace genzoo
