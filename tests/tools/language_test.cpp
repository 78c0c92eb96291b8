// What a user does with language models: weights from elsewhere, conversations, a look inside.
#include "core/json.h"
#include "tests/support.h"
#include "tests/tools/program.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

std::string reference(const std::string& name) {
  return (fs::path(GENZOO_SOURCE_DIR) / "tests/reference/huggingface" / name).string();
}

/// A run of imported weights.
std::string imported(const TempDir& folder, const std::string& name) {
  const std::string run = (folder / name).string();
  const Ended ended = genzoo({"import", reference(name), "--run", run});
  INFO(ended.err);
  REQUIRE(ended.code == 0);
  return run;
}

TEST_CASE("weights come from elsewhere, are used like any, and go back", "[tools][huggingface]") {
  const TempDir folder;
  const std::string run = imported(folder, "llama");
  const Ended text = genzoo({"generate", run, "--prompt", "the cat", "--tokens", "5", "--greedy"});
  CHECK(text.code == 0);
  CHECK_THAT(text.out, Contains("the cat"));
  const std::string out = (folder / "out").string();
  const Json exported =
      parse_json(genzoo({"export", run, "--format", "huggingface", "--out", out, "--json"}).out, "out");
  CHECK(exported.at("tensors") == 15);
  const Json again = parse_json(genzoo({"import", out, "--run", (folder / "again").string(), "--json"}).out, "again");
  CHECK(again.at("model") == "transformer");
  CHECK_THAT(usage_error_of({"export", run, "--format", "huggingface", "--out", out}),
             Contains("that is empty or not there"));
  CHECK_THAT(usage_error_of({"import", reference("llama"), "--run", run}), Contains("holds a run already"));
  CHECK_THAT(usage_error_of({"export", tiny_run("vae").string(), "--format", "huggingface", "--out", out + "2"}),
             Contains("`transformers` has no vae"));
  const Ended unknown = genzoo({"evaluate", run});
  CHECK(unknown.code == 1);
  CHECK_THAT(unknown.err, Contains("what they were trained on is not known here"));
}

TEST_CASE("several prompts, stops, and a penalty on what stands there", "[tools]") {
  const std::string run = tiny_run("transformer").string();
  const Ended two = genzoo({"generate", run, "--prompt", "and ", "--prompt", "the evening", "--n", "2", "--json"});
  const Json texts = parse_json(two.out, "texts");
  REQUIRE(texts.size() == 4);
  CHECK(texts[1].get<std::string>().starts_with("and "));
  CHECK(texts[2].get<std::string>().starts_with("the evening"));
  const Ended stopped = genzoo({"generate", run, "--prompt", "and", "--stop", "e", "--stop", " ", "--tokens", "200"});
  CHECK(stopped.out.find_first_of("e ") == std::string::npos);
  const auto greedy = [&](const std::string& penalty) {
    return genzoo({"generate", run, "--prompt", "and", "--greedy", "--repetition-penalty", penalty}).out;
  };
  CHECK(greedy("1") != greedy("3"));
  CHECK_THAT(usage_error_of({"generate", run, "--stop", ""}), Contains("an empty stop"));
  CHECK_THAT(usage_error_of({"generate", run, "--beams", "2"}), Contains("--beams is for models of pairs"));
}

TEST_CASE("each line that is typed is continued", "[tools]") {
  const TempDir folder;
  write_text(folder / "lines", "and\n\nthe \xe2\x82\xac\nday\n");
  const std::vector<std::string> words = {"generate", tiny_run("transformer").string(), "--interactive", "--tokens",
                                          "4"};
  const Ended ended = genzoo(words, {.standard_input = (folder / "lines").string()});
  CHECK(ended.code == 0);
  CHECK(ended.out.starts_with("and"));
  CHECK_THAT(ended.out, Contains("\nday"));
  CHECK_THAT(ended.err, Contains("is not among the"));  // and the conversation went on
  CHECK_THAT(usage_error_of({"generate", "x", "--interactive", "--prompt", "a"}),
             Contains("answers each line that is typed"));
}

TEST_CASE("what is masked is filled in", "[tools]") {
  const TempDir folder;
  const std::string run = imported(folder, "bert");
  const Ended filled = genzoo({"generate", run, "--prompt", "the [MASK] sat", "--greedy"});
  CHECK(filled.code == 0);
  CHECK(filled.out.starts_with("the"));
  CHECK_THAT(filled.out, Contains(" sat"));
  CHECK(filled.out.find("[MASK]") == std::string::npos);
  CHECK_THAT(usage_error_of({"generate", run, "--prompt", "the cat"}),
             Contains("write [MASK] where a token is wanted"));
  CHECK_THAT(usage_error_of({"generate", run, "--prompt", "a [MASK]", "--stop", "x"}),
             Contains("--stop is for models that continue"));
}

TEST_CASE("a look inside: on the terminal, as JSON, and as a page", "[tools][inspection]") {
  const TempDir folder;
  const std::string run = tiny_run("transformer").string(), page = (folder / "inside.html").string();
  const Ended shown = genzoo({"inspect", run, "--prompt", "and the", "--out", page});
  CHECK(shown.code == 0);
  CHECK_THAT(shown.out, Contains("nats per token"));
  CHECK_THAT(read_text(page), Contains("Where it looks"));
  const Json json = parse_json(genzoo({"inspect", run, "--prompt", "and the", "--json"}).out, "json");
  CHECK(json.at("text").size() == 7);
  CHECK_THAT(usage_error_of({"inspect", run, "--prompt", "a"}), Contains("give a longer one"));
  CHECK_THAT(usage_error_of({"inspect", run}), Contains("--prompt TEXT is missing"));
  CHECK_THAT(usage_error_of({"inspect", tiny_run("vae").string(), "--prompt", "ab"}),
             Contains("vae cannot be looked into"));
}

}  // namespace
}  // namespace genzoo
