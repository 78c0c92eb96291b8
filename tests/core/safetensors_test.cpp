#include "core/safetensors.h"

#include <fstream>

#include "core/error.h"
#include "core/file.h"
#include "tests/support.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

/// A file of these parts, whatever they are.
std::string file_of(const std::string& header, const std::string& data = "") {
  std::string bytes(8, '\0');
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(header.size() >> (8 * i));
  return bytes + header + data;
}

TensorFile read_bytes(const std::string& bytes) {
  const TempDir dir;
  write_file_whole(dir / "x.safetensors", bytes);
  return read_safetensors(dir / "x.safetensors");
}

/// The reason for which a file is refused; empty when it is not.
std::string refusal(const std::string& bytes) {
  // Without the fsync of write_file_whole: thousands of files are refused here.
  static const TempDir dir;
  const fs::path path = dir / "x.safetensors";
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  std::string reason;
  try {
    read_safetensors_header(path);
    read_safetensors(path);
  } catch (const RunError& error) {
    reason = error.what();
    CHECK_THAT(reason, Contains(path.string()));
    CHECK(reason.find('\n') == std::string::npos);
  }
  return reason;
}

const std::string kTwoTensors = R"({"__metadata__":{"k":"v"},"b":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},)"
                                R"("a":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}})";
const std::string kTwoData("\x00\x00\x80\x3f\x00\x00\x00\xc0\x01\x02\x03", 11);  // 1.0, -2.0; 1, 2, 3

TEST_CASE("a safetensors file is written in exactly these bytes", "[core]") {
  const TempDir dir;
  write_safetensors(dir / "x", {{"a", torch::tensor({1, 2, 3}, torch::kUInt8)}, {"b", torch::tensor({{1.0F, -2.0F}})}},
                    {{"k", "v"}});
  // The larger elements first, the header filled up with spaces to a multiple of eight.
  CHECK(read_file(dir / "x") == file_of(kTwoTensors + std::string(8 - kTwoTensors.size() % 8, ' '), kTwoData));
  write_safetensors(dir / "none", {});
  CHECK(read_file(dir / "none") == file_of("{}      "));
}

TEST_CASE("a safetensors file is read from exactly these bytes", "[core]") {
  const TensorFile file = read_bytes(file_of(kTwoTensors, kTwoData));
  CHECK(file.metadata == Metadata{{"k", "v"}});
  REQUIRE(file.tensors.size() == 2);
  CHECK(file.tensors.at("a").equal(torch::tensor({1, 2, 3}, torch::kUInt8)));
  CHECK(file.tensors.at("b").equal(torch::tensor({{1.0F, -2.0F}})));
  CHECK(read_bytes(file_of("{}")).tensors.empty());
}

TEST_CASE("every dtype, shape and name survives a round trip", "[core]") {
  const TempDir dir;
  NamedTensors tensors;
  for (const auto dtype : {torch::kFloat64, torch::kFloat32, torch::kFloat16, torch::kBFloat16, torch::kInt64,
                           torch::kInt32, torch::kInt16, torch::kInt8, torch::kUInt8, torch::kBool}) {
    tensors[std::string("of ") + c10::toString(dtype)] = torch::arange(6).sub(2).to(dtype).view({2, 3});
  }
  for (const auto dtype : {torch::kUInt16, torch::kUInt32, torch::kUInt64}) {
    tensors[std::string("of ") + c10::toString(dtype)] = torch::arange(6).to(dtype);
  }
  tensors["scalar"] = torch::tensor(3.5);
  tensors["empty"] = torch::zeros({0, 4});
  tensors["transposed"] = torch::arange(6).view({2, 3}).t();
  tensors["needs a gradient"] = torch::ones({2}).requires_grad_();
  tensors["\xc3\xa9 \"quoted\" \\ \n /"] = torch::ones({1});
  tensors[""] = torch::ones({1});
  const Metadata metadata{{"config", "a: 1\nb: \"x\"\n"}, {"", ""}};
  for (const bool with_checksum : {false, true}) {
    write_safetensors(dir / "x", tensors, metadata, with_checksum);
    const TensorFile file = read_safetensors(dir / "x");
    REQUIRE(file.tensors.size() == tensors.size());
    for (const auto& [name, tensor] : tensors) {
      INFO(name);
      const Tensor& read = file.tensors.at(name);
      CHECK(read.scalar_type() == tensor.scalar_type());
      CHECK(read.sizes() == tensor.sizes());
      CHECK(read.to(torch::kDouble).equal(tensor.to(torch::kDouble)));
    }
    Metadata expected = metadata;
    if (with_checksum) expected["checksum"] = file.metadata.at("checksum");
    CHECK(file.metadata == expected);
    const TensorFileHeader header = read_safetensors_header(dir / "x");
    CHECK(header.metadata == expected);
    CHECK(header.tensors.at("transposed").shape == std::vector<int64_t>{3, 2});
    CHECK(header.tensors.at("of BFloat16").dtype == torch::kBFloat16);
  }
}

