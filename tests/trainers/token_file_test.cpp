// Training on tokens that stay in their file.
#include "data/tokenizers/token_file.h"

#include "data/tokenizers/tokenizer.h"
#include "tests/support.h"
#include "tests/trainers/tiny_experiment.h"

namespace genzoo {
namespace {

using tiny::experiment;
using tiny::train;

TEST_CASE("a run on a file of tokens has the bytes of one on the same tokens in memory", "[trainers][tokenizers]") {
  const TempDir folder;
  std::string text;
  for (int i = 0; i < 300; ++i) text += "light " + std::to_string(i * 37 % 101) + "\n";
  // A token a byte, written in 16 bits, so that both are split at the same place.
  const auto bytes = Tokenizer::bytes();
  write_file_whole(folder / "text.txt", text);
  write_file_whole(folder / "bytes.json", bytes->to_json());
  write_tokens(folder / "tokens.safetensors", bytes->encode(text), *bytes);
  const std::string tokenizer = (folder / "bytes.json").string();
  const auto in_memory =
      experiment(tiny::kTransformer, fmt::format("{{text: {{file: {}, tokens: {{tokenizer: {{path: {}}}}}}}}}",
                                                 (folder / "text.txt").string(), tokenizer));
  const auto in_file = experiment(tiny::kTransformer, fmt::format("{{token_file: {{file: {}, tokenizer: {}}}}}",
                                                                  (folder / "tokens.safetensors").string(), tokenizer));
  const RunFolder memory(folder / "memory"), file(folder / "file"), longer(folder / "longer");
  REQUIRE(train(in_memory, memory.path()).reason == "finished");
  REQUIRE(train(in_file, file.path()).reason == "finished");
  const NamedTensors wanted = read_checkpoint(memory.checkpoint(6)).tensors;
  const NamedTensors got = read_checkpoint(file.checkpoint(6)).tensors;
  REQUIRE(got.size() == wanted.size());
  for (const auto& [name, tensor] : wanted) {
    INFO(name);
    CHECK(torch::equal(got.at(name), tensor));
  }
  const auto losses = [](const RunFolder& run) {
    std::vector<Json> all;
    for (const Json& line : tiny::log_lines(run)) {
      for (const char* key : {"loss", "nats_per_token"}) {
        if (line.contains(key)) all.push_back(line.at(key));
      }
    }
    return all;
  };
  CHECK(losses(file) == losses(memory));
  CHECK_FALSE(losses(file).empty());

  ExperimentConfig shorter = in_file;
  shorter.train.steps = 3;
  train(shorter, longer.path());
  train(in_file, longer.path(), /*resume=*/true);
  CHECK(tiny::same_bytes(longer.checkpoint(6), file.checkpoint(6)));
}

}  // namespace
}  // namespace genzoo
