#include "data/tokenizers/pipeline.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "core/error.h"
#include "data/tokenizers/added_tokens.h"
#include "data/tokenizers/byte_level.h"
#include "data/tokenizers/byte_pair_model.h"
#include "data/tokenizers/decoder.h"
#include "data/tokenizers/json_fields.h"
#include "data/tokenizers/known_pieces.h"
#include "data/tokenizers/piece_model.h"
#include "data/tokenizers/post_processor.h"
#include "data/tokenizers/splitter.h"
#include "data/tokenizers/vocabulary.h"

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

class Pipeline final : public Tokenizer {
 public:
  Pipeline(Sections sections, std::vector<AddedToken> added, std::unique_ptr<PieceModel> model, Splitting splitting)
      : sections_(std::move(sections)),
        added_(std::move(added), make_normalizer(sections_.normalizer)),
        model_(std::move(model)),
        splitting_(std::move(splitting)),
        printable_(splitting_.bytes && !model_->takes_bytes()),
        decoding_(make_decoder(sections_.decoder, splitting_.bytes      ? TokenTexts::bytes
                                                  : model_->are_words() ? TokenTexts::words
                                                                        : TokenTexts::parts)) {
    texts_ = written_ = model_->written();
    if (splitting_.bytes) {
      for (std::string& text : texts_) text = bytes_of_printable(text).value_or(text);
    }
    for (size_t i = 0; i < added_.tokens().size(); ++i) {
      const AddedToken& token = added_.tokens()[i];
      const auto index = static_cast<size_t>(token.index);
      texts_.resize(std::max(texts_.size(), index + 1));
      written_.resize(texts_.size());
      texts_[index] = added_.looked_for()[i];
      written_[index] = token.content;
    }
    if (texts_.empty()) throw RunError("tokenizer: it has no tokens");
    surroundings_ = make_surroundings(sections_.post_processor, vocabulary());
    if (!decoding_.each_alone) return;
    for (std::string& text : texts_) text = text_of({text});
  }

  int64_t vocabulary() const override { return static_cast<int64_t>(texts_.size()); }
  std::string unit() const override { return "token"; }

  Tensor encode(std::string_view text) const override {
    std::vector<int32_t> tokens;
    tokens.reserve(text.size() / 3);
    OwnedTexts owned;
    KnownPieces known;
    const auto take = [&](std::string_view piece) {
      bool is_new = false;
      KnownPieces::Place& place = known.find(piece, is_new);
      if (is_new) {
        place.begin = tokens.size();
        model_->encode(printable_ ? printable_of(piece) : piece, tokens);
        place.count = static_cast<uint32_t>(tokens.size() - place.begin);
      } else {
        for (size_t i = 0; i < place.count; ++i) tokens.push_back(tokens[place.begin + i]);
      }
    };
    added_.split(
        text, owned, [&](std::string_view part, bool first) { splitting_.split({part, first}, owned, take); },
        [&](int32_t token) { tokens.push_back(token); });
    return torch::from_blob(tokens.data(), {static_cast<int64_t>(tokens.size())}, torch::kInt).to(torch::kLong);
  }

  std::string decode(const Tensor& tokens) const override {
    const Tensor indices = checked_tokens(tokens, vocabulary());
    const auto* index = indices.const_data_ptr<int64_t>();
    if (decoding_.each_alone) {
      std::string text;
      for (int64_t i = 0; i < indices.numel(); ++i) text += texts_[index[i]];
      return text;
    }
    std::vector<std::string> texts;
    for (int64_t i = 0; i < indices.numel(); ++i) texts.push_back(texts_[index[i]]);
    return text_of(std::move(texts));
  }

  WholeText whole(const Tensor& tokens, const Tensor& second) const override {
    std::vector<Tensor> parts, types;
    for (const Surroundings::Part& part : second.defined() ? surroundings_.pair : surroundings_.single) {
      parts.push_back(part.token >= 0  ? torch::full({1}, part.token, torch::kLong)
                      : part.text == 0 ? checked_tokens(tokens, vocabulary())
                                       : checked_tokens(second, vocabulary()));
      types.push_back(torch::full_like(parts.back(), part.type));
    }
    return {torch::cat(parts), torch::cat(types)};
  }

  std::optional<int64_t> find(std::string_view written) const override {
    if (written.empty()) return {};
    const auto found = std::ranges::find(written_, written);
    return found == written_.end() ? std::optional<int64_t>() : found - written_.begin();
  }

