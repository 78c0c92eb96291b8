#include "data/tokenizers/byte_pair_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "core/error.h"
#include "data/tokenizers/byte_level.h"
#include "data/tokenizers/json_fields.h"
#include "data/tokenizers/vocabulary.h"

namespace genzoo {
namespace {

class BytePairModel final : public PieceModel {
 public:
  BytePairModel(std::vector<std::string> written, BytePairVocabulary pairs, BytePairSettings settings)
      : written_(std::move(written)), pairs_(std::move(pairs), settings) {}

  void encode(std::string_view piece, std::vector<int32_t>& tokens) const override { pairs_.encode(piece, tokens); }
  bool takes_bytes() const override { return pairs_.settings().bytes; }
  const std::vector<std::string>& written() const override { return written_; }

  std::string to_json() const override {
    const BytePairSettings& s = pairs_.settings();
    std::vector<std::string> merges;
    for (const auto& [left, right] : pairs_.vocabulary().merges) {
      merges.push_back(fmt::format("[{},{}]", quoted_json(written_[left]), quoted_json(written_[right])));
    }
    return fmt::format(
        "{{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":{},\"continuing_subword_prefix\":null,"
        "\"end_of_word_suffix\":null,\"fuse_unk\":{},\"byte_fallback\":{},\"ignore_merges\":{},\n"
        "\"vocab\":{},\n\"merges\":{}}}",
        s.unknown ? quoted_json(written_[*s.unknown]) : "null", s.fuse_unknown, s.byte_fallback, s.whole_first,
        vocabulary_json(written_), lines_of(merges, '[', ']'));
  }

 private:
  std::vector<std::string> written_;  ///< by index; what is written but no token of `pairs_` is never made
  BytePairs pairs_;
};

/// The texts of written tokens; empty: bytes that are written otherwise.
std::vector<std::string> texts_of(const std::vector<std::string>& written, bool bytes) {
  std::vector<std::string> texts;
  texts.reserve(written.size());
  for (const std::string& token : written) texts.push_back(bytes ? bytes_of_printable(token).value_or("") : token);
  return texts;
}

/// Merges, each given as two written tokens, found among those of a vocabulary.
class MergeReader final {
 public:
  MergeReader(const std::vector<std::string>& written, std::string where) : index_(written), where_(std::move(where)) {}

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
  std::vector<std::pair<int32_t, int32_t>> take() { return std::move(merges_); }

 private:
  int32_t find(const std::string& written) const {
    const auto found = index_.find(written);
    if (!found) {
      throw RunError(fmt::format("tokenizer: {}: merge {} is of \"{}\", which is no token of the vocabulary", where_,
                                 merges_.size(), written));
    }
    return *found;
  }

  TokenIndex index_;
  std::string where_;
  std::vector<std::pair<int32_t, int32_t>> merges_;
};

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
    settings.unknown = TokenIndex(tokens).at(text_in(model, "unk_token", "model"), "unk_token");
  }
  return settings;
}

}  // namespace

std::unique_ptr<PieceModel> byte_pairs_from_json(const SortedJson& model, bool bytes) {
  std::vector<std::string> written = read_vocabulary(object_in(model, "vocab", "model"), "model.vocab");
  MergeReader merges(written, "model.merges");
  for (const SortedJson& merge : list_in(model, "merges", "model")) {
    if (merge.is_string()) {
      merges.add_line(merge.get<std::string>());
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      merges.add(merge[0].get<std::string>(), merge[1].get<std::string>());
    } else {
      throw RunError(fmt::format("tokenizer: model.merges: {}, wanted two tokens", merge.dump()));
    }
  }
  const BytePairSettings settings = read_settings(model, written, bytes);
  BytePairVocabulary pairs{texts_of(written, bytes), merges.take()};
  return std::make_unique<BytePairModel>(std::move(written), std::move(pairs), settings);
}

std::unique_ptr<PieceModel> byte_pairs_from_gpt2(const std::string& encoder_json, const std::string& vocab_bpe) {
  const SortedJson encoder = parse_sorted_json(encoder_json, "tokenizer");
  if (!encoder.is_object()) throw RunError("tokenizer: no object of tokens and their indices");
  std::vector<std::string> written = read_vocabulary(encoder, "the vocabulary");
  MergeReader merges(written, "the merges");
  for (size_t at = 0; at < vocab_bpe.size();) {
    const size_t end = std::min(vocab_bpe.find('\n', at), vocab_bpe.size());
    std::string line = vocab_bpe.substr(at, end - at);
    at = end + 1;
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty() && !line.starts_with("#version")) merges.add_line(line);
  }
  BytePairVocabulary pairs{texts_of(written, /*bytes=*/true), merges.take()};
  return std::make_unique<BytePairModel>(std::move(written), std::move(pairs), BytePairSettings{});
}

std::unique_ptr<PieceModel> byte_pairs_of(BytePairVocabulary pairs, const std::vector<std::string>& special) {
  std::vector<std::string> written;
  for (const std::string& token : pairs.tokens) {
    const bool as_it_is = std::ranges::find(special, token) != special.end();
    written.push_back(as_it_is ? token : printable_of(token));
  }
  return std::make_unique<BytePairModel>(std::move(written), std::move(pairs), BytePairSettings{});
}

}  // namespace genzoo
