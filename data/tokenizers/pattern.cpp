#include "data/tokenizers/pattern.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "data/tokenizers/utf8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace genzoo {

const char* const kWordCharacters =
    R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{200c}\x{200d}\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189})";

namespace {

// Unicode's White_Space: PCRE2's own \s has U+180E besides, and the property itself is younger than the oldest PCRE2
// that is built with.
constexpr const char* kWhiteSpace = R"(\x09-\x0d\x{85}\x{2028}\x{2029}\p{Zs})";

[[noreturn]] void not_supported(const std::string& expression, const char* what) {
  throw RunError(
      fmt::format("tokenizer: the pattern \"{}\" has {}, which means something else elsewhere and is not "
                  "supported",
                  expression, what));
}

/// An expression of Oniguruma in PCRE2's words.
class Translation final {
 public:
  explicit Translation(const std::string& expression) : in_(expression) {
    while (at_ < in_.size()) in_class_ ? of_class() : of_text();
  }
  std::string take() { return std::move(out_); }

 private:
  bool next_is(const char* text) const { return in_.compare(at_, std::char_traits<char>::length(text), text) == 0; }
  void copy(size_t count) {
    out_ += in_.substr(at_, count);
    at_ += std::min(count, in_.size() - at_);
  }

  void of_text() {
    if (next_is("(?m")) not_supported(in_, "(?m)");
    if (in_[at_] == '\\') return escape();
    const bool opens = in_[at_] == '[';
    copy(1);
    if (!opens) return;
    in_class_ = true;
    if (next_is("^")) copy(1);
    if (next_is("]")) copy(1);  // the first one is a sign like others
  }

  void of_class() {
    if (next_is("&&")) not_supported(in_, "&& between brackets");
    if (next_is("[:")) {
      const size_t end = in_.find(":]", at_);
      if (end != in_.npos) return copy(end + 2 - at_);
    }
    if (next_is("[")) not_supported(in_, "brackets within brackets");
    if (in_[at_] == '\\') return escape();
    in_class_ = in_[at_] != ']';
    copy(1);
  }

  void escape() {
    const char next = at_ + 1 < in_.size() ? in_[at_ + 1] : '\0';
    if (next == 'h' || next == 'H') not_supported(in_, "\\h");
    if (next == 'Q' && !in_class_) {  // literal up to \E
      const size_t end = in_.find("\\E", at_);
      return copy(end == in_.npos ? in_.size() - at_ : end + 2 - at_);
    }
    if (next == 'S' && in_class_) not_supported(in_, "\\S between brackets");
    if (next != 's' && next != 'S') return copy(2);
    out_ += in_class_ ? kWhiteSpace : fmt::format("[{}{}]", next == 'S' ? "^" : "", kWhiteSpace);
    at_ += 2;
    if (!in_class_ || !next_is("-")) return;
    out_ += "\\-";  // a set begins no range, so it is a sign like others
    ++at_;
  }

  const std::string& in_;
  size_t at_ = 0;
  bool in_class_ = false;
  std::string out_;
};

std::string message_of(int error) {
  std::string text(256, '\0');
  const int size = pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(text.data()), text.size());
  text.resize(size > 0 ? static_cast<size_t>(size) : 0);
  return text;
}

}  // namespace

struct Pattern::Compiled {
  explicit Compiled(const std::string& expression) : expression(expression) {
    const std::string translated = Translation(expression).take();
    int error = 0;
    PCRE2_SIZE at = 0;
    code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                         PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_MULTILINE, &error, &at, nullptr);
    if (!code) {
      throw RunError(fmt::format("tokenizer: the pattern \"{}\" cannot be read: {} (at \"{}\")", expression,
                                 message_of(error), translated.substr(0, at)));
    }
    // Where there is no machine code it is interpreted, and long texts take long.
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  }
  ~Compiled() { pcre2_code_free(code); }
  Compiled(const Compiled&) = delete;
  Compiled& operator=(const Compiled&) = delete;

  std::string expression;
  pcre2_code* code = nullptr;
};

Pattern::Pattern(const std::string& expression) : compiled_(std::make_unique<Compiled>(expression)) {}
Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;

std::string Pattern::quoted(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool word = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c & 0x80);
    if (!word) out += '\\';
    out += c;
  }
  return out;
}

Pattern::Matches::Matches(const Pattern& pattern, std::string_view text)
    : pattern_(pattern), text_(text), data_(pcre2_match_data_create(1, nullptr)) {}

Pattern::Matches::~Matches() { pcre2_match_data_free(static_cast<pcre2_match_data*>(data_)); }

bool Pattern::Matches::next_from(size_t from) {
  end_ = from;
  return next();
}

bool Pattern::Matches::next() {
  auto* data = static_cast<pcre2_match_data*>(data_);
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text_.data());
  for (size_t from = end_; from <= text_.size();) {
    const int found = pcre2_match(pattern_.compiled_->code, subject, text_.size(), from, 0, data, nullptr);
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0) {
      throw RunError(fmt::format("tokenizer: the pattern \"{}\" fails at byte {} of {}: {}",
                                 pattern_.compiled_->expression, from, text_.size(), message_of(found)));
    }
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data);
    if (ends[0] == ends[1] && ends[1] == end_ && has_matched_) {  // nothing again, where the last one ended
      from += from < text_.size() ? static_cast<size_t>(std::max(1, decode_utf8(text_, from).bytes)) : 1;
      continue;
    }
    begin_ = ends[0];
    end_ = ends[1];
    has_matched_ = true;
    return true;
  }
  end_ = text_.size() + 1;
  return false;
}

}  // namespace genzoo