TEST_CASE("data lie aligned to their elements", "[core]") {
  const TempDir dir;
  write_safetensors(dir / "x", {{"a", torch::ones({3}, torch::kUInt8)},
                                {"b", torch::ones({3}, torch::kFloat64)},
                                {"c", torch::ones({3}, torch::kInt16)},
                                {"d", torch::ones({3}, torch::kFloat32)}});
  const std::string bytes = read_file(dir / "x");
  CHECK(static_cast<unsigned char>(bytes[0]) % 8 == 0);
  for (const std::string offsets : {"[0,24]", "[24,36]", "[36,42]", "[42,45]"}) CHECK_THAT(bytes, Contains(offsets));
}

TEST_CASE("a damaged header is refused for its reason", "[core]") {
  const auto one = [](const std::string& entry) { return file_of(R"({"a":)" + entry + "}", "0123"); };
  const auto two = [](const std::string& a, const std::string& b, const std::string& data) {
    return file_of(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)" + a +
                       R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)" + b + "}}",
                   data);
  };
  CHECK(refusal(one(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})")).empty());
  CHECK(refusal(two("[2,4]", "[0,2]", "0123")).empty());

  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "0 bytes, wanted at least 8"},
      {"1234567", "7 bytes, wanted at least 8"},
      {std::string(8, '\0'), "does not begin with '{'"},
      {std::string("\x10\0\0\0\0\0\0\0{}", 10), "a header of 16 bytes in a file of 10"},
      {std::string(8, '\xff') + "{}", "at most 100000000"},
      {std::string("\xf8\xff\xff\xff\xff\xff\xff\xff{}", 10), "at most 100000000"},
      {file_of(" {}"), "does not begin with '{'"},
      {file_of("[]"), "does not begin with '{'"},
      {file_of("\xef\xbb\xbf{}"), "does not begin with '{'"},
      {file_of("{}\n"), "does not end with '}' and spaces"},
      {file_of("{} x"), "does not end with '}' and spaces"},
      {file_of("{}{}"), "no JSON"},
      {file_of("{"), "does not end with '}'"},
      {file_of("{\"a}"), "no JSON"},
      {file_of(std::string("{}\0{}", 5)), "NUL"},
      {file_of(R"({"a\u0000b":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})"), "NUL"},
      {file_of("{\"\xff\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}"), "UTF-8"},
      {file_of(R"({"\ud800":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})"), "no JSON"},
      {file_of("{/**/}"), "no JSON"},
      {file_of(R"({"a":1})"), "'a' is a number"},
      {file_of(R"({"a":null})"), "'a' is null"},
      {file_of(R"({"a":true})"), "'a' is a boolean"},
      {file_of(R"({"a":"b"})"), "'a' is a string"},
      {file_of(R"({"a":[]})"), "'a' is an array"},
      {file_of(R"({"__metadata__":{"k":1}})"), "'k' in __metadata__ is a number"},
      {file_of(R"({"__metadata__":{"k":{}}})"), "'k' in __metadata__ is an object"},
      {file_of(R"({"__metadata__":{"k":"1","k":"2"}})"), "the key 'k' stands twice in __metadata__"},
      {file_of(R"({"__metadata__":{},"__metadata__":{}})"), "the key '__metadata__' stands twice"},
      {file_of(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
               R"("a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})"),
       "the key 'a' stands twice"},
      {one(R"({"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]})"), "the key 'dtype' stands twice of 'a'"},
      {one(R"({"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]})"), "the key 'shape' stands twice"},
      {one(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1})"), "the unknown key 'x' of 'a'"},
      {one(R"({"shape":[1],"data_offsets":[0,4]})"), "'dtype' is missing of 'a'"},
      {one(R"({"dtype":"F32","data_offsets":[0,4]})"), "'shape' is missing"},
      {one(R"({"dtype":"F32","shape":[1]})"), "'data_offsets' is missing"},
      {one(R"({"dtype":"F33","shape":[1],"data_offsets":[0,4]})"), "the dtype 'F33' of 'a' is none of the known"},
      {one(R"({"dtype":["F32"],"shape":[1],"data_offsets":[0,4]})"), "is an array"},
      {one(R"({"dtype":"F32","shape":{},"data_offsets":[0,4]})"), "is an object"},
      {one(R"({"dtype":"F32","shape":[[1]],"data_offsets":[0,4]})"), "is an array"},
      {one(R"({"dtype":"F32","shape":["1"],"data_offsets":[0,4]})"), "is a string"},
      {one(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})"), "-1 in 'shape' of 'a' is negative"},
      {one(R"({"dtype":"F32","shape":[-0],"data_offsets":[0,0]})"), "is negative"},
      {one(R"({"dtype":"F32","shape":[1.0],"data_offsets":[0,4]})"), "is not an integer"},
      {one(R"({"dtype":"F32","shape":[1e0],"data_offsets":[0,4]})"), "is not an integer"},
      {one(R"({"dtype":"F32","shape":[18446744073709551617],"data_offsets":[0,4]})"), "is not an integer of 64 bits"},
      {one(R"({"dtype":"F32","shape":[281474976710657],"data_offsets":[0,4]})"), "larger than 2^48"},
      {one(R"({"dtype":"F32","shape":[281474976710656,281474976710656],"data_offsets":[0,4]})"), "overflows"},
      {one(R"({"dtype":"F32","shape":[0,281474976710656,281474976710656],"data_offsets":[0,0]})"), "overflows"},
      {one(R"({"dtype":"F32","shape":[65536,65536,65536,65536],"data_offsets":[0,0]})"), "overflows"},
      {one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})"), "has 4 bytes, but its shape and dtype make 8"},
      {one(R"({"dtype":"F32","shape":[1],"data_offsets":[4,0]})"), "ends before it begins"},
      {one(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4,4]})"), "are not two numbers"},
      {one(R"({"dtype":"F32","shape":[1],"data_offsets":[4]})"), "are not two numbers"},
      {one(R"({"dtype":"U8","shape":[3],"data_offsets":[1,4]})"), "a hole"},
      {one(R"({"dtype":"U8","shape":[3],"data_offsets":[0,3]})"), "4 bytes of data, but its tensors make 3"},
      {one(R"({"dtype":"U8","shape":[5],"data_offsets":[0,5]})"), "4 bytes of data, but its tensors make 5"},
      {two("[0,2]", "[1,3]", "012"), "an overlap"},
      {two("[0,2]", "[0,2]", "01"), "an overlap"},
      {two("[0,2]", "[3,5]", "01234"), "a hole"},
      {file_of("{}", "x"), "1 bytes of data, but its tensors make 0"},
      {one(R"({"dtype":"BOOL","shape":[4],"data_offsets":[0,4]})"), "bytes other than 0 and 1"},
      {file_of(R"({"__metadata__":{"checksum":"md5:00"}})"), "does not begin with 'sha256:'"},
      {file_of("{" + std::string(200'000, ' ') + "\"a\":" + std::string(100'000, '[') + "}"), "is an array"},
      {one(R"({"dtype":"U8","shape":[)" + std::string(200, '1').replace(1, 1, ",") + "],\"data_offsets\":[0,4]}"),
       "is not an integer of 64 bits"},
  };
  for (const auto& [bytes, reason] : cases) {
    INFO(bytes.substr(0, 120));
    CHECK_THAT(refusal(bytes), Contains(reason));
  }
  std::string ones = "1";
  for (int i = 0; i < 100; ++i) ones += ",1";
  CHECK_THAT(refusal(one(R"({"dtype":"F32","shape":[)" + ones + R"(],"data_offsets":[0,4]})")),
             Contains("more than 64"));
}

