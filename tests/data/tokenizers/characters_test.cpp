#include "core/error.h"
#include "data/tokenizers/tokenizer.h"
#include "data/tokenizers/utf8.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using Catch::Matchers::Contains;

std::string all_bytes() {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  return bytes;
}

}  // namespace

TEST_CASE("UTF-8 is read strictly and written back", "[data]") {
  // The first and last code point of every length, and those around the surrogates (RFC 3629).
  for (const uint32_t c : {0x00U, 0x7fU, 0x80U, 0x7ffU, 0x800U, 0xd7ffU, 0xe000U, 0xffffU, 0x10000U, 0x10ffffU}) {
    std::string text = "x";
    append_utf8(text, c);
    const CodePoint read = decode_utf8(text, 1);
    CHECK(read.value == c);
    CHECK(read.bytes == static_cast<int>(text.size()) - 1);
    // Cut short it is nothing.
    if (read.bytes > 1) CHECK(decode_utf8(text.substr(0, text.size() - 1), 1).bytes == 0);
  }
  CHECK(decode_utf8("\x80", 0).bytes == 0);              // a continuation without its lead
  CHECK(decode_utf8("\xc0\x80", 0).bytes == 0);          // overlong NUL
  CHECK(decode_utf8("\xe0\x9f\xbf", 0).bytes == 0);      // overlong
  CHECK(decode_utf8("\xf0\x8f\xbf\xbf", 0).bytes == 0);  // overlong
  CHECK(decode_utf8("\xed\xa0\x80", 0).bytes == 0);      // a surrogate
  CHECK(decode_utf8("\xf4\x90\x80\x80", 0).bytes == 0);  // beyond U+10FFFF
  CHECK(decode_utf8("\xc3(", 0).bytes == 0);             // no continuation
  CHECK(decode_utf8("\xff", 0).bytes == 0);
}

TEST_CASE("characters: code points in ascending order, there and back", "[data]") {
  const std::string text =
      "b\xc3\xa9"
      "a\n\xe2\x82\xac"
      "ab\xf0\x9f\x98\x80";  // b, U+E9, a, newline, U+20AC, a, b, U+1F600
  const auto tokenizer = Tokenizer::characters_of(text);
  CHECK(tokenizer->vocabulary() == 6);
  CHECK(tokenizer->unit() == "char");
  CHECK(torch::equal(tokenizer->encode(text), torch::tensor({2, 3, 1, 0, 4, 1, 2, 5}, torch::kLong)));
  CHECK(tokenizer->decode(tokenizer->encode(text)) == text);
  CHECK(tokenizer->encode("").numel() == 0);
  CHECK(tokenizer->decode(torch::empty({0}, torch::kLong)).empty());

  const auto again = tokenizer_from_json(tokenizer->to_json());
  CHECK(again->to_json() == tokenizer->to_json());
  CHECK(torch::equal(again->encode(text), tokenizer->encode(text)));
}

TEST_CASE("bytes: any bytes at all, there and back", "[data]") {
  const auto tokenizer = Tokenizer::bytes();
  const std::string text = all_bytes() + "\xff\xfe\xed\xa0\x80" + all_bytes();  // no UTF-8
  CHECK(tokenizer->vocabulary() == 256);
  CHECK(tokenizer->unit() == "byte");
  CHECK(tokenizer->encode("\xff")[0].item<int64_t>() == 255);
  CHECK(tokenizer->decode(tokenizer->encode(text)) == text);
  CHECK(tokenizer_from_json(tokenizer->to_json())->unit() == "byte");
}

TEST_CASE("what has no token is named", "[data]") {
  const auto tokenizer = Tokenizer::characters_of("abc");
  CHECK_THROWS_AS(tokenizer->encode("ab\xc3\xa9"), UsageError);
  CHECK_THROWS_WITH(tokenizer->encode("ab\xc3\xa9"),
                    Contains("the character '\xc3\xa9' (U+00E9) at byte 2 is not among the 3"));
  CHECK_THROWS_WITH(tokenizer->encode("a\xff"), Contains("byte 0xff at position 1 is not UTF-8"));
  CHECK_THROWS_AS(Tokenizer::characters_of("a\xff"), RunError);
  CHECK_THROWS_AS(tokenizer->decode(torch::tensor({0, 3}, torch::kLong)), RunError);
  CHECK_THROWS_WITH(tokenizer->decode(torch::tensor({0, -1}, torch::kLong)), Contains("token -1, wanted 0 to 2"));
  for (const char* damaged : {"", "{", "[]", "{}", R"({"type":"words"})", R"({"type":"characters"})",
                              R"({"type":"characters","characters":7})", R"({"type":7})"}) {
    INFO(damaged);
    CHECK_THROWS_AS(tokenizer_from_json(damaged), RunError);
  }
}

}  // namespace genzoo
