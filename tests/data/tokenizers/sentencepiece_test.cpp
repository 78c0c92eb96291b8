// SentencePiece's models against its own library (tests/reference/sentencepiece.py).
#include "data/tokenizers/sentencepiece.h"

#include "core/error.h"
#include "core/file.h"
#include "data/tokenizers/pipeline.h"
#include "data/tokenizers/precompiled.h"
#include "data/tokenizers/protobuf.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using Catch::Matchers::Contains;

struct Case {
  std::string name, model;
  SortedJson texts;
};

std::vector<Case> cases() {
  const SortedJson file =
      parse_sorted_json(read_file(GENZOO_SOURCE_DIR "/tests/reference/sentencepiece.json"), "reference");
  std::vector<Case> all;
  for (const SortedJson& each : file.at("models")) {
    all.push_back(
        {each.at("name").get<std::string>(), bytes_of_base64(each.at("model").get<std::string>()), each.at("texts")});
  }
  return all;
}

std::vector<int64_t> encoded(const Tokenizer& tokenizer, const std::string& text) {
  const Tensor tokens = tokenizer.encode(text);
  return {tokens.const_data_ptr<int64_t>(), tokens.const_data_ptr<int64_t>() + tokens.numel()};
}

/// A field of bytes, or of a number.
std::string field(int number, const std::string& bytes) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + bytes;
}
std::string field(int number, int value) { return {static_cast<char>(number << 3), static_cast<char>(value)}; }

}  // namespace

TEST_CASE("SentencePiece's models encode and decode as its library does", "[data][tokenizers]") {
  const TempDir folder;
  int read = 0;
  for (const Case& each : cases()) {
    if (each.name == "words") continue;
    INFO(each.name);
    write_file_whole(folder / "tokenizer.model", each.model);
    const auto tokenizer = open_tokenizer(folder.path());
    const auto again = tokenizer_from_json(tokenizer->to_json());
    CHECK(again->to_json() == tokenizer->to_json());
    for (const SortedJson& example : each.texts) {
      const auto text = example.at("text").get<std::string>();
      INFO(text);
      CHECK(encoded(*tokenizer, text) == example.at("ids").get<std::vector<int64_t>>());
      CHECK(encoded(*again, text) == encoded(*tokenizer, text));
      const SortedJson& decoded = example.at("decoded");
      if (!decoded.is_null()) CHECK(tokenizer->decode(tokenizer->encode(text)) == decoded.get<std::string>());
    }
    ++read;
  }
  CHECK(read == 6);
}

TEST_CASE("control symbols of SentencePiece's models are special tokens", "[data][tokenizers]") {
  const auto tokenizer = pipeline_from_json(json_of_sentencepiece(cases().at(0).model));
  CHECK(tokenizer->find("<s>") == 1);
  CHECK(tokenizer->is_special(1));
  CHECK_FALSE(tokenizer->is_special(0));
  CHECK(encoded(*tokenizer, "<s>").at(0) == 1);
}

TEST_CASE("a SentencePiece model that is damaged or not supported is refused in one line", "[data][tokenizers]") {
  const std::string piece = field(1, field(1, "a"));
  const auto error_of = [](const std::string& model) {
    try {
      json_of_sentencepiece(model);
    } catch (const RunError& error) {
      return std::string(error.what());
    }
    return std::string("read");
  };
  CHECK(error_of(piece) == "read");
  CHECK_THAT(error_of(cases().back().model), Contains("of type 3 (word), wanted unigram or bpe"));
  CHECK_THAT(error_of(""), Contains("the model has no pieces"));
  CHECK_THAT(error_of("hello world"), Contains("is damaged"));
  CHECK_THAT(error_of("IQ== 0\nIg== 1\n"), Contains("is damaged"));  // tiktoken's file of the same name
  CHECK_THAT(error_of(field(1, field(1, ""))), Contains("piece 0: no text"));
  CHECK_THAT(error_of(field(1, field(1, "\xff"))), Contains("piece 0: no text"));
  CHECK_THAT(error_of(field(1, field(1, "a") + field(3, 9))), Contains("piece 0: type 9, wanted 1 to 6"));
  CHECK_THAT(error_of(field(1, field(1, "a") + field(2, 9))), Contains("field 2 has wire type 0, wanted a float"));
  CHECK_THAT(error_of(piece + field(3, field(2, "ab"))), Contains("precompiled_charsmap is damaged"));
  CHECK_THAT(error_of(piece + field(3, field(5, 0))), Contains("not escaped, is not supported"));
  CHECK_THAT(error_of(piece + piece + field(2, field(3, 2))), Contains("\"a\" stands twice"));
  // Cut anywhere, it is damaged, or ends where a piece does.
  const std::string whole = cases().at(2).model;
  for (size_t size = 0; size < whole.size(); ++size) {
    const std::string message = error_of(whole.substr(0, size));
    CHECK((message == "read" || message.find("damaged") != message.npos));
  }
}

TEST_CASE("numbers of protocol buffers have at most 64 bits", "[data][tokenizers]") {
  const auto value_of = [](const std::string& bytes) { return ProtobufReader(bytes).next()->value; };
  CHECK(value_of("\x08\x96\x01") == 150);  // the documentation's example
  CHECK(value_of("\x08" + std::string(9, '\xff') + "\x01") == ~uint64_t{0});
  CHECK_THROWS_WITH(value_of("\x08" + std::string(9, '\xff') + "\x02"), Contains("more than 64 bits"));
  CHECK_THROWS_WITH(value_of("\x08" + std::string(12, '\xff')), Contains("more than 64 bits"));
  CHECK_THROWS_WITH(value_of("\x0b"), Contains("wire type 3"));  // a group
  CHECK_THROWS_WITH(value_of(std::string("\x00\x01", 2)), Contains("a field with the number 0"));
  CHECK_THROWS_WITH(value_of("\x0a\x05"
                             "abc"),
                    Contains("5 bytes are wanted where 3 are left"));
  CHECK_FALSE(ProtobufReader("").next());
}

}  // namespace genzoo
