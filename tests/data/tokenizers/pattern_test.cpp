#include "data/tokenizers/pattern.h"

#include <vector>

#include "core/error.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using Catch::Matchers::Contains;
using Parts = std::vector<std::string>;

/// Matches in brackets, and what lies between them.
Parts parts_of(const std::string& expression, const std::string& text) {
  Parts parts;
  split(Pattern(expression), text, [&](std::string_view part, bool matched) {
    parts.push_back(matched ? "[" + std::string(part) + "]" : std::string(part));
  });
  return parts;
}

}  // namespace

TEST_CASE("a pattern cuts a text into matches and what lies between", "[data][tokenizers]") {
  CHECK(parts_of("b+", "abbcb") == Parts{"a", "[bb]", "c", "[b]"});
  CHECK(parts_of("x", "abc") == Parts{"abc"});
  CHECK(parts_of("x", "").empty());
  CHECK(parts_of("b*", "abba") == Parts{"a", "[bb]", "a"});
  CHECK(parts_of("(?=(\\d{3})+(?!\\d))", "1234567") == Parts{"1", "234", "567"});  // empty matches cut
  CHECK(parts_of("^ +", "a\n  b") == Parts{"a\n", "[  ]", "b"});                   // lines, as in Oniguruma
  CHECK(parts_of("\\p{L}+(?!\\S)", "\xc3\xa9t\xc3\xa9 x1") == Parts{"[\xc3\xa9t\xc3\xa9]", " x1"});
}

TEST_CASE("white space is Unicode's, in brackets and outside", "[data][tokenizers]") {
  const std::string no_break = "\xc2\xa0", ideographic = "\xe3\x80\x80", next_line = "\xc2\x85";
  const std::string vowel_separator = "\xe1\xa0\x8e";  // U+180E was a space before Unicode 6.3
  CHECK(parts_of("\\s", "a" + no_break + "b" + ideographic + "c" + next_line + "d") ==
        Parts{"a", "[" + no_break + "]", "b", "[" + ideographic + "]", "c", "[" + next_line + "]", "d"});
  CHECK(parts_of("\\s+", vowel_separator) == Parts{vowel_separator});
  CHECK(parts_of("[^\\s]+", "a" + no_break + vowel_separator) == Parts{"[a]", no_break, "[" + vowel_separator + "]"});
  CHECK(parts_of("\\S+", no_break + "ab\t") == Parts{no_break, "[ab]", "\t"});
  CHECK(parts_of("\\\\s", "\\s s") == Parts{"[\\s]", " s"});    // an escaped backslash before an s
  CHECK(parts_of("\\Q\\s\\E", "a\\s") == Parts{"a", "[\\s]"});  // quoted
}

TEST_CASE("letters and digits are Unicode's", "[data][tokenizers]") {
  CHECK(parts_of("\\w+", "\xc3\xa9t\xc3\xa9-2") == Parts{"[\xc3\xa9t\xc3\xa9]", "-", "[2]"});
  CHECK(parts_of("(?i:\xc3\xa9)", "\xc3\x89") == Parts{"[\xc3\x89]"});
}

TEST_CASE("bytes that are no UTF-8 are in no match", "[data][tokenizers]") {
  CHECK(parts_of("\\w+",
                 "ab\xff"
                 "cd\xc3") == Parts{"[ab]", "\xff", "[cd]", "\xc3"});
  CHECK(parts_of(".", "\xed\xa0\x80") == Parts{"\xed\xa0\x80"});  // a surrogate
}

TEST_CASE("a quoted text matches itself and nothing else", "[data][tokenizers]") {
  for (const std::string text : {"<|endoftext|>", "a.b*c?(d)[e]{f}^$\\", "\xc3\xa9 \n", "#x"}) {
    INFO(text);
    CHECK(parts_of(Pattern::quoted(text), "." + text + ".") == Parts{".", "[" + text + "]", "."});
  }
}

TEST_CASE("brackets are read as Oniguruma reads them, or refused", "[data][tokenizers]") {
  CHECK(parts_of("[[:alpha:]\\s]+", "ab cd1") == Parts{"[ab cd]", "1"});
  CHECK(parts_of("[]\\s]+", "a] b") == Parts{"a", "[] ]", "b"});
  CHECK(parts_of("[^]\\s]+", "a] b") == Parts{"[a]", "] ", "[b]"});
  CHECK(parts_of("[\\s-.]+", "a-. b") == Parts{"a", "[-. ]", "b"});
  for (const char* other : {"[a-z&&[^aeiou]]", "[[a-z][0-9]]", "\\h+", "(?m)a.b", "[\\S]"}) {
    INFO(other);
    CHECK_THROWS_WITH(Pattern(other), Contains("is not supported"));
  }
}

TEST_CASE("a pattern that cannot be read is refused with the place", "[data][tokenizers]") {
  CHECK_THROWS_AS(Pattern("a("), RunError);
  CHECK_THROWS_WITH(Pattern("ab(c"), Contains("\"ab(c\" cannot be read") && Contains("parenthes"));
}

}  // namespace genzoo
