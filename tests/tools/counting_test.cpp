// A model that learns by counting, through the verbs, beside one that learns by descent.
#include "core/json.h"
#include "tests/tools/program.h"
#include "trainers/run_folder.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

std::string config_on(const fs::path& folder, const std::string& name, const std::string& model,
                      const std::string& train) {
  std::string verses;
  for (int i = 0; i < 60; ++i) verses += fmt::format("and the evening and the morning were the day {}\n", i);
  write_text(folder / "verses.txt", verses);
  const fs::path path = folder / (name + ".yaml");
  write_text(path, fmt::format("experiment: {}\nthreads: 1\ndevice: cpu\ndata: {{text: {{file: {}}}}}\nmodel: {}\n"
                               "train: {}\n",
                               name, (folder / "verses.txt").string(), model, train));
  return path.string();
}

std::string counting(const fs::path& folder, const std::string& train = "{steps: 1}") {
  return config_on(folder, "counting", "{ngram: {order: 4, block_size: 16}}", train);
}

TEST_CASE("counts are trained, scored, continued and evaluated by the verbs of any language model",
          "[tools][counting]") {
  const TempDir folder;
  const std::string config = counting(folder.path()), run = (folder / "run").string();
  const Ended estimate = genzoo({"train", config, "--dry-run"});
  CHECK(estimate.code == 0);
  CHECK(estimate.out.find("counts") != std::string::npos);
  REQUIRE(genzoo({"train", config, "--run", run, "--quiet"}).code == 0);
  CHECK(read_text(RunFolder(run).sample(1, ".txt")).find("the ") != std::string::npos);
  const Ended again = genzoo({"train", config, "--run", run, "--resume"});
  CHECK(again.code == 0);
  CHECK(again.out.starts_with("finished already at step 1\n"));

  write_text(folder / "likely.txt", "and the morning");
  write_text(folder / "unlikely.txt", "dna eht gninrom");
  const auto nats = [&](const char* file) {
    const Ended ended = genzoo({"score", run, (folder / file).string(), "--json"});
    REQUIRE(ended.code == 0);
    const Json json = parse_json(ended.out, "stdout");
    CHECK(json.at("kind") == "exact");
    CHECK(json.at("tokens") == 14);
    return json.at("nats").get<double>();
  };
  CHECK(nats("likely.txt") < 10);
  CHECK(nats("unlikely.txt") > 20);
  const Ended text = genzoo({"generate", run, "--prompt", "and the even", "--tokens", "12", "--greedy"});
  CHECK(text.code == 0);
  CHECK(text.out.starts_with("and the evening and the"));
  const Ended evaluated = genzoo({"evaluate", run, "--json"});
  REQUIRE(evaluated.code == 0);
  const Json metrics = parse_json(evaluated.out, "stdout").at("metrics");
  CHECK(metrics[0].at("unit") == "nats/char");
  CHECK(metrics[0].at("kind") == "exact");
  CHECK(metrics[0].at("value").get<double>() < 1);
}

TEST_CASE("what counting cannot do is refused in a line", "[tools][counting]") {
  const TempDir folder;
  const std::string err = usage_error_of({"train", counting(folder.path(), "{steps: 2}")});
  CHECK(err == "genzoo: ngram learns in one pass over its data: set train.steps to 1, not 2\n");
  const std::string run = (folder / "run").string();
  REQUIRE(genzoo({"train", counting(folder.path()), "--run", run, "--quiet"}).code == 0);
  CHECK(usage_error_of({"generate", run, "--weight-type", "int8"}).find("no weights to round") != std::string::npos);
  CHECK(usage_error_of({"sample", run, "--out", (folder / "x.png").string()}).find("it can:") != std::string::npos);
}

TEST_CASE("a comparison gives its budget to those who descend, and one step to those who count", "[tools][counting]") {
  const TempDir folder;
  const std::string other =
      config_on(folder.path(), "descending", "{transformer: {n_layer: 1, n_head: 2, n_embd: 8, block_size: 16}}",
                "{steps: 5, batch_size: 4}");
  for (const char* budget : {"7steps", "0.2s"}) {
    INFO(budget);
    const fs::path out = folder / budget;
    const Ended ended = genzoo({"compare", counting(folder.path()), other, "--out", out.string(), "--threads", "1",
                                "--budget", budget, "--seeds", "1"});
    INFO(ended.err);
    REQUIRE(ended.code == 0);
    const Json json = Json::parse(read_text(out / "results.json"));
    CHECK(json.at("runs")[0].at("step") == 1);
    CHECK(json.at("runs")[0].at("stopped_by") == "its one pass over the data");
    CHECK(json.at("runs")[1].at("step").get<int64_t>() >= 1);
    for (const Json& run : json.at("runs")) CHECK(run.at("metrics")[0].at("unit") == "nats/char");
    CHECK(read_text(out / "report.md").find("counting took") == std::string::npos);
  }
}

}  // namespace
}  // namespace genzoo
