// The verbs on a model of pairs, as a user runs them.
#include "core/json.h"
#include "tests/tools/program.h"

namespace genzoo {
namespace {

using Catch::Matchers::Contains;

/// Trains for a few steps on pairs of a file in `folder`; returns the run's path.
std::string trained_translator(const std::filesystem::path& folder) {
  std::string pairs;
  for (const char* word : {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}) {
    pairs += fmt::format("{}\t{}{}\n", word, word, word);
  }
  write_text(folder / "pairs.tsv", pairs);
  write_text(folder / "tiny.yaml",
             fmt::format("experiment: tiny\ndata: {{pairs: {{file: {}, validation: 0.3}}}}\n"
                         "model: {{encoder_decoder: {{n_layer: 1, n_head: 2, n_embd: 8, n_inner: 16}}}}\n"
                         "train: {{steps: 6, batch_size: 4, every: {{log: 2, sample: 6, validate: 6, save: 6}}}}\n",
                         (folder / "pairs.tsv").string()));
  const std::string run = (folder / "run").string();
  const Ended ended = genzoo({"train", (folder / "tiny.yaml").string(), "--run", run, "--threads", "1", "--quiet"});
  INFO(ended.err);
  REQUIRE(ended.code == 0);
  return run;
}

std::string told_by(std::vector<std::string> words) {
  const Ended ended = genzoo(words);
  INFO(ended.err);
  REQUIRE(ended.code == 0);
  return ended.out;
}

}  // namespace

TEST_CASE("a model of pairs trains, translates, scores and is evaluated", "[tools][translation]") {
  const TempDir folder;
  const std::string run = trained_translator(folder.path());
  CHECK(std::filesystem::is_regular_file(folder / "run/samples/000000006.txt"));

  const std::string likeliest = told_by({"generate", run, "--prompt", "two"});
  CHECK(told_by({"generate", run, "--prompt", "two", "--greedy"}) == likeliest);
  CHECK(told_by({"generate", run, "--prompt", "two", "--beams", "1"}) == likeliest);
  told_by({"generate", run, "--prompt", "two", "--beams", "4", "--length-penalty", "0.6"});
  const Json draws = parse_json(told_by({"generate", run, "--prompt", "two", "--n", "3", "--json"}), "draws");
  CHECK(draws.size() == 3);
  CHECK(draws[0] != draws[1]);

  const Json score = parse_json(told_by({"score", run, (folder / "pairs.tsv").string(), "--json"}), "score");
  CHECK(score["examples"] == 10);
  CHECK(score["bytes"] == 2 * 39);
  CHECK(score["tokens"] == 2 * 39 + 10);
  CHECK(score["nats"].get<double>() > 0);

  const Json evaluation = parse_json(told_by({"evaluate", run, "--json"}), "evaluation");
  std::vector<std::string> names;
  for (const Json& metric : evaluation["metrics"]) names.push_back(metric["name"]);
  for (const char* name : {"likelihood", "token_accuracy", "exact_match", "bleu", "chrf", "loss"}) {
    CHECK(std::ranges::count(names, name) >= 1);
  }
  CHECK_THAT(told_by({"train", (folder / "tiny.yaml").string(), "--dry-run"}), Contains("pairs of texts, up to"));
}

TEST_CASE("what a model of pairs is asked in vain gets one clear line", "[tools][translation]") {
  const TempDir folder;
  const std::string run = trained_translator(folder.path());
  const auto message = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"generate", run});
    const std::string text = usage_error_of(words);
    CHECK(std::ranges::count(text, '\n') == 1);
    return text;
  };
  CHECK_THAT(message({}), Contains("give --prompt SOURCE"));
  CHECK_THAT(message({"--prompt", "xyz"}), Contains("the character 'y'"));
  CHECK_THAT(message({"--prompt", "two", "--temperature", "0.5"}),
             Contains("--temperature is for models that continue"));
  CHECK_THAT(message({"--prompt", "two", "--greedy", "--n", "2"}), Contains("--n has no meaning"));
  CHECK_THAT(message({"--prompt", "two", "--greedy", "--beams", "2"}), Contains("--beams has no meaning"));
  CHECK_THAT(message({"--prompt", "two", "--length-penalty", "0"}), Contains("give --beams N"));
  CHECK_THAT(message({"--prompt", "two", "--n", "2", "--beams", "2"}), Contains("leave out one of them"));
  CHECK_THAT(usage_error_of({"sample", run, "--out", (folder / "a.png").string()}), Contains("encoder_decoder"));
  write_text(folder / "bad.tsv", "one two\n");
  const Ended ended = genzoo({"score", run, (folder / "bad.tsv").string()});
  CHECK(ended.code == 1);
  CHECK_THAT(ended.err, Contains("bad.tsv:1: no tabs"));
}

TEST_CASE("models of pairs are compared side by side", "[tools][translation][compare]") {
  const TempDir folder;
  const std::string run = trained_translator(folder.path());
  const std::string out = (folder / "report").string();
  told_by({"compare", run, (folder / "tiny.yaml").string(), "--seeds", "1", "--out", out});
  const std::string report = read_text(folder / "report/report.md");
  CHECK_THAT(report, Contains("nats/char"));
  CHECK_THAT(report, Contains("exact match"));
  CHECK_THAT(report, Contains("BLEU"));
  CHECK_THAT(report, Contains("source       "));
}

}  // namespace genzoo
