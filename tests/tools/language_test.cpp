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

TEST_CASE("a conversation is held line by line", "[tools][chat]") {
  const TempDir folder;
  std::string talk;
  for (int i = 0; i < 5; ++i) {
    talk += R"({"messages": [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "ba"}]})"
            "\n";
  }
  write_text(folder / "talk.jsonl", talk);
  write_text(folder / "c.yaml", "experiment: c\ndata: {conversations: {file: " + (folder / "talk.jsonl").string() +
                                    ", template: chatml, validation: 0.2}}\nmodel: {transformer: {n_layer: 1, n_head: "
                                    "1, n_embd: 8, block_size: 80}}\ntrain: {steps: 1, batch_size: 2}\n");
  const std::string run = (folder / "run").string();
  REQUIRE(genzoo({"train", (folder / "c.yaml").string(), "--run", run}).code == 0);
  write_text(folder / "lines", "ab\n\nba\n");
  const Surroundings typed{.standard_input = (folder / "lines").string()};
  const Ended held = genzoo({"generate", run, "--chat"}, typed);
  INFO(held.err);
  CHECK(held.code == 0);
  CHECK(std::ranges::count(held.out, '\n') == 2);
  CHECK(genzoo({"generate", run, "--chat", "--beams", "2"}, typed).code == 0);
  // A model of text needs to be told how.
  const std::string text = imported(folder, "llama");
  CHECK_THAT(usage_error_of({"generate", text, "--chat"}),
             Contains("has no chat template") && Contains("--chat-template plain|chatml"));
  const Ended continued =
      genzoo({"generate", text, "--chat", "--chat-template", "plain", "--system", "Be brief.", "--tokens", "3"}, typed);
  INFO(continued.err);
  CHECK(continued.code == 0);
  CHECK(std::ranges::count(continued.out, '\n') >= 2);
  CHECK_THAT(usage_error_of({"generate", run, "--chat", "--prompt", "a"}), Contains("--prompt has no meaning"));
  CHECK_THAT(usage_error_of({"generate", run, "--system", "a"}), Contains("give --chat"));
  CHECK_THAT(usage_error_of({"generate", tiny_run("vae").string(), "--chat"}), Contains("generates no text"));
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
