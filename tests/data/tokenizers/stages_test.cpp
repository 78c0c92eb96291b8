// Normalizers, decoders, post-processors and models of pieces against Hugging Face's `tokenizers`
// (tests/reference/tokenizers.py), and what is refused of them.
#include <algorithm>
#include <cstdlib>

#include "core/error.h"
#include "core/file.h"
#include "data/tokenizers/decoder.h"
#include "data/tokenizers/normalizer.h"
#include "data/tokenizers/pipeline.h"
#include "data/tokenizers/precompiled.h"
#include "data/tokenizers/unicode.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using Catch::Matchers::Contains;

const SortedJson& reference() {
  static const SortedJson file =
      parse_sorted_json(read_file(GENZOO_SOURCE_DIR "/tests/reference/tokenizers.json"), "reference");
  return file;
}

/// The whole file of the case `name`.
SortedJson file_of(const std::string& name) {
  const SortedJson& all = reference().at("encoded");
  const auto found = std::ranges::find_if(all, [&](const SortedJson& each) { return each.at("name") == name; });
  REQUIRE(found != all.end());
  SortedJson file = reference().at("tokenizer");
  file.update(found->at("tokenizer"));
  return file;
}

std::vector<int64_t> numbers(const Tensor& tokens) {
  return {tokens.const_data_ptr<int64_t>(), tokens.const_data_ptr<int64_t>() + tokens.numel()};
}

std::vector<int64_t> encoded(const Tokenizer& tokenizer, const std::string& text) {
  return numbers(tokenizer.encode(text));
}

