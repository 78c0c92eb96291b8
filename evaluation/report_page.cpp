#include "evaluation/report_page.h"

#include <fmt/format.h>

#include <functional>
#include <stdexcept>

namespace genzoo {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

/// Bytes of the UTF-8 character at the beginning of `text`; 0 when there is none.
size_t character_size(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  const size_t size = first < 0x80                    ? 1
                      : first >= 0xC2 && first < 0xE0 ? 2
                      : first >= 0xE0 && first < 0xF0 ? 3
                      : first >= 0xF0 && first < 0xF5 ? 4
                                                      : 0;
  if (size == 0 || size > text.size()) return 0;
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, beyond U+10FFFF.
  if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F) || (first == 0xF0 && byte(1) < 0x90) ||
      (first == 0xF4 && byte(1) > 0x8F)) {
    return 0;
  }
  return size;
}

bool is_control(char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7F; }

using Values = std::map<std::string, std::string, std::less<>>;

/// Fills `page` up to its end, or up to the end of the part `part`; takes what it used off the front of `page`.
std::string fill_part(std::string_view& page, const Values& values, std::string_view part) {
  std::string text;
  while (true) {
    const size_t open = page.find("{{"), close = page.find("}}", open == std::string_view::npos ? page.size() : open);
    if (close == std::string_view::npos) {
      if (!part.empty()) throw std::logic_error(fmt::format("evaluation/report_page: no {{{{/{}}}}}", part));
      return text.append(page);
    }
    text.append(page.substr(0, open));
    std::string_view name = page.substr(open + 2, close - open - 2);
    page.remove_prefix(close + 2);
    const char sign = name.starts_with('#') || name.starts_with('/') ? name[0] : ' ';
    if (sign != ' ') name.remove_prefix(1);
    if (sign == '/') {
      if (name != part) throw std::logic_error(fmt::format("evaluation/report_page: a stray {{{{/{}}}}}", name));
      return text;
    }
    const auto value = values.find(name);
    if (value == values.end()) throw std::logic_error(fmt::format("evaluation/report_page: no value of {}", name));
    if (sign == ' ') {
      text.append(value->second);
    } else {
      const std::string inside = fill_part(page, values, name);
      if (!value->second.empty()) text.append(inside);
    }
  }
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string escaped;
  while (!text.empty()) {
    const size_t size = character_size(text);
    const std::string_view character = text.substr(0, std::max<size_t>(size, 1));
    text.remove_prefix(character.size());
    if (size == 0 || is_control(character[0])) {
      escaped += kReplacement;
    } else if (character == "&") {
      escaped += "&amp;";
    } else if (character == "<") {
      escaped += "&lt;";
    } else if (character == ">") {
      escaped += "&gt;";
    } else if (character == "\"") {
      escaped += "&quot;";
    } else if (character == "'") {
      escaped += "&#39;";
    } else {
      escaped += character;
    }
  }
  return escaped;
}

std::string json_for_script(const Json& data) {
  // Within <script> only `<` can do harm, and in JSON it stands in texts alone.
  const std::string text = data.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string safe;
  for (const char c : text) safe += c == '<' ? "\\u003c" : std::string(1, c);
  return safe;
}

std::string fill_page(std::string_view page, const Values& values) { return fill_part(page, values, ""); }

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    for (size_t j = 0; j < 3; ++j) group = group << 8 | (j < count ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    for (size_t digit = 0; digit < 4; ++digit) {
      text += digit <= count ? kDigits[group >> (18 - 6 * digit) & 63] : '=';
    }
  }
  return text;
}

}  // namespace genzoo
