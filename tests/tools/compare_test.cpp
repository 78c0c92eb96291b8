// `genzoo compare` as a user runs it: one report from configs, runs and somebody else's samples; it goes on after a
// kill, repeats nothing, and refuses what cannot be compared.
#include <fmt/format.h>

#include <algorithm>

#include "core/json.h"
#include "core/random.h"
#include "core/safetensors.h"
#include "tests/tools/program.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

std::string config_on(const fs::path& folder, const std::string& name, const std::string& data,
                      const std::string& model) {
  const fs::path path = folder / (name + ".yaml");
  write_text(path, fmt::format("experiment: {}\nthreads: 1\ndevice: cpu\ndata: {}\nmodel: {}\n"
                               "train: {{steps: 30, batch_size: 16, every: {{log: 5, sample: 30, validate: 10, save: "
                               "10}}, optimizer: {{adam: {{lr: 1.0e-3}}}}}}\n",
                               name, data, model));
  return path.string();
}

const std::string kPoints = "{eight_gaussians: {examples: 500, validation: 100, test: 300}}";
const std::string kVae = "{vae: {latent_dim: 2, network: {mlp: {hidden: [8]}}, likelihood: gaussian}}";
const std::string kFlow = "{realnvp: {couplings: 2, hidden_dim: 8}}";
const std::string kGan = "{gan: {latent_dim: 4, generator_width: 4, discriminator_width: 4}}";

/// Three families on the same points.
std::vector<std::string> three_configs(const fs::path& folder) {
  return {config_on(folder, "one_vae", kPoints, kVae), config_on(folder, "one_flow", kPoints, kFlow),
          config_on(folder, "one_gan", kPoints, kGan)};
}

