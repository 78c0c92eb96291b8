#include "data/tokenizers/normalizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "core/error.h"
#include "data/tokenizers/json_fields.h"
#include "data/tokenizers/pattern.h"
#include "data/tokenizers/precompiled.h"
#include "data/tokenizers/replacement.h"
#include "data/tokenizers/unicode.h"
#include "data/tokenizers/utf8.h"

namespace genzoo {
namespace {

constexpr const char* kWhere = "normalizer";

/// Calls append(out, code point) for each character; what is not UTF-8 stays.
template <class F>
std::string each_character(std::string_view text, const F& append) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text, at);
    if (c.bytes == 0) {
      out += text[at++];
    } else {
      append(out, c.value);
      at += static_cast<size_t>(c.bytes);
    }
  }
  return out;
}

std::string lower(std::string_view text) { return each_character(text, append_lower); }

template <bool (*drop)(uint32_t)>
std::string without(std::string_view text) {
  return each_character(text, [](std::string& out, uint32_t c) {
    if (!drop(c)) append_utf8(out, c);
  });
}

/// Control characters of the NMT tasks removed or turned into spaces, as SentencePiece's rules "nmt" do.
std::string nmt(std::string_view text) {
  return each_character(text, [](std::string& out, uint32_t c) {
    const bool space = c == 0x09 || c == 0x0a || c == 0x0c || c == 0x0d || c == 0x1680 ||
                       (c >= 0x200b && c <= 0x200f) || c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xfeff ||
                       c == 0xfffd;
    const bool dropped =
        (c >= 0x01 && c <= 0x08) || c == 0x0b || (c >= 0x0e && c <= 0x1f) || c == 0x7f || c == 0x8f || c == 0x9f;
    if (!dropped) append_utf8(out, space ? ' ' : c);
  });
}

/// The blocks of CJK ideographs as BERT counts them (Devlin et al., 2019: tokenization.py), with the gap that
/// `tokenizers` has in them.
bool is_ideograph(uint32_t c) {
  return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
         (c >= 0x2a700 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) || (c >= 0xf900 && c <= 0xfaff) ||
         (c >= 0x2f800 && c <= 0x2fa1f);
}

std::string bert_clean(std::string_view text) {
  return each_character(text, [](std::string& out, uint32_t c) {
    const bool space = c == '\t' || c == '\n' || c == '\r';
    if (!space && (c == 0 || c == 0xfffd || is_other(c))) return;
    append_utf8(out, space || is_white_space(c) ? ' ' : c);
  });
}

std::string bert_ideographs_apart(std::string_view text) {
  return each_character(text, [](std::string& out, uint32_t c) {
    const bool apart = is_ideograph(c);
    if (apart) out += ' ';
    append_utf8(out, c);
    if (apart) out += ' ';
  });
}

Normalizer chain_of(std::vector<Normalizer> all) {
  return [all = std::move(all)](std::string_view text) {
    std::string now(text);
    for (const Normalizer& each : all) {
      if (each) now = each(now);
    }
    return now;
  };
}

Normalizer bert(const SortedJson& description) {
  const bool lowercase = flag_in(description, "lowercase", true, kWhere);
  std::vector<Normalizer> all;
  if (flag_in(description, "clean_text", true, kWhere)) all.emplace_back(bert_clean);
  if (flag_in(description, "handle_chinese_chars", true, kWhere)) all.emplace_back(bert_ideographs_apart);
  if (flag_in(description, "strip_accents", lowercase, kWhere)) {
    all.emplace_back([](std::string_view text) { return to_normal_form(text, NormalForm::nfd); });
    all.emplace_back(without<is_nonspacing_mark>);
  }
  if (lowercase) all.emplace_back(lower);
  return chain_of(std::move(all));
}

Normalizer strip(const SortedJson& description) {
  const bool left = flag_in(description, "strip_left", true, kWhere);
  const bool right = flag_in(description, "strip_right", true, kWhere);
  return [left, right](std::string_view text) {
    if (left) text.remove_prefix(space_after(text, 0));
    if (right) text = text.substr(0, space_before(text, text.size(), 0));
    return std::string(text);
  };
}

Normalizer replace(const SortedJson& description) {
  return [replace = std::make_shared<Replacement>(description, kWhere)](std::string_view text) {
    return replace->in(text);
  };
}

Normalizer prepend(const SortedJson& description) {
  return [before = text_in(description, "prepend", kWhere)](std::string_view text) {
    return text.empty() ? std::string() : before + std::string(text);
  };
}

Normalizer sequence(const SortedJson& description) {
  constexpr size_t kMost = 64;
  std::vector<Normalizer> all;
  const SortedJson& each_of = list_in(description, "normalizers", kWhere);
  if (each_of.size() > kMost) {
    throw RunError(fmt::format("tokenizer: a Sequence of {} normalizers, wanted at most {}", each_of.size(), kMost));
  }
  for (const SortedJson& each : each_of) all.push_back(make_normalizer(each));
  return chain_of(std::move(all));
}

}  // namespace

Normalizer make_normalizer(const SortedJson& description) {
  if (description.is_null()) return {};
  const std::string type = text_in(description, "type", kWhere);
  constexpr const char* kForms[] = {"NFC", "NFD", "NFKC", "NFKD"};
  if (const auto* const form = std::ranges::find(kForms, type); form != std::end(kForms)) {
    return
        [form = static_cast<NormalForm>(form - kForms)](std::string_view text) { return to_normal_form(text, form); };
  }
  if (type == "Lowercase") return lower;
  if (type == "StripAccents") return without<is_mark>;
  if (type == "Strip") return strip(description);
  if (type == "Prepend") return prepend(description);
  if (type == "Replace") return replace(description);
  if (type == "Nmt") return nmt;
  if (type == "BertNormalizer") return bert(description);
  if (type == "Precompiled") {
    return [rules = std::make_shared<PrecompiledRules>(bytes_of_base64(text_in(
                description, "precompiled_charsmap", kWhere)))](std::string_view text) { return rules->apply(text); };
  }
  if (type == "Sequence") return sequence(description);
  throw RunError(
      fmt::format("tokenizer: a normalizer of type \"{}\" is not known; known are NFC, NFD, NFKC, NFKD, Lowercase, "
                  "StripAccents, Strip, Prepend, Replace, Nmt, BertNormalizer, Precompiled, Sequence",
                  type));
}

}  // namespace genzoo