template <class F>
std::string message_of(const F& action) {
  try {
    action();
  } catch (const RunError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("texts are normalized as by `tokenizers`", "[data][tokenizers]") {
  const auto originals = reference().at("texts").get<std::vector<std::string>>();
  for (const SortedJson& each : reference().at("normalized")) {
    INFO(each.at("normalizer").dump());
    const Normalizer normalizer = make_normalizer(each.at("normalizer"));
    for (size_t i = 0; i < originals.size(); ++i) {
      INFO(originals[i]);
      CHECK(normalizer(originals[i]) == each.at("texts")[i].get<std::string>());
    }
  }
}

TEST_CASE("what is written of a tokenizer is read by `tokenizers`, to the same tokens", "[data][tokenizers]") {
  const char* given = std::getenv("GENZOO_PYTHON");
  const std::string python = given ? given : "python3";
  if (std::system(("'" + python + "' -c 'import tokenizers' 2>/dev/null").c_str()) != 0) {
    SKIP("no Python with the package tokenizers; GENZOO_PYTHON names one");
  }
  const TempDir folder;
  const SortedJson& all = reference().at("encoded");
  for (size_t i = 0; i < all.size(); ++i) {
    SortedJson file = reference().at("tokenizer");
    file.update(all[i].at("tokenizer"));
    write_file_whole(folder / (std::to_string(i) + ".json"), pipeline_from_json(file)->to_json());
  }
  const std::string script = GENZOO_SOURCE_DIR "/tests/reference/tokenizers.py";
  const std::string out = (folder / "out").string();
  const int status = std::system(
      ("'" + python + "' '" + script + "' --read '" + folder.path().string() + "' > '" + out + "' 2>&1").c_str());
  INFO(read_file(out));
  CHECK(status == 0);
}

TEST_CASE("bytes that are no UTF-8 stay when a text is normalized", "[data][tokenizers]") {
  const std::string stray = "\xc3(A\xcc\x81\xff\xed\xa0\x80";
  CHECK(to_normal_form(stray, NormalForm::nfc) == "\xc3(\xc3\x81\xff\xed\xa0\x80");
  CHECK(make_normalizer({{"type", "Lowercase"}})(stray) == "\xc3(a\xcc\x81\xff\xed\xa0\x80");
  CHECK(make_normalizer({{"type", "BertNormalizer"}})(stray) == "\xc3(a\xff\xed\xa0\x80");
  CHECK(make_normalizer({{"type", "Strip"}})(" \xff ") == "\xff");
}

TEST_CASE("grapheme clusters end where Unicode says", "[data][tokenizers]") {
  const std::string family = "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9";  // two, joined
  CHECK(end_of_grapheme(family + "a", 0) == family.size());
  CHECK(end_of_grapheme("\r\n\n", 0) == 2);
  CHECK(end_of_grapheme("a\xcc\x81\xcc\xa3"
                        "b",
                        0) == 5);
  CHECK(end_of_grapheme("ab", 1) == 2);
  CHECK(end_of_grapheme("\xff\xcc\x81", 0) == 1);
}

TEST_CASE("base64 is read and written", "[data][tokenizers]") {
  for (const auto& [bytes, text] : std::vector<std::pair<std::string, std::string>>{
           {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"\xfb\xff", "+/8="}}) {
    CHECK(base64_of(bytes) == text);
    CHECK(bytes_of_base64(text) == bytes);
  }
  for (const char* wrong : {"Zg=", "Zg", "Z===", "Z-==", "Zg==Zg=="}) {
    INFO(wrong);
    CHECK_THROWS_AS(bytes_of_base64(wrong), RunError);
  }
}

TEST_CASE("rules of normalization that are damaged are refused", "[data][tokenizers]") {
  const auto map = [](std::vector<uint32_t> units, const std::string& texts) {
    if (units.size() > 2) units.resize(256);  // a block, in which all children of a unit lie
    std::string bytes(4 + 4 * units.size(), '\0');
    const auto size = static_cast<uint32_t>(4 * units.size());
    std::copy_n(reinterpret_cast<const char*>(&size), 4, bytes.begin());
    std::copy_n(reinterpret_cast<const char*>(units.data()), 4 * units.size(), bytes.begin() + 4);
    return bytes + texts;
  };
  CHECK_THROWS_WITH(PrecompiledRules("ab"), Contains("precompiled_charsmap is damaged"));
  CHECK_THROWS_WITH(PrecompiledRules(map({}, "")), Contains("a trie of 0 bytes"));
  CHECK_THROWS_WITH(PrecompiledRules(map({1, 2}, "").substr(0, 9)), Contains("a trie of 8 bytes within 9"));
  CHECK_THROWS_WITH(PrecompiledRules(map({0x3ff << 10}, "")).apply("a"), Contains("leads out of itself"));
  // One rule, of "\1": its unit is at 1, with a leaf at 1 ^ 2 = 3, whose text would begin at 5.
  CHECK_THROWS_WITH(PrecompiledRules(map({0, 1U | 1U << 8 | 2U << 10, 0, 0x80000005}, "abc")).apply("\1"),
                    Contains("a text beyond its end"));
  CHECK(PrecompiledRules(map({0, 1U | 1U << 8 | 2U << 10, 0, 0x80000001}, std::string("abc\0d", 5))).apply("x\1y") ==
        "xbcy");
}

TEST_CASE("whole texts get what surrounds them, as by `tokenizers`", "[data][tokenizers]") {
  for (const SortedJson& each : reference().at("whole")) {
    INFO(each.dump());
    const auto tokenizer = pipeline_from_json(file_of(each.at("name").get<std::string>()));
    const Tensor first = tokenizer->encode(each.at("first").get<std::string>());
    const SortedJson& other = each.at("second");
    const WholeText whole =
        tokenizer->whole(first, other.is_null() ? Tensor() : tokenizer->encode(other.get<std::string>()));
    CHECK(numbers(whole.tokens) == each.at("ids").get<std::vector<int64_t>>());
    CHECK(numbers(whole.types) == each.at("types").get<std::vector<int64_t>>());
  }
  const auto plain = Tokenizer::bytes();
  const WholeText two = plain->whole(plain->encode("a"), plain->encode("bc"));
  CHECK(numbers(two.tokens) == std::vector<int64_t>{97, 98, 99});
  CHECK(numbers(two.types) == std::vector<int64_t>{0, 1, 1});
}

TEST_CASE("special tokens are found by name and told from text", "[data][tokenizers]") {
  const auto tokenizer = pipeline_from_json(file_of("BERT, uncased"));
  CHECK(tokenizer->find("[MASK]") == 4);
  CHECK(tokenizer->find("light").has_value());
  CHECK_FALSE(tokenizer->find("[GAP]"));
  CHECK_FALSE(tokenizer->find(""));
  CHECK(tokenizer->is_special(4));
  CHECK_FALSE(tokenizer->is_special(*tokenizer->find("light")));
  CHECK_THROWS_AS(tokenizer->is_special(tokenizer->vocabulary()), RunError);
  const auto spaces = pipeline_from_json(file_of("GPT-NeoX"));
  CHECK_FALSE(spaces->is_special(spaces->find("    ").value()));  // added, and text
  CHECK_FALSE(Tokenizer::bytes()->find("a"));
  CHECK_FALSE(Tokenizer::bytes()->is_special(97));
}

TEST_CASE("a text of one unknown token after another is not lost in silence", "[data][tokenizers]") {
  SortedJson file = file_of("words");
  CHECK(encoded(*pipeline_from_json(file), "the \xe4\xbd\xa0 x") == std::vector<int64_t>{1, 0, 10});
  file["model"]["vocab"].erase("<unk>");
  const auto without = pipeline_from_json(file);
  CHECK(encoded(*without, "the x") == std::vector<int64_t>{1, 10});
  CHECK_THROWS_WITH(without->encode("the y"), Contains("'y' has no token, and the vocabulary no unk_token \"<unk>\""));
  SortedJson unigram = file_of("T5");
  unigram["model"]["unk_id"] = nullptr;
  CHECK_THROWS_WITH(pipeline_from_json(unigram)->encode("the \xe4\xbd\xa0"), Contains("has no token"));
}

TEST_CASE("the texts of bytes that fell back are put together, whether UTF-8 or not", "[data][tokenizers]") {
  const auto tokenizer = pipeline_from_json(file_of("LLaMA, legacy"));
  for (const std::string text : {"the \xff\xfe light", "\xf0\x9f\x98\x80", "\xed\xa0\x80 \xc3"}) {
    INFO(text);
    CHECK(tokenizer->decode(tokenizer->encode(text)) == text);
  }
}

TEST_CASE("stages that are damaged or not known are refused in one line", "[data][tokenizers]") {
  const auto error_of = [](const std::string& name, const char* path, const SortedJson& value) {
    SortedJson file = file_of(name);
    file[SortedJson::json_pointer(path)] = value;
    return message_of([&] { pipeline_from_json(file); });
  };
  CHECK_THAT(error_of("T5", "/normalizer", {{"type", "NFE"}}), Contains("a normalizer of type \"NFE\" is not known"));
  CHECK_THAT(error_of("T5", "/normalizer", {{"type", "Precompiled"}, {"precompiled_charsmap", "AAAA"}}),
             Contains("precompiled_charsmap is damaged: 3 bytes"));
  CHECK_THAT(error_of("T5", "/normalizer", {{"type", "Prepend"}}), Contains("normalizer: \"prepend\" is missing"));
  CHECK_THAT(error_of("T5", "/normalizer", {{"type", "Replace"}, {"pattern", {{"String", ""}}}, {"content", "x"}}),
             Contains("nothing to replace"));
  CHECK_THAT(error_of("T5", "/pre_tokenizer/replacement", "ab"), Contains("replacement \"ab\", wanted one character"));
  CHECK_THAT(error_of("T5", "/pre_tokenizer/prepend_scheme", "last"), Contains("prepend_scheme \"last\""));
  CHECK_THAT(error_of("T5", "/decoder", {{"type", "CTC"}}), Contains("a decoder of type \"CTC\" is not known"));
  CHECK_THAT(error_of("T5", "/decoder", {{"type", "Strip"}, {"content", " "}, {"start", -1}, {"stop", 0}}),
             Contains("\"start\": -1, wanted how many"));
  CHECK_THAT(error_of("T5", "/model/unk_id", 100000), Contains("unk_id 100000, wanted 0 to"));
  CHECK_THAT(error_of("T5", "/model/vocab/0", {"a"}), Contains("wanted a token and its score"));
  CHECK_THAT(error_of("T5", "/model/vocab", SortedJson::array()), Contains("unk_id 2"));
  CHECK_THAT(error_of("BERT, uncased", "/model/max_input_chars_per_word", -3), Contains("max_input_chars_per_word -3"));
  CHECK_THAT(error_of("BERT, uncased", "/model/continuing_subword_prefix", nullptr), Contains("continuing_subword"));
  CHECK_THAT(error_of("BERT, uncased", "/post_processor/special_tokens/[CLS]/ids", {5000}),
             Contains("the token 5000 of \"[CLS]\", wanted 0 to"));
  CHECK_THAT(error_of("BERT, uncased", "/post_processor/single/0/SpecialToken/id", "[GAP]"),
             Contains("the special token \"[GAP]\" of \"single\" is not among its special_tokens"));
  CHECK_THAT(error_of("BERT, uncased", "/post_processor/pair/1/Sequence/id", "B"),
             Contains("\"pair\", wanted the sequences A and B"));
  CHECK_THAT(error_of("BERT, cased", "/post_processor/sep", {"[SEP]"}), Contains("wanted a token and its index"));
  CHECK_THAT(error_of("BERT, cased", "/post_processor/type", "Chat"),
             Contains("a post_processor of type \"Chat\" is not known"));
  CHECK_THAT(error_of("T5", "/post_processor/processors/0", file_of("BERT, uncased").at("post_processor")),
             Contains("in which two add tokens"));
}

}  // namespace genzoo