std::vector<std::string> compare_words(const std::vector<std::string>& inputs, const fs::path& out,
                                       const std::vector<std::string>& more = {}) {
  std::vector<std::string> words{"compare", "--out", out.string(), "--threads", "1", "--samples", "200", "--k", "2"};
  words.insert(words.end(), inputs.begin(), inputs.end());
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

Json results(const fs::path& out) { return Json::parse(read_text(out / "results.json")); }

const Json& metric(const Json& run, const std::string& name) {
  for (const Json& m : run.at("metrics")) {
    if (m.at("name") == name) return m;
  }
  throw std::out_of_range(name);
}

/// The metrics alone: times differ from one run to the next.
Json numbers(const Json& results) {
  Json all = Json::array();
  for (const Json& run : results.at("runs")) all.push_back(run.at("metrics"));
  return all;
}

std::map<fs::path, fs::file_time_type> times_of_checkpoints(const fs::path& out) {
  std::map<fs::path, fs::file_time_type> times;
  for (const auto& item : fs::recursive_directory_iterator(out / "runs")) {
    if (item.path().extension() == ".safetensors") times[item.path()] = item.last_write_time();
  }
  return times;
}

TEST_CASE("families are trained with several seeds and stand in one report", "[tools][compare]") {
  const TempDir folder;
  const fs::path out = folder / "report";
  const auto words = compare_words(three_configs(folder.path()), out, {"--budget", "20steps", "--seeds", "2"});
  const Ended ended = genzoo(words);
  INFO(ended.err);
  REQUIRE(ended.code == 0);
  CHECK(ended.out.find("report.html") != std::string::npos);
  for (const char* file : {"report.html", "report.md", "results.json", "results.csv", "grids.png"}) {
    CHECK(fs::file_size(out / file) > 100);
  }
  const Json json = results(out);
  REQUIRE(json.at("runs").size() == 6);
  for (const Json& run : json.at("runs")) {
    CHECK(run.at("step") == 20);
    CHECK(run.at("split") == "test");
    CHECK(run.at("costs").at("training_seconds").get<double>() > 0);
    CHECK(run.at("costs").at("parameters").get<int64_t>() > 0);
    CHECK(metric(run, "modes").at("of") == "8");
    CHECK(metric(run, "frechet").at("n") == 200);
  }
  CHECK(metric(json.at("runs")[2], "likelihood").at("kind") == "exact");
  CHECK(metric(json.at("runs")[0], "likelihood").at("kind") == "estimate");
  CHECK_THROWS_AS(metric(json.at("runs")[4], "likelihood"), std::out_of_range);
  for (const char* name : {"one_vae", "one_flow", "one_gan"}) {
    for (const char* seed : {"seed-0", "seed-1"}) CHECK(fs::exists(out / "runs" / name / seed / "run.json"));
  }

  // Once more: nothing is trained or measured again, and the numbers stay.
  const auto before = times_of_checkpoints(out);
  const Ended again = genzoo(words);
  CHECK(again.code == 0);
  CHECK(again.err.find("training") == std::string::npos);
  CHECK(again.err.find("measuring") == std::string::npos);
  CHECK((times_of_checkpoints(out) == before));
  CHECK(numbers(results(out)) == numbers(json));

  // Another question is not answered by this folder's answers.
  const Ended other = genzoo(compare_words(three_configs(folder.path()), out, {"--budget", "20steps", "--seeds", "3"}));
  CHECK(other.code == 2);
  CHECK(other.err.find("seeds") != std::string::npos);
}

TEST_CASE("a comparison that was killed goes on to the same numbers", "[tools][compare]") {
  const TempDir folder;
  const auto configs = three_configs(folder.path());
  const fs::path whole = folder / "whole", broken = folder / "broken";
  const std::vector<std::string> more{"--budget", "300steps", "--seeds", "1"};
  REQUIRE(genzoo(compare_words(configs, whole, more)).code == 0);
  {
    Running running(compare_words(configs, broken, more));
    const fs::path second = broken / "runs" / "one_flow" / "seed-0" / "checkpoints";
    for (int i = 0; i < 4000 && !fs::exists(second) && !running.has_ended(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    running.signal(SIGKILL);
    CHECK(running.wait().code == 128 + SIGKILL);
  }
  CHECK_FALSE(fs::exists(broken / "results.json"));
  const Ended ended = genzoo(compare_words(configs, broken, more));
  INFO(ended.err);
  REQUIRE(ended.code == 0);
  CHECK(numbers(results(broken)) == numbers(results(whole)));
}

TEST_CASE("given runs and somebody else's samples are compared as they are", "[tools][compare]") {
  const TempDir folder;
  const std::string config = config_on(folder.path(), "one_flow", kPoints, kFlow);
  const std::string run = (folder / "run").string();
  REQUIRE(genzoo({"train", config, "--run", run, "--quiet"}).code == 0);
  Rng rng = Rng::for_batch(1, Purpose::synthetic_data, 0);
  const std::string samples = (folder / "s.safetensors").string(), log_prob = (folder / "l.safetensors").string();
  write_safetensors(samples, {{"samples", rng.normal({150, 2})}});
  write_safetensors(log_prob, {{"log_prob", rng.normal({300})}});
  const fs::path out = folder / "report";
  const Ended ended = genzoo(compare_words(
      {run}, out, {"--external", "theirs=" + samples + ",log_prob=" + log_prob + ",unit=nats,kind=lower_bound"}));
  INFO(ended.err);
  REQUIRE(ended.code == 0);
  const Json json = results(out);
  REQUIRE(json.at("runs").size() == 2);
  CHECK(json.at("runs")[0].at("path") == run);
  CHECK(json.at("runs")[1].at("model") == "external");
  CHECK(metric(json.at("runs")[1], "likelihood").at("kind") == "lower_bound");
  CHECK(metric(json.at("runs")[0], "frechet").at("n") == 150);  // as many as the fewest
  CHECK(read_text(out / "report.html").find("theirs") != std::string::npos);
  CHECK_THAT(read_text(out / "report.md"), Catch::Matchers::Contains("theirs gives 150 samples"));
}

TEST_CASE("nats of somebody else's images stand in bits/dim, of as many examples as the others", "[tools][compare]") {
  const TempDir folder;
  const std::string config =
      config_on(folder.path(), "noise", "{uniform_noise: {examples: 64, validation: 32, test: 32}}",
                "{vae: {latent_dim: 2, network: {mlp: {hidden: [8]}}}}");
  Rng rng = Rng::for_batch(1, Purpose::synthetic_data, 0);
  const std::string samples = (folder / "s.safetensors").string(), log_prob = (folder / "l.safetensors").string();
  write_safetensors(samples, {{"samples", rng.integers(256, {40, 1, 28, 28}).to(torch::kByte)}});
  write_safetensors(log_prob, {{"log_prob", torch::full({32}, -784 * std::log(256.0), torch::kDouble)}});
  const fs::path out = folder / "report";
  const Ended ended = genzoo(compare_words({config}, out,
                                           {"--budget", "2steps", "--seeds", "1", "--examples", "8", "--external",
                                            "theirs=" + samples + ",log_prob=" + log_prob + ",unit=nats,kind=exact"}));
  INFO(ended.err);
  REQUIRE(ended.code == 0);
  const Json runs = results(out).at("runs");
  const Json &ours = metric(runs[0], "likelihood"), &theirs = metric(runs[1], "likelihood");
  CHECK(ours.at("unit") == "bits/dim");
  CHECK(theirs.at("unit") == "bits/dim");
  CHECK(ours.at("of") == theirs.at("of"));
  CHECK(theirs.at("value").get<double>() == Approx(8.0));
  CHECK(ours.at("n") == 8);
  CHECK(theirs.at("n") == 8);
  CHECK(metric(runs[0], "bound").at("kind") == "lower_bound");  // beside the estimate of two draws
  CHECK(metric(runs[0], "frechet").at("value").is_null());      // 40 samples in 784 dimensions
  CHECK(metric(runs[0], "frechet").at("detail").get<std::string>().find("785") != std::string::npos);
}

TEST_CASE("a run that is not finished is measured and marked", "[tools][compare]") {
  const TempDir folder;
  const std::string config = config_on(folder.path(), "one_flow", kPoints, kFlow);
  const std::string run = (folder / "run").string();
  REQUIRE(genzoo({"train", config, "--run", run, "--quiet"}).code == 0);
  fs::remove(fs::path(run) / "checkpoints" / "000000030.safetensors");  // as if it had been killed at step 29
  const fs::path out = folder / "report";
  REQUIRE(genzoo(compare_words({run}, out)).code == 0);
  CHECK(results(out).at("runs")[0].at("step") == 20);
  CHECK(results(out).at("runs")[0].at("stopped_by").get<std::string>().find("unfinished, step 20 of 30") == 0);
  CHECK(read_text(out / "report.html").find("unfinished, step 20 of 30") != std::string::npos);
}

TEST_CASE("a finished training whose checkpoints are gone is no diverged one", "[tools][compare]") {
  const TempDir folder;
  const fs::path out = folder / "report";
  const auto words = compare_words({config_on(folder.path(), "one_flow", kPoints, kFlow)}, out,
                                   {"--budget", "5steps", "--seeds", "1"});
  REQUIRE(genzoo(words).code == 0);
  fs::remove_all(out / "runs" / "one_flow" / "seed-0" / "checkpoints");
  const Ended ended = genzoo(words);
  CHECK(ended.code == 1);
  CHECK_THAT(ended.err, Catch::Matchers::Contains("is finished and it has no checkpoints; remove the folder"));
}

TEST_CASE("texts are compared by their likelihoods, and shown", "[tools][compare]") {
  const TempDir folder;
  const std::string text = "{markov: {length: 2000, validation: 300, test: 300}}";
  const fs::path out = folder / "report";
  const Ended ended = genzoo(compare_words(
      {config_on(folder.path(), "small", text, "{transformer: {n_layer: 1, n_head: 1, n_embd: 4, block_size: 8}}"),
       config_on(folder.path(), "large", text, "{transformer: {n_layer: 1, n_head: 2, n_embd: 8, block_size: 8}}")},
      out, {"--budget", "5steps", "--seeds", "2"}));
  INFO(ended.err);
  REQUIRE(ended.code == 0);
  const Json json = results(out);
  REQUIRE(json.at("runs").size() == 4);
  CHECK(metric(json.at("runs")[0], "likelihood").at("unit") == "nats/char");
  CHECK(json.at("runs")[0].at("costs").at("item") == "tokens");
  CHECK_FALSE(fs::exists(out / "grids.png"));

  write_safetensors(folder / "s.safetensors", {{"samples", torch::zeros({5})}});
  const Ended external =
      genzoo(compare_words({config_on(folder.path(), "small", text, "{transformer: {}}")}, folder / "other",
                           {"--external", "x=" + (folder / "s.safetensors").string()}));
  CHECK(external.code == 2);
  CHECK_THAT(external.err, Catch::Matchers::Contains("--external x: the data are text"));
}

TEST_CASE("what cannot be compared is refused before anything is trained", "[tools][compare]") {
  const TempDir folder;
  const std::string points = config_on(folder.path(), "points", kPoints, kFlow);
  const std::string moons =
      config_on(folder.path(), "moons", "{two_moons: {examples: 500, validation: 100, test: 300}}", kFlow);
  const std::string wider = config_on(
      folder.path(), "wider", "{eight_gaussians: {examples: 500, validation: 100, test: 300, std: 0.4}}", kFlow);
  const std::string fewer =
      config_on(folder.path(), "fewer", "{eight_gaussians: {examples: 400, validation: 100, test: 300}}", kFlow);
  const fs::path out = folder / "report";
  const auto refused = [&](const std::vector<std::string>& words, const std::string& part) {
    const Ended ended = genzoo(words);
    INFO(ended.err);
    CHECK(ended.code == 2);
    CHECK(ended.err.find(part) != std::string::npos);
    CHECK(std::ranges::count(ended.err, '\n') == 1);
    CHECK_FALSE(fs::exists(out));
  };
  refused(compare_words({points, moons}, out), "eight_gaussians");
  refused(compare_words({points, fewer}, out), "one comparison is of one data set");
  refused(compare_words({points, wider}, out), "not the same examples");
  refused(compare_words({points}, out, {"--budget", "soon"}), "--budget soon");
  Rng rng = Rng::for_batch(1, Purpose::synthetic_data, 0);
  const std::string samples = (folder / "s.safetensors").string(), log_prob = (folder / "l.safetensors").string();
  write_safetensors(samples, {{"samples", rng.normal({150, 2})}});
  write_safetensors(log_prob, {{"log_prob", rng.normal({299})}});
  refused(
      compare_words({points}, out, {"--external", "x=" + samples + ",log_prob=" + log_prob + ",unit=nats,kind=exact"}),
      "each of the 300 examples");
  refused(compare_words({points}, out, {"--external", "points=" + samples}), "another model of that name");
  refused(compare_words({points, samples + ".txt"}, out), "s.safetensors.txt");
  refused(compare_words({points}, out, {"--external", "x=none.safetensors"}), "none.safetensors");
  refused(compare_words({points, (folder / "none").string()}, out), "none");
  refused({"compare", "--out", out.string()}, "RUN_OR_CONFIG");
  refused({"compare", points}, "--out");
  write_text(folder / "file", "text");
  const Ended file = genzoo(compare_words({points}, folder / "file"));
  CHECK(file.code == 2);
  CHECK(read_text(folder / "file") == "text");
}

TEST_CASE("a time is turned into steps once, and said", "[tools][compare]") {
  const TempDir folder;
  const fs::path out = folder / "report";
  const auto words =
      compare_words({config_on(folder.path(), "one_flow", kPoints, kFlow)}, out, {"--budget", "0.5s", "--seeds", "2"});
  REQUIRE(genzoo(words).code == 0);
  const Json json = results(out);
  const auto steps = json.at("runs")[0].at("step").get<int64_t>();
  CHECK(steps >= 1);
  CHECK(json.at("runs")[1].at("step") == steps);
  CHECK(json.at("runs")[0].at("stopped_by") == "budget of 0.5 s");
  const std::string decided = read_text(out / "comparison.json");
  CHECK(decided.find("steps of one_flow\": " + std::to_string(steps)) != std::string::npos);
  REQUIRE(genzoo(words).code == 0);
  CHECK(read_text(out / "comparison.json") == decided);
  CHECK(json.at("runs")[0].at("costs").at("training_seconds").get<double>() < 5);
}

TEST_CASE("a slow sampler lowers the number of samples for all, and the report says so", "[tools][compare]") {
  const TempDir folder;
  const fs::path out = folder / "report";
  std::vector<std::string> words{"compare", config_on(folder.path(), "one_flow", kPoints, kFlow), "--out",
                                 out.string()};
  for (const char* word : {"--budget", "5steps", "--seeds", "1", "--samples", "900", "--sampling-seconds", "1e-6"}) {
    words.push_back(word);
  }
  REQUIRE(genzoo(words).code == 0);
  CHECK(metric(results(out).at("runs")[0], "frechet").at("n") == 500);
  CHECK(read_text(out / "report.md").find("not 900") != std::string::npos);
}

TEST_CASE("a damaged measurement is named, and measured again once removed", "[tools][compare]") {
  const TempDir folder;
  const fs::path out = folder / "report";
  const auto words = compare_words({config_on(folder.path(), "one_flow", kPoints, kFlow)}, out,
                                   {"--budget", "5steps", "--seeds", "1"});
  REQUIRE(genzoo(words).code == 0);
  const Json before = numbers(results(out));
  const fs::path kept = out / "evaluations" / "one_flow" / "seed-0.json";
  write_text(kept, "[]");
  const Ended damaged = genzoo(words);
  CHECK(damaged.code == 1);
  CHECK(damaged.err.find(kept.string()) != std::string::npos);
  fs::remove(kept);
  REQUIRE(genzoo(words).code == 0);
  CHECK(numbers(results(out)) == before);
}

TEST_CASE("a model that diverges is a marked row", "[tools][compare]") {
  const TempDir folder;
  const fs::path path = folder / "wild.yaml";
  write_text(path, fmt::format("experiment: wild\ndata: {}\nmodel: {}\ntrain: {{steps: 50, batch_size: 16, optimizer: "
                               "{{sgd: {{lr: 1.0e30}}}}}}\n",
                               kPoints, kFlow));
  const fs::path out = folder / "report";
  const Ended ended = genzoo(compare_words({path.string(), config_on(folder.path(), "one_vae", kPoints, kVae)}, out,
                                           {"--budget", "20steps", "--seeds", "1"}));
  INFO(ended.err);
  REQUIRE(ended.code == 0);
  const Json json = results(out);
  CHECK(json.at("runs")[0].at("stopped_by").get<std::string>().find("diverged") != std::string::npos);
  CHECK(json.at("runs")[0].at("ending") == "diverged");
  CHECK(json.at("runs")[1].at("ending") == "complete");
  CHECK(read_text(out / "report.md").find("diverged") != std::string::npos);

  const Ended alone = genzoo(compare_words({path.string()}, folder / "alone", {"--budget", "20steps", "--seeds", "1"}));
  CHECK(alone.code == 3);
  CHECK_THAT(alone.err, Catch::Matchers::Contains("genzoo: every training diverged"));
  CHECK_THAT(read_text(folder / "alone" / "report.md"), Catch::Matchers::Contains("every training diverged"));
}

}  // namespace
}  // namespace genzoo
