#include "core/config_scalar.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <stdexcept>

namespace genzoo {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool is_one_of(char c, std::string_view set) { return set.find(c) != std::string_view::npos; }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string_view without_sign(std::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  return text;
}

bool all_digits(std::string_view text) { return !text.empty() && std::ranges::all_of(text, is_digit); }

/// A digit after a leading zero: octal in YAML 1.1, decimal in YAML 1.2.
bool has_leading_zero(std::string_view text) {
  text = without_sign(text);
  return text.size() > 1 && text[0] == '0' && is_digit(text[1]);
}

std::string without_leading_zeros(std::string_view text) {
  std::string_view digits = without_sign(text);
  while (digits.size() > 1 && digits[0] == '0' && is_digit(digits[1])) digits.remove_prefix(1);
  return (text[0] == '-' ? "-" : "") + std::string(digits);
}

/// std::from_chars takes no plus sign.
std::string_view without_plus(std::string_view text) {
  if (!text.empty() && text[0] == '+') text.remove_prefix(1);
  return text;
}

template <class T>
std::errc convert(std::string_view text, T& value) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code == std::errc() && end != text.data() + text.size()) return std::errc::invalid_argument;
  return code;
}

/// [-+]? (digits [. digits?] | . digits) ([eE] [-+]? digits)?   and nothing else: no inf, no hexadecimal.
bool is_decimal(std::string_view text) {
  text = without_sign(text);
  size_t at = 0;
  const auto digits = [&] {
    const size_t begin = at;
    while (at < text.size() && is_digit(text[at])) ++at;
    return at - begin;
  };
  size_t mantissa = digits();
  if (at < text.size() && text[at] == '.') {
    ++at;
    mantissa += digits();
  }
  if (mantissa == 0) return false;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
    if (digits() == 0) return false;
  }
  return at == text.size();
}

/// What to write for an integer that was written in another notation: 1e3, 1000.0, 1_000, 0x3e8.
std::string integer_advice(std::string_view text) {
  std::string plain(text);
  std::erase(plain, '_');
  int64_t value = 0;
  if (plain.size() < text.size() && all_digits(without_sign(plain)) && !has_leading_zero(plain)) {
    return "write " + std::string(without_plus(plain));
  }
  if ((text.starts_with("0x") || text.starts_with("0o")) && text.size() > 2) {
    const std::string_view digits = text.substr(2);
    const auto [end, code] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, text[1] == 'x' ? 16 : 8);
    if (code == std::errc() && end == digits.data() + digits.size() && value >= 0)
      return fmt::format("write {}", value);
  }
  double number = 0;
  constexpr double kExact = 9007199254740992;  // 2^53: every integer up to here is a double
  if (is_decimal(text) && convert(without_plus(text), number) == std::errc() && std::abs(number) <= kExact &&
      number == std::trunc(number)) {
    return fmt::format("write {}", static_cast<int64_t>(number));
  }
  return "";
}

}  // namespace

ParsedScalar<int64_t> parse_integer(std::string_view text) {
  if (all_digits(without_sign(text))) {
    if (has_leading_zero(text)) {
      return {
          {}, "an integer", fmt::format("write {}: a leading zero means octal to some", without_leading_zeros(text))};
    }
    int64_t value = 0;
    if (convert(without_plus(text), value) != std::errc()) return {{}, "an integer of at most 64 bits", ""};
    return {value, "", ""};
  }
  return {{}, "an integer", integer_advice(text)};
}

ParsedScalar<double> parse_number(std::string_view text) {
  if (!is_decimal(text)) {
    const std::string word = lower(without_sign(text));
    for (const char* name : {".inf", ".nan", "inf", "nan", "infinity"}) {
      if (word == name) return {{}, "a finite number", ""};
    }
    return {{}, "a number", ""};
  }
  if (has_leading_zero(text)) {
    return {{}, "a number", fmt::format("write {}: a leading zero means octal to some", without_leading_zeros(text))};
  }
  double value = 0;
  if (convert(without_plus(text), value) != std::errc()) {
    return {{}, "a number that a double can hold (2.2e-308 to 1.8e308)", ""};
  }
  return {value, "", ""};
}

ParsedScalar<bool> parse_boolean(std::string_view text) {
  const std::string word = lower(text);
  if (word == "true") return {true, "", ""};
  if (word == "false") return {false, "", ""};
  for (const char* yes : {"yes", "on", "y", "1"}) {
    if (word == yes) return {{}, "true or false", "write true"};
  }
  for (const char* no : {"no", "off", "n", "0"}) {
    if (word == no) return {{}, "true or false", "write false"};
  }
  return {{}, "true or false", ""};
}

std::string written_number(double value) {
  if (!std::isfinite(value)) throw std::logic_error("a config holds a number that is not finite");
  std::array<char, 64> buffer;
  const auto print = [&](std::chars_format format) {
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, format).ptr;
    return std::string(buffer.data(), end);
  };
  std::string text = print(std::chars_format::scientific);
  const size_t e = text.find('e');
  const int exponent = std::atoi(text.c_str() + e + 1);
  if (exponent >= -4 && exponent < 16) {  // as Python prints them
    text = print(std::chars_format::fixed);
    return text.find('.') == std::string::npos ? text + ".0" : text;
  }
  if (text.find('.') == std::string::npos) text.insert(e, ".0");  // YAML 1.1 takes 1e-05 for text
  return text;
}

std::string written_text(const std::string& value) {
  static constexpr std::array kWords{"null", "true", "false", "yes", "no", "on", "off", "y", "n", ".inf", ".nan"};
  const auto plain = [](char c) { return is_letter(c) || is_digit(c) || is_one_of(c, "_./+-@=,~"); };
  const auto numeric = [](char c) { return is_digit(c) || is_one_of(c, "+-.:_eExXoOabcdfABCDFTtZz "); };

  bool bare = !value.empty() &&
              (is_letter(value[0]) || is_digit(value[0]) || value[0] == '_' || value[0] == '/' || value[0] == '.');
  for (size_t i = 0; bare && i < value.size(); ++i) {
    const char c = value[i];
    const bool inner = i > 0 && i + 1 < value.size();
    const bool colon = c == ':' && inner && value[i + 1] != ' ';  // cuda:1
    const bool space = c == ' ' && inner && value[i + 1] != ' ';
    bare = plain(c) || colon || space;
  }
  if (bare && std::ranges::find(kWords, lower(value)) != kWords.end()) bare = false;
  if (bare && !is_letter(value[0]) && std::ranges::all_of(value, numeric)) bare = false;  // numbers, dates, times
  if (bare) return value;

  std::string out = "\"";
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string clipped(std::string_view text, size_t longest) {
  std::string out(text.substr(0, longest));
  if (text.size() > longest) {
    while (!out.empty() && (static_cast<unsigned char>(text[out.size()]) & 0xc0) == 0x80) out.pop_back();  // UTF-8
    out += "...";
  }
  for (char& c : out) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) c = '?';
  }
  return out;
}

std::string describe_range(const Range& range) {
  if (*range.words) return range.words;
  std::string words;
  if (range.min > -std::numeric_limits<double>::infinity()) {
    words = fmt::format("{} {}", range.min_open ? "above" : "at least", range.min);
  }
  if (range.max < std::numeric_limits<double>::infinity()) {
    words += fmt::format("{}{} {}", words.empty() ? "" : " and ", range.max_open ? "below" : "at most", range.max);
  }
  return words;
}

std::string joined(std::span<const std::string> names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

}  // namespace genzoo
