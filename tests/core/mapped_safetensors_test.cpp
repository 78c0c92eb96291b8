#include "core/mapped_safetensors.h"

#include <fstream>

#include "core/error.h"
#include "core/file.h"
#include "tests/support.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

void write(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

std::string with_header(const std::string& header, const std::string& data) {
  std::string bytes(8, '\0');
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(header.size() >> (8 * i));
  return bytes + header + data;
}

}  // namespace

TEST_CASE("tensors of a mapped file are those that were written", "[core][safetensors]") {
  const TempDir dir;
  const fs::path path = dir / "x.safetensors";
  const NamedTensors written{{"a", torch::arange(1000, torch::kInt).to(torch::kUInt16)},
                             {"b", torch::tensor({{1.0F, -2.0F}, {3.0F, 4.0F}})},
                             {"c", torch::tensor({7, 8, 9}, torch::kByte)}};
  write_safetensors(path, written, {{"k", "v"}});
  Tensor kept;
  {
    const TensorFile file = map_safetensors(path);
    CHECK(file.metadata == Metadata{{"k", "v"}});
    REQUIRE(file.tensors.size() == written.size());
    for (const auto& [name, tensor] : written) {
      CHECK(file.tensors.at(name).scalar_type() == tensor.scalar_type());
      CHECK(file.tensors.at(name).sizes() == tensor.sizes());
      CHECK(torch::equal(file.tensors.at(name).to(torch::kDouble), tensor.to(torch::kDouble)));
    }
    kept = file.tensors.at("b").select(/*dim=*/0, 1);
  }
  fs::remove(path);
  CHECK(torch::equal(kept, torch::tensor({3.0F, 4.0F})));  // a view keeps the file
}

TEST_CASE("a mapped file is read where it is looked at, and no sooner", "[core][safetensors]") {
  // A file of holes, larger than memory is likely to be: whoever read it would be long at it.
  const TempDir dir;
  const fs::path path = dir / "large.safetensors";
  constexpr uint64_t kTokens = uint64_t{1} << 36;
  const std::string header = R"({"tokens":{"dtype":"U16","shape":[)" + std::to_string(kTokens) +
                             R"(],"data_offsets":[0,)" + std::to_string(2 * kTokens) + "]}}";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  write(path, with_header(padded, "\x05"));
  std::error_code error;
  fs::resize_file(path, 8 + padded.size() + 2 * kTokens, error);
  if (error) SKIP("no files with holes of this size here: " << error.message());
  const Tensor tokens = map_safetensors(path).tensors.at("tokens");
  CHECK(tokens.numel() == static_cast<int64_t>(kTokens));
  CHECK(tokens[0].item<int64_t>() == 5);
  CHECK(tokens[static_cast<int64_t>(kTokens) - 1].item<int64_t>() == 0);
}

TEST_CASE("a file that cannot be mapped is refused in one line", "[core][safetensors]") {
  const TempDir dir;
  const fs::path path = dir / "x.safetensors";
  CHECK_THROWS_AS(map_safetensors(path), UsageError);
  CHECK_THROWS_AS(map_safetensors(dir.path()), RunError);
  const std::string good = R"({"a":{"dtype":"U16","shape":[2],"data_offsets":[0,4]}})";
  const auto refusal = [&](const std::string& bytes) {
    write(path, bytes);
    try {
      map_safetensors(path);
    } catch (const RunError& refused) {
      return std::string(refused.what());
    }
    return std::string("mapped");
  };
  CHECK(refusal(with_header(good, "abcd")) == "mapped");
  CHECK_THAT(refusal(""), Contains("0 bytes, wanted at least 8"));
  CHECK_THAT(refusal("1234567"), Contains("7 bytes, wanted at least 8"));
  CHECK_THAT(refusal(std::string(8, '\xff')), Contains("cut short?"));
  CHECK_THAT(refusal(with_header(good, "abcd").substr(0, 20)), Contains("cut short?"));
  CHECK_THAT(refusal(with_header(good, "abc")), Contains("is damaged"));
  CHECK_THAT(refusal(with_header(good, "abcde")), Contains("is damaged"));
  CHECK_THAT(refusal(with_header("{\n", "")), Contains("is damaged"));
  CHECK(refusal(with_header("{\n", "")).find('\n') == std::string::npos);
  CHECK_THAT(refusal(with_header(good + " ", "abcd")), Contains("cannot be used where it lies"));
  CHECK_THAT(refusal(with_header(R"({"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})", "\1")),
             Contains("cannot be used where it lies"));
}

}  // namespace genzoo
