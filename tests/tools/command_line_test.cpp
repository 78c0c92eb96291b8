// What the program says to a command line: help, versions, mistakes, and the verbs that need no run.
#include "core/json.h"
#include "core/version.h"
#include "tests/tools/program.h"

namespace genzoo {
namespace {

using Words = std::vector<std::string>;

TEST_CASE("no verb: help and exit 2; help: exit 0", "[tools]") {
  const Ended alone = genzoo({});
  CHECK(alone.code == 2);
  CHECK(alone.out == "");
  const Ended help = genzoo({"help"});
  CHECK(help.code == 0);
  CHECK(help.err == "");
  CHECK(help.out == alone.err);
  for (const char* verb : {"train",  "sample", "interpolate", "reconstruct", "generate", "score",   "classify",
                           "encode", "decode", "evaluate",    "compare",     "bench",    "models",  "datasets",
                           "config", "fetch",  "tokenizer",   "export",      "import",   "inspect", "list"}) {
    INFO(verb);
    CHECK(help.out.find(std::string("\n  ") + verb + " ") != std::string::npos);
  }

  const Ended verb = genzoo({"help", "sample"}), same = genzoo({"sample", "--help"});
  CHECK(verb.code == 0);
  CHECK(same.code == 0);
  CHECK(verb.out == same.out);
  CHECK(verb.out.find("usage: genzoo sample RUN") != std::string::npos);
  CHECK(verb.out.find("--out FILE") != std::string::npos);

  const Ended version = genzoo({"--version"});
  CHECK(version.code == 0);
  CHECK(version.out.starts_with("genzoo " + program_version()));
  CHECK(version.out.find("LibTorch " + libtorch_version()) != std::string::npos);
}

TEST_CASE("mistakes on the command line: one line, the nearest known name, exit 2", "[tools]") {
  const std::vector<std::pair<Words, std::string>> mistakes = {
      {{"sampel"}, "no verb 'sampel'; did you mean 'sample'? `genzoo help` lists them"},
      {{"frobnicate"}, "no verb 'frobnicate'; the nearest is 'generate'; `genzoo help` lists them"},
      {{"help", "trian"}, "no verb 'trian'; did you mean 'train'? `genzoo help` lists them"},
      {{"sample", "x", "--out", "x.png", "--colums", "3"},
       "sample: no option --colums; did you mean --columns? `genzoo sample --help` tells more"},
      {{"sample", "x", "--out", "x.png", "--col=3"},
       "sample: no option --col; the nearest is --columns; `genzoo sample --help` tells more"},
      {{"train", "x", "--gpu"}, "train: no option --gpu; the nearest is --set; `genzoo train --help` tells more"},
      {{"sample", "x", "-n", "3", "--out", "x.png"},
       "sample: no option -n; did you mean --n? `genzoo sample --help` tells more"},
      {{"sample", "x", "--out", "x.png", "--n", "many"},
       "sample: --n: got 'many', wanted an integer; `genzoo sample --help` tells more"},
      {{"sample", "x", "--out", "x.png", "--n", "-3"},
       "sample: --n: got '-3', wanted an integer that is positive; `genzoo sample --help` tells more"},
      {{"sample", "x", "--out", "x.png", "--n", "2", "--n", "3"},
       "sample: --n is given twice; `genzoo sample --help` tells more"},
      {{"sample", "x", "--out"}, "sample: --out wants a value: FILE; `genzoo sample --help` tells more"},
      {{"sample", "x"},
       "sample: --out FILE is missing: a .png or .safetensors to write; `genzoo sample --help` tells more"},
      {{"sample", "x", "--out", "x.gif"}, "--out x.gif: the file's name ends in '.gif', wanted .png or .safetensors"},
      {{"sample", "x", "--json=yes", "--out", "x.png"},
       "sample: --json takes no value; `genzoo sample --help` tells more"},
      {{"evaluate"}, "evaluate: RUN is missing, wanted: genzoo evaluate RUN; `genzoo evaluate --help` tells more"},
      {{"evaluate", "a", "b"},
       "evaluate: 'b' is one argument too many, wanted: genzoo evaluate RUN; `genzoo evaluate --help` tells more"},
      {{"evaluate", "a", "--split", "tests"},
       "evaluate: --split: got 'tests', wanted train or validation or test; `genzoo evaluate --help` tells more"},
      {{"generate", "a", "--top-p", "nan"},
       "generate: --top-p: got 'nan', wanted a number; `genzoo generate --help` tells more"},
      {{"evaluate", "no_such_run"},
       "no_such_run: there is no such run folder or checkpoint; `genzoo list` shows the runs there are"},
      {{"fetch", "mnits"},
       "fetch: no 'mnits'; did you mean 'mnist'? there are mnist, fashion_mnist, cifar10, "
       "tiny_shakespeare"},
      {{"models", "vea"},
       "models: no 'vea'; did you mean 'vae'? there are vae, gan, realnvp, transformer, bert, encoder_decoder, "
       "pixel_transformer, recurrent, recurrent_seq2seq, ngram, naive_bayes, classifier"},
      {{"list", "no_such_folder"},
       "no_such_folder: there is no such folder; runs lie in runs/ unless --run said otherwise"},
  };
  for (const auto& [words, message] : mistakes) {
    const Ended ended = genzoo(words);
    CHECK(ended.code == 2);
    CHECK(ended.out == "");
    CHECK(ended.err == "genzoo: " + message + "\n");
  }
}

TEST_CASE("config prints what it resolved, which resolves to itself; mistakes come all at once", "[tools]") {
  const TempDir folder;
  const std::string config = tiny_config("realnvp", folder.path());
  const Ended once = genzoo({"config", config, "--set", "train.steps=77", "--set", "seed=5"});
  REQUIRE(once.code == 0);
  CHECK(once.err == "");
  CHECK(once.out.find("steps: 77\n") != std::string::npos);
  write_text(folder / "again.yaml", once.out);
  CHECK(genzoo({"config", (folder / "again.yaml").string()}).out == once.out);
  const Ended flat = genzoo({"config", config, "--json"});
  CHECK(parse_json(flat.out, "stdout").at("train").at("steps") == 8);

  const Ended schema = genzoo({"config", "--schema"});
  REQUIRE(schema.code == 0);
  CHECK(parse_json(schema.out, "stdout").at("properties").contains("train"));
  CHECK(parse_json(schema.out, "stdout").at("required") == Json{"experiment", "data", "model"});

  const std::string wrong = (folder / "wrong.yaml").string();
  write_text(wrong,
             "experiment: x\n"
             "data: {eight_gausians: {}}\n"
             "model: {realnvp: {couplings: -1, hiden_dim: 8}}\n"
             "train: {steps: ten}\n");
  const Ended bad = genzoo({"config", wrong});
  CHECK(bad.code == 2);
  CHECK(bad.out == "");
  const std::vector<std::pair<std::string, std::string>> expected = {{":2:8: error: ", "eight_gaussians"},
                                                                     {":3:30: error: ", "couplings"},
                                                                     {":3:34: error: ", "hidden_dim"},
                                                                     {":4:16: error: ", "steps"}};
  std::istringstream lines(bad.err);
  std::string line;
  for (const auto& [place, word] : expected) {
    REQUIRE(std::getline(lines, line));
    INFO(line);
    CHECK(line.starts_with(wrong + place));
    CHECK(line.find(word) != std::string::npos);
  }
  CHECK(!std::getline(lines, line));
  // Training checks the same, before it makes anything.
  const Ended train = genzoo({"train", wrong}, {.folder = folder.path()});
  CHECK(train.code == 2);
  CHECK(train.err == bad.err);
  CHECK(!std::filesystem::exists(folder / "runs"));
}

TEST_CASE("models: what each can do with which data, its paper and its keys", "[tools]") {
  const Ended ended = genzoo({"models", "--json"});
  REQUIRE(ended.code == 0);
  const Json models = parse_json(ended.out, "stdout");
  REQUIRE(models.size() >= 4);
  std::map<std::string, Json> by_name;
  for (const Json& model : models) by_name[model.at("name")] = model;
  const auto can = [&](const std::string& name, const std::string& kind, const std::string& ability) {
    const Json& abilities = by_name.at(name).at("abilities");
    return abilities.contains(kind) && abilities[kind].dump().find('"' + ability) != std::string::npos;
  };
  CHECK(can("vae", "images", "reconstruct"));
  CHECK(can("vae", "images", "log_prob (lower_bound)"));
  CHECK(can("gan", "images", "sample"));
  CHECK(!can("gan", "images", "log_prob"));
  CHECK(can("realnvp", "vectors", "log_prob (exact)"));
  CHECK(can("transformer", "tokens", "generate"));
  CHECK(!can("transformer", "images", "sample"));
  CHECK(can("pixel_transformer", "images", "sample"));
  CHECK(can("pixel_transformer", "images", "log_prob (exact)"));
  CHECK(!can("pixel_transformer", "tokens", "sample"));
  for (const auto& [name, model] : by_name) {
    INFO(name);
    CHECK(!model.at("paper").get<std::string>().empty());
    CHECK(!model.at("keys").empty());
  }
  const Ended one = genzoo({"models", "vae"});
  CHECK(one.code == 0);
  CHECK(one.out.find("latent_dim") != std::string::npos);
}

TEST_CASE("datasets: none need be there; entropies of those that are made here", "[tools]") {
  const TempDir nowhere;
  const Surroundings where{
      .environment = {{"GENZOO_DATA", nowhere.path().string()}, {"XDG_CACHE_HOME", nowhere.path().string()}}};
  const Ended ended = genzoo({"datasets", "--json"}, where);
  REQUIRE(ended.code == 0);
  std::map<std::string, Json> sets;
  for (const Json& set : parse_json(ended.out, "stdout")) sets[set.at("name")] = set;
  CHECK(sets.at("cifar10").at("found") == false);
  CHECK(sets.at("cifar10").at("detail").get<std::string>().find(nowhere.path().string()) != std::string::npos);
  CHECK(sets.at("uniform_noise").at("found") == true);
  CHECK(sets.at("uniform_noise").at("entropy").get<double>() == Approx(28 * 28 * std::log(256.0)));
  CHECK(sets.at("checkerboard").at("entropy").get<double>() == Approx(std::log(32.0)));
  CHECK(sets.at("tiny_shakespeare").at("entropy").is_null());
  const Ended one = genzoo({"datasets", "cifar10"}, where);
  CHECK(one.code == 0);
  CHECK(one.out.find("not here") != std::string::npos);
}

TEST_CASE("standard output that cannot be written to: full, exit 1; closed, no noise", "[tools]") {
  if (!std::filesystem::exists("/dev/full")) SKIP("there is no /dev/full");
  const Ended full = genzoo({"help"}, {.standard_output = "/dev/full"});
  CHECK(full.code == 1);
  CHECK(full.err == "genzoo: cannot write to standard output: No space left on device\n");

  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const std::string writing_end = fmt::format("/proc/{}/fd/{}", ::getpid(), ends[1]);
  ::fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  ::fcntl(ends[1], F_SETFD, FD_CLOEXEC);
  Running running({"help"}, {.standard_output = writing_end});
  ::close(ends[0]);
  ::close(ends[1]);
  const Ended closed = running.wait();
  CHECK(closed.code == 0);
  CHECK(closed.err == "");
}

}  // namespace
}  // namespace genzoo