  bool is_special(int64_t token) const override {
    checked_tokens(torch::full({1}, token, torch::kLong), vocabulary());
    return std::ranges::any_of(added_.tokens(), [&](const AddedToken& a) { return a.index == token && a.special; });
  }

  std::string to_json() const override {
    std::vector<std::string> added;
    for (const AddedToken& token : added_.tokens()) added.push_back(line_of(token));
    std::string json = R"({"version":"1.0","truncation":null,"padding":null,)";
    json += fmt::format("\n\"added_tokens\":{},\n", lines_of(added, '[', ']'));
    json += fmt::format("\"normalizer\":{},\n\"pre_tokenizer\":{},\n", sections_.normalizer.dump(),
                        sections_.pre_tokenizer.dump());
    json += fmt::format("\"post_processor\":{},\n\"decoder\":{},\n", sections_.post_processor.dump(),
                        sections_.decoder.dump());
    return json + fmt::format("\"model\":{}}}\n", model_->to_json());
  }

 private:
  std::string text_of(std::vector<std::string> texts) const {
    decoding_.apply(texts);
    std::string all;
    for (const std::string& text : texts) all += text;
    return all;
  }

  Sections sections_;
  AddedTokens added_;
  std::unique_ptr<PieceModel> model_;
  Splitting splitting_;
  bool printable_;  ///< the model is given the printable characters of bytes
  Decoding decoding_;
  Surroundings surroundings_;
  std::vector<std::string> written_;  ///< what each token is in the file; empty: no token
  std::vector<std::string> texts_;    ///< what the decoder is given of each, or makes of it where it does so one by one
};

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

/// A byte-level pipeline with GPT-2's pattern; `special` are added tokens where the vocabulary has them.
std::unique_ptr<Tokenizer> gpt2_pipeline(std::unique_ptr<PieceModel> model, const std::vector<std::string>& special) {
  Sections sections;
  sections.pre_tokenizer = sections.decoder = byte_level_section();
  std::vector<AddedToken> added;
  for (const std::string& content : special) {
    const auto found = std::ranges::find(model->written(), content);
    if (found == model->written().end()) continue;
    AddedToken token;
    token.index = static_cast<int32_t>(found - model->written().begin());
    token.content = content;
    token.special = true;
    added.push_back(token);
  }
  Splitting splitting = make_splitter(sections.pre_tokenizer);
  return std::make_unique<Pipeline>(std::move(sections), std::move(added), std::move(model), std::move(splitting));
}

}  // namespace

std::unique_ptr<Tokenizer> pipeline_from_json(const SortedJson& file) {
  const SortedJson& model = object_in(file, "model", "tokenizer.json");
  const auto section = [&](const char* key) { return file.value(key, SortedJson()); };
  Sections sections{section("normalizer"), section("pre_tokenizer"), section("post_processor"), section("decoder")};
  Splitting splitting = make_splitter(sections.pre_tokenizer);
  auto pieces = make_piece_model(model, splitting.bytes);
  std::vector<AddedToken> added;
  if (file.contains("added_tokens")) {
    added = read_added_tokens(list_in(file, "added_tokens", "tokenizer.json"), pieces->written().size());
  }
  return std::make_unique<Pipeline>(std::move(sections), std::move(added), std::move(pieces), std::move(splitting));
}

std::unique_ptr<Tokenizer> make_byte_pair_pipeline(BytePairVocabulary pairs, const std::vector<std::string>& special) {
  return gpt2_pipeline(byte_pairs_of(std::move(pairs), special), special);
}

std::unique_ptr<Tokenizer> pipeline_from_gpt2(const std::string& encoder_json, const std::string& vocab_bpe) {
  return gpt2_pipeline(byte_pairs_from_gpt2(encoder_json, vocab_bpe), {"<|endoftext|>"});
}

void count_pieces(std::string_view text, PieceCounts& counts) {
  static const Splitting splitting = make_splitter(byte_level_section());
  OwnedTexts owned;
  std::unordered_map<std::string_view, int64_t> here;  // keys that are copied once
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    splitting.split({text.substr(at, end - at)}, owned, [&](std::string_view piece) { ++here[piece]; });
    at = end;
  }
  for (const auto& [piece, count] : here) counts[std::string(piece)] += count;
}

}  // namespace genzoo
