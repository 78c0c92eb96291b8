#include "data/tokenizers/decoder.h"

#include <fmt/format.h>

#include <charconv>
#include <memory>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "data/tokenizers/byte_level.h"
#include "data/tokenizers/json_fields.h"
#include "data/tokenizers/replacement.h"

namespace genzoo {
namespace {

constexpr const char* kWhere = "decoder";
using Texts = std::vector<std::string>;

/// Of a change to each text that does not ask where it stands.
template <class F>
Decoding each_by(F change) {
  return {[change = std::move(change)](Texts& texts) {
    for (std::string& text : texts) change(text);
  }};
}

void fuse(Texts& texts) {
  std::string all;
  for (const std::string& text : texts) all += text;
  texts.assign(1, std::move(all));
}

/// Replaces each `from`, which is not empty.
void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

/// "<0x41>" as the byte 0x41.
void byte_of_name(std::string& text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return;
  unsigned value = 0;
  if (std::from_chars(&text[3], &text[5], value, 16).ptr == &text[5]) text.assign(1, static_cast<char>(value));
}

Decoding byte_level(TokenTexts kind) {
  if (kind == TokenTexts::bytes) return {fuse};
  return {[](Texts& texts) {
    for (std::string& text : texts) text = bytes_of_printable(text).value_or(text);
    fuse(texts);
  }};
}

int64_t count_in(const SortedJson& description, const char* key) {
  const SortedJson value = description.value(key, SortedJson());
  if (!is_count(value) || value > 1 << 20) {
    throw RunError(fmt::format("tokenizer: decoder Strip: \"{}\": {}, wanted how many", key, value.dump()));
  }
  return value.get<int64_t>();
}

Decoding strip(const SortedJson& description) {
  const std::string sign = text_in(description, "content", kWhere);
  if (sign.empty()) throw RunError("tokenizer: decoder Strip: \"content\" is empty");
  const int64_t start = count_in(description, "start"), stop = count_in(description, "stop");
  return each_by([=](std::string& text) {
    for (int64_t i = 0; i < start && text.starts_with(sign); ++i) text.erase(0, sign.size());
    for (int64_t i = 0; i < stop && text.ends_with(sign); ++i) text.resize(text.size() - sign.size());
  });
}

/// Takes away spaces that English has not (BERT's clean_up_tokenization).
void clean_up(std::string& text) {
  static constexpr std::pair<const char*, const char*> kCleaned[] = {
      {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : kCleaned) replace_all(text, from, to);
}

Decoding word_piece(const SortedJson& description) {
  const std::string prefix = text_in(description, "prefix", kWhere);
  const bool clean = flag_in(description, "cleanup", true, kWhere);
  return {[=](Texts& texts) {
            for (size_t i = 0; i < texts.size(); ++i) {
              if (i > 0 && texts[i].starts_with(prefix)) {
                texts[i].erase(0, prefix.size());
              } else if (i > 0) {
                texts[i].insert(0, 1, ' ');
              }
              if (clean) clean_up(texts[i]);
            }
          },
          /*each_alone=*/false};
}

Decoding metaspace(const SortedJson& description) {
  const std::string sign = text_in(description, "replacement", kWhere);
  if (sign.empty()) throw RunError("tokenizer: decoder Metaspace: \"replacement\" is empty");
  const bool prefix = description.contains("prepend_scheme") ? text_in(description, "prepend_scheme", kWhere) != "never"
                                                             : flag_in(description, "add_prefix_space", true, kWhere);
  return {[=](Texts& texts) {
            for (size_t i = 0; i < texts.size(); ++i) replace_all(texts[i], sign, i == 0 && prefix ? "" : " ");
          },
          /*each_alone=*/false};
}

/// Words end with a suffix, which becomes the space after them.
Decoding suffixes(const SortedJson& description) {
  const std::string suffix = text_in(description, "suffix", kWhere);
  if (suffix.empty()) throw RunError("tokenizer: decoder BPEDecoder: \"suffix\" is empty");
  return {[=](Texts& texts) {
            for (size_t i = 0; i < texts.size(); ++i) replace_all(texts[i], suffix, i + 1 < texts.size() ? " " : "");
          },
          /*each_alone=*/false};
}

Decoding with_spaces() {
  return {[](Texts& texts) {
            for (size_t i = 1; i < texts.size(); ++i) texts[i].insert(0, 1, ' ');
          },
          /*each_alone=*/false};
}

Decoding sequence(const SortedJson& description, TokenTexts kind) {
  constexpr size_t kMost = 64;
  const SortedJson& each_of = list_in(description, "decoders", kWhere);
  if (each_of.size() > kMost) {
    throw RunError(fmt::format("tokenizer: a Sequence of {} decoders, wanted at most {}", each_of.size(), kMost));
  }
  Decoding all{[](Texts&) {}};
  bool fused = false;
  for (const SortedJson& each : each_of) {
    const Decoding next = make_decoder(each, kind);
    const std::string type = text_in(each, "type", kWhere);
    const bool fuses = type == "Fuse" || type == "ByteLevel" || type == "Sequence";
    all.each_alone = all.each_alone && next.each_alone && (!fused || fuses);
    fused = fused || fuses;
    all.apply = [first = all.apply, second = next.apply](Texts& texts) {
      first(texts);
      second(texts);
    };
  }
  return all;
}

}  // namespace

Decoding make_decoder(const SortedJson& description, TokenTexts kind) {
  if (description.is_null()) return kind == TokenTexts::words ? with_spaces() : Decoding{fuse};
  const std::string type = text_in(description, "type", kWhere);
  if (type == "ByteLevel") return byte_level(kind);
  if (type == "ByteFallback") return each_by(byte_of_name);
  if (type == "Fuse") return {fuse};
  if (type == "Replace") {
    return each_by([replace = std::make_shared<Replacement>(description, kWhere)](std::string& text) {
      text = replace->in(text);
    });
  }
  if (type == "Strip") return strip(description);
  if (type == "WordPiece") return word_piece(description);
  if (type == "Metaspace") return metaspace(description);
  if (type == "BPEDecoder") return suffixes(description);
  if (type == "Sequence") return sequence(description, kind);
  throw RunError(
      fmt::format("tokenizer: a decoder of type \"{}\" is not known; known are ByteLevel, ByteFallback, Fuse, Replace, "
                  "Strip, WordPiece, Metaspace, BPEDecoder, Sequence",
                  type));
}

}  // namespace genzoo