TEST_CASE("a file cut short anywhere is refused, and one byte more is too", "[core]") {
  const TempDir dir;
  write_safetensors(dir / "x", {{"a", torch::arange(5)}, {"b", torch::ones({2, 2})}}, {{"k", "v"}}, true);
  const std::string whole = read_file(dir / "x");
  CHECK(refusal(whole).empty());
  for (size_t size = 0; size < whole.size(); ++size) {
    INFO("cut to " << size << " of " << whole.size());
    CHECK_FALSE(refusal(whole.substr(0, size)).empty());
  }
  CHECK_FALSE(refusal(whole + '\0').empty());
}

TEST_CASE("with a checksum every flipped bit of the data is noticed", "[core]") {
  const TempDir dir;
  write_safetensors(dir / "x", {{"a", torch::arange(5)}, {"b", torch::ones({3}, torch::kUInt8)}}, {}, true);
  const std::string whole = read_file(dir / "x");
  const size_t data = whole.size() - 43;
  for (size_t i = data; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ (1 << (i % 8)));
    CHECK_THAT(refusal(damaged), Contains("SHA-256"));
  }
}

TEST_CASE("a flipped bit of the header makes a clear refusal or another legal file, never worse", "[core]") {
  const std::string whole = file_of(kTwoTensors, kTwoData);
  size_t refused = 0;
  for (size_t i = 0; i < whole.size() - kTwoData.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      refused += refusal(damaged).empty() ? 0 : 1;  // any exception but RunError fails the test
    }
  }
  CHECK(refused > 900);
}

