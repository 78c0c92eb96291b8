// The verbs on models that tell classes of texts apart, as a user runs them.
#include "core/json.h"
#include "core/safetensors.h"
#include "tests/tools/program.h"

namespace genzoo {
namespace {

using Catch::Matchers::Contains;
namespace fs = std::filesystem;

std::string config_in(const fs::path& folder, const std::string& name, const std::string& tokens,
                      const std::string& model, const std::string& train) {
  std::string lines;
  for (int i = 0; i < 60; ++i) lines += fmt::format("{}\t{} {}\n", i % 2 ? "fruit" : "tool", i % 2 ? "fig" : "saw", i);
  write_text(folder / "documents.tsv", lines);
  const fs::path path = folder / (name + ".yaml");
  write_text(path, fmt::format("experiment: {}\nthreads: 1\ndata: {{documents: {{file: {}, tokens: {}, test: 0.3}}}}\n"
                               "model: {}\ntrain: {}\n",
                               name, (folder / "documents.tsv").string(), tokens, model, train));
  return path.string();
}

std::string counting(const fs::path& folder) {
  return config_in(folder, "counting", "words", "{naive_bayes: {}}", "{steps: 1}");
}

std::string told_by(const std::vector<std::string>& words) {
  const Ended ended = genzoo(words);
  INFO(ended.err);
  REQUIRE(ended.code == 0);
  return ended.out;
}

std::string refusal_of(const std::vector<std::string>& words) {
  const Ended ended = genzoo(words);
  CHECK(ended.code == 2);
  CHECK(ended.out == "");
  CHECK(std::count(ended.err.begin(), ended.err.end(), '\n') == 1);
  return ended.err;
}

std::map<std::string, double> metrics_of(const Json& json) {
  std::map<std::string, double> metrics;
  for (const Json& m : json.at("metrics")) metrics[m.at("name")] = m.at("value").get<double>();
  return metrics;
}

}  // namespace

TEST_CASE("a model that counts is trained, evaluated and classifies", "[tools][classification]") {
  const TempDir folder;
  const std::string run = (folder / "run").string();
  told_by({"train", counting(folder.path()), "--run", run, "--quiet"});
  const auto metrics = metrics_of(parse_json(told_by({"evaluate", run, "--json"}), "evaluation"));
  CHECK(metrics.at("accuracy") == 1);
  CHECK(metrics.at("cross_entropy") < 0.3);
  CHECK(metrics.contains("macro_f1"));
  CHECK(metrics.contains("commonest_class"));

  const std::string lines = told_by({"classify", run, "--prompt", "a saw", "--prompt", "fig"});
  CHECK_THAT(lines, Catch::Matchers::StartsWith("tool\t0."));
  CHECK_THAT(lines, Contains("\ta saw\nfruit\t0.") && Catch::Matchers::EndsWith("\tfig\n"));
  write_text(folder / "texts.txt", "a saw\r\nfig");
  CHECK(told_by({"classify", run, "--in", (folder / "texts.txt").string()}) == lines);
  const Json json = parse_json(told_by({"classify", run, "--prompt", "fig", "--json"}), "classified");
  CHECK(json["model"] == "naive_bayes");
  CHECK(json["examples"][0]["label"] == "fruit");
  CHECK(json["examples"][0]["text"] == "fig");
  CHECK(json["examples"][0]["probabilities"].size() == 2);
  const Ended cut = genzoo({"classify", run, "--prompt", "fig fig fig fig fig fig"});
  CHECK(cut.code == 0);
  CHECK_THAT(cut.err, Contains("--prompt, text 1: longer than any text it was trained with, so cut to "));

  CHECK(parse_json(told_by({"datasets", "documents", "--json"}), "datasets").at("kind") == "documents");

  CHECK_THAT(refusal_of({"classify", run}), Contains("nothing to classify; give --prompt TEXT"));
  CHECK_THAT(refusal_of({"classify", run, "--prompt", "a", "--in", "b"}), Contains("--prompt and --in together"));
  CHECK_THAT(refusal_of({"classify", run, "--prompt", "fig", "--prompt", ""}),
             Contains("--prompt, text 2: the text is empty"));
  write_text(folder / "empty.txt", "");
  CHECK_THAT(refusal_of({"classify", run, "--in", (folder / "empty.txt").string()}), Contains("the file is empty"));
  write_text(folder / "gap.txt", "fig\n\nfig\n");
  CHECK_THAT(refusal_of({"classify", run, "--in", (folder / "gap.txt").string()}),
             Contains("gap.txt:2: the text is empty"));
  write_safetensors(folder / "x.safetensors", {{"x", torch::zeros({1, 1, 4, 4}, torch::kByte)}});
  CHECK_THAT(refusal_of({"classify", run, "--in", (folder / "x.safetensors").string()}),
             Contains("takes texts, not an array"));
  CHECK_THAT(refusal_of({"generate", run}), Contains("generates no text"));
}

TEST_CASE("models of documents under different tokens stand in one report by their accuracy",
          "[tools][classification]") {
  const TempDir folder;
  const std::string few = config_in(folder.path(), "few", "words", "{naive_bayes: {}}", "{steps: 1, examples: 6}");
  const std::string network = config_in(folder.path(), "network", "characters",
                                        "{transformer: {n_layer: 1, n_head: 2, n_embd: 8, block_size: 16}}",
                                        "{steps: 6, batch_size: 8, every: {log: 2, sample: 6, validate: 3, save: 3}}");
  const fs::path out = folder / "report";
  told_by({"compare", counting(folder.path()), few, network, "--out", out.string(), "--threads", "1", "--seeds", "1"});
  const Json results = Json::parse(read_text(out / "results.json"));
  REQUIRE(results.at("runs").size() == 3);
  for (const Json& run : results.at("runs")) CHECK(metrics_of(run).contains("accuracy"));
  CHECK(metrics_of(results.at("runs")[0]).at("accuracy") == 1);
  for (const char* file : {"report.md", "report.html"}) {
    INFO(file);
    const std::string report = read_text(out / file);
    for (const char* heading : {"accuracy", "cross-entropy", "macro F1", "of 2 classes", "higher is better"}) {
      CHECK_THAT(report, Contains(heading));
    }
    CHECK_THAT(report, Contains("it learned from the first 6 of the training examples alone"));
    CHECK_THAT(report, Contains("likeliest  fruit"));
  }
}

}  // namespace genzoo
