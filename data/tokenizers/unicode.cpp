#include "data/tokenizers/unicode.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "core/error.h"
#include "data/tokenizers/utf8.h"

namespace genzoo {
namespace {

utf8proc_category_t category_of(uint32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

struct Free {
  void operator()(utf8proc_uint8_t* text) const { free(text); }  // utf8proc takes it with malloc
};

/// Appends valid UTF-8 in a normal form.
void append_normalized(std::string& out, std::string_view valid, int options) {
  utf8proc_uint8_t* result = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(valid.data()), static_cast<utf8proc_ssize_t>(valid.size()),
                   &result, static_cast<utf8proc_option_t>(options));
  const std::unique_ptr<utf8proc_uint8_t, Free> owned(result);
  if (size < 0) {
    throw RunError(
        fmt::format("tokenizer: {} bytes of text cannot be normalized: {}", valid.size(), utf8proc_errmsg(size)));
  }
  out.append(reinterpret_cast<const char*>(result), static_cast<size_t>(size));
}

}  // namespace

std::string to_normal_form(std::string_view text, NormalForm form) {
  constexpr int kOptions[] = {UTF8PROC_STABLE | UTF8PROC_COMPOSE, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
                              UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
                              UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT};
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    // ASCII is in every normal form already; its last character may be composed with what follows.
    size_t ascii = at;
    while (ascii < text.size() && is_ascii(text[ascii])) ++ascii;
    const bool more = ascii < text.size();
    const size_t plain = ascii > at && more ? ascii - 1 : ascii;
    out.append(text.substr(at, plain - at));
    if (!more) break;
    size_t end = ascii;
    while (end < text.size() && !is_ascii(text[end])) {
      const int bytes = decode_utf8(text, end).bytes;
      if (bytes == 0) break;
      end += static_cast<size_t>(bytes);
    }
    append_normalized(out, text.substr(plain, end - plain), kOptions[static_cast<size_t>(form)]);
    if (end < text.size() && !is_ascii(text[end])) out += text[end++];  // no UTF-8
    at = end;
  }
  return out;
}

bool is_mark(uint32_t c) {
  const auto category = category_of(c);
  return category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME;
}

bool is_nonspacing_mark(uint32_t c) { return category_of(c) == UTF8PROC_CATEGORY_MN; }

bool is_other(uint32_t c) {
  const auto category = category_of(c);
  return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_CO;
}

bool is_punctuation(uint32_t c) {
  if (c < 0x80) return c > ' ' && c < 0x7f && utf8proc_category(static_cast<int>(c)) >= UTF8PROC_CATEGORY_PC;
  const auto category = category_of(c);
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

void append_lower(std::string& text, uint32_t c) {
  append_utf8(text, static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
  if (c == 0x130) append_utf8(text, 0x307);  // I with a dot: the dot stays
}

size_t end_of_grapheme(std::string_view text, size_t begin) {
  CodePoint last = decode_utf8(text, begin);
  size_t at = begin + static_cast<size_t>(std::max(1, last.bytes));
  utf8proc_int32_t state = 0;
  while (last.bytes > 0 && at < text.size()) {
    const CodePoint next = decode_utf8(text, at);
    if (next.bytes == 0 ||
        utf8proc_grapheme_break_stateful(static_cast<int>(last.value), static_cast<int>(next.value), &state)) {
      break;
    }
    at += static_cast<size_t>(next.bytes);
    last = next;
  }
  return at;
}

}  // namespace genzoo