TEST_CASE("a missing file is the user's mistake, a folder is not read", "[core]") {
  const TempDir dir;
  CHECK_THROWS_AS(read_safetensors(dir / "none"), UsageError);
  CHECK_THROWS_AS(read_safetensors_header(dir / "none"), UsageError);
  CHECK_THROWS_AS(read_safetensors(dir.path()), RunError);
}

TEST_CASE("what the format cannot hold is not written", "[core]") {
  const TempDir dir;
  const Tensor x = torch::ones({1});
  CHECK_THROWS_AS(write_safetensors(dir / "x", {{"__metadata__", x}}), std::invalid_argument);
  CHECK_THROWS_AS(write_safetensors(dir / "x", {{std::string("a\0", 2), x}}), std::invalid_argument);
  CHECK_THROWS_AS(write_safetensors(dir / "x", {{"\xff", x}}), std::invalid_argument);
  CHECK_THROWS_AS(write_safetensors(dir / "x", {{"a", x}}, {{"k", "\xff"}}), std::invalid_argument);
  CHECK_THROWS_AS(write_safetensors(dir / "x", {{"a", Tensor()}}), std::invalid_argument);
  CHECK_THROWS_AS(write_safetensors(dir / "x", {{"a", x.to(torch::kComplexFloat)}}), std::invalid_argument);
  CHECK_FALSE(fs::exists(dir / "x"));
}

}  // namespace
}  // namespace genzoo
