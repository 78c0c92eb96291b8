// Every verb that reads a run, on tiny trained ones, and what training leaves behind.
#include "tests/tools/program.h"

#include "core/image.h"
#include "core/json.h"
#include "core/safetensors.h"
#include "trainers/checkpoint.h"
#include "trainers/run_folder.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

/// A verb on a run, on one thread; it must succeed and say nothing on stderr.
std::string ask(std::vector<std::string> words, const Surroundings& where = {}) {
  words.insert(words.end(), {"--threads", "1"});
  const Ended ended = genzoo(words, where);
  INFO(words[0] << ": " << ended.err);
  REQUIRE(ended.code == 0);
  CHECK(ended.err == "");
  return ended.out;
}

Json ask_json(std::vector<std::string> words) {
  words.emplace_back("--json");
  return parse_json(ask(words), "stdout");
}

Tensor array(const fs::path& path, const std::string& name) { return read_safetensors(path).tensors.at(name); }

TEST_CASE("train leaves a run folder and says where things are", "[tools]") {
  const TempDir folder;
  const std::string config = tiny_config("realnvp", folder.path());
  const Ended ended = genzoo({"train", config}, {.folder = folder.path()});
  INFO(ended.err);
  REQUIRE(ended.code == 0);
  const RunFolder run(folder / "runs" / "tiny_realnvp");
  CHECK(ended.out ==
        "run: runs/tiny_realnvp\nsamples: runs/tiny_realnvp/samples/000000008.png\n"
        "animation: runs/tiny_realnvp/samples/animation.webp\n");
  CHECK(ended.err.find("step 8/8") != std::string::npos);
  for (const auto& path : {run.config(), run.run_json(), run.log(), run.best(), run.checkpoint(8),
                           run.sample(0, ".png"), run.sample(8, ".png")}) {
    INFO(path);
    CHECK(fs::is_regular_file(path));
  }
  CHECK(run.checkpoint_steps().size() <= 3);  // keep: 2, and the best
  const Json record = parse_json(read_text(run.run_json()), "run.json");
  CHECK(record.at("exit_reason") == "finished");
  CHECK(record.at("command_line") == "genzoo train " + config);
  CHECK(record.at("threads") == 1);

  // The resolved config is a config, and gives the same run.
  const Ended again = genzoo({"train", run.config().string(), "--run", (folder / "again").string(), "--quiet"});
  CHECK(again.code == 0);
  CHECK(again.out + again.err == "");
  CHECK(read_text(RunFolder(folder / "again").checkpoint(8)) == read_text(run.checkpoint(8)));

  // What is finished stays; what is there is not overwritten.
  const Ended finished = genzoo({"train", config, "--resume"}, {.folder = folder.path()});
  CHECK(finished.code == 0);
  CHECK(finished.out.starts_with("finished already at step 8\n"));
  const Ended taken = genzoo({"train", config}, {.folder = folder.path()});
  CHECK(taken.code == 2);
  CHECK(taken.err ==
        "genzoo: runs/tiny_realnvp holds a run already, which is not overwritten; go on with it by --resume, or choose "
        "another folder by --run\n");
  const Ended changed = genzoo({"train", config, "--resume", "--set", "train.batch_size=8"}, {.folder = folder.path()});
  CHECK(changed.code == 2);
  CHECK(changed.err.find("train.batch_size: 16 in the run, 8 now") != std::string::npos);

  const Ended list = genzoo({"list"}, {.folder = folder.path()});
  CHECK(list.out.find("runs/tiny_realnvp  realnvp  eight_gaussians  finished  8/8") != std::string::npos);
  const Json runs = parse_json(genzoo({"list", folder.path().string(), "--json"}).out, "stdout");
  CHECK(runs.size() == 2);
  const TempDir empty;
  CHECK(genzoo({"list"}, {.folder = empty.path()}).out == "no runs in runs\n");
}

TEST_CASE("train --dry-run tells the costs and leaves nothing", "[tools]") {
  const TempDir folder;
  const Ended ended = genzoo({"train", tiny_config("gan", folder.path()), "--dry-run"}, {.folder = folder.path()});
  INFO(ended.err);
  REQUIRE(ended.code == 0);
  CHECK(ended.err == "");
  for (const char* part :
       {"experiment: tiny_gan\n", "latent_dim: 4", "parameters", "FLOP", "memory", "64 to train on"}) {
    INFO(part);
    CHECK(ended.out.find(part) != std::string::npos);
  }
  CHECK(!fs::exists(folder / "runs"));
}

TEST_CASE("sample: pictures and arrays, sample i the same whatever their number", "[tools]") {
  const TempDir folder;
  const std::string run = tiny_run("vae").string();
  ask({"sample", run, "--n", "6", "--columns", "3", "--out", (folder / "grid.png").string()});
  const Tensor grid = read_png(folder / "grid.png");
  CHECK(grid.size(2) > grid.size(1));
  ask({"sample", run, "--n", "3", "--seed", "4", "--out", (folder / "few.safetensors").string()});
  ask({"sample", run, "--n", "70", "--seed", "4", "--out", (folder / "many.safetensors").string()});
  const Tensor few = array(folder / "few.safetensors", "samples"), many = array(folder / "many.safetensors", "samples");
  CHECK(few.sizes() == at::IntArrayRef({3, 1, 28, 28}));
  CHECK(few.scalar_type() == torch::kByte);
  CHECK(torch::equal(few, many.narrow(0, 0, 3)));
  CHECK(!torch::equal(many[0], many[1]));
  ask({"sample", run, "--n", "3", "--seed", "4", "--mean", "--out", (folder / "mean.safetensors").string()});
  CHECK(!torch::equal(few, array(folder / "mean.safetensors", "samples")));

  const std::string flow = tiny_run("realnvp").string();
  const Json told = ask_json({"sample", flow, "--n", "5", "--out", (folder / "points.safetensors").string()});
  CHECK(told.at("n") == 5);
  CHECK(told.at("weights") == "ema");
  CHECK(array(folder / "points.safetensors", "samples").sizes() == at::IntArrayRef({5, 2}));
  ask({"sample", flow, "--weights", "raw", "--n", "5", "--out", (folder / "raw.safetensors").string()});
  CHECK(!torch::equal(array(folder / "points.safetensors", "samples"), array(folder / "raw.safetensors", "samples")));
  ask({"sample", flow, "--temperature", "0.5", "--out", (folder / "points.png").string()});
  CHECK(read_png(folder / "points.png").size(0) == 3);
}

TEST_CASE("interpolate and reconstruct", "[tools]") {
  const TempDir folder;
  ask({"interpolate", tiny_run("gan").string(), "--n", "2", "--steps", "5", "--out", (folder / "walk.png").string()});
  CHECK(read_png(folder / "walk.png").size(2) > 2 * read_png(folder / "walk.png").size(1));
  ask({"reconstruct", tiny_run("vae").string(), "--n", "4", "--columns", "4", "--out",
       (folder / "pairs.png").string()});
  CHECK(read_png(folder / "pairs.png").numel() > 0);
}

TEST_CASE("generate writes text and nothing else", "[tools]") {
  const std::string run = tiny_run("transformer").string();
  const std::string text = ask({"generate", run, "--prompt", "and the ", "--tokens", "20", "--seed", "1"});
  CHECK(text.starts_with("and the "));
  const Json texts = ask_json({"generate", run, "--prompt", "and the ", "--tokens", "20", "--n", "2", "--seed", "1"});
  REQUIRE(texts.size() == 2);
  CHECK(texts[0].get<std::string>().size() == 28);
  CHECK((text == texts[0].get<std::string>() || text == texts[0].get<std::string>() + "\n"));
  CHECK(texts[0] != texts[1]);
  const std::string greedy = ask({"generate", run, "--prompt", "and", "--greedy", "--tokens", "5", "--n", "2"});
  const size_t separator = greedy.find("---\n");
  REQUIRE(separator != std::string::npos);
  CHECK(greedy.substr(0, separator) == greedy.substr(separator + 4));
}

TEST_CASE("generate reads weights in fewer bits, and takes a draft", "[tools]") {
  const std::string run = tiny_run("transformer").string();
  const std::vector<std::string> words = {"generate", run, "--tokens", "20", "--greedy", "--threads", "1"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), words.begin(), words.end());
    return genzoo(more);
  };
  CHECK(with({"--weight-type", "int8"}).out.size() >= 20);
  const Ended drafted = with({"--draft", run, "--draft-tokens", "3"});
  CHECK(drafted.out == with({}).out);
  CHECK(drafted.err == "the draft proposed 13 tokens, 13 were accepted; 7 passes of the model gave 20\n");
  const Ended lone = with({"--draft-tokens", "3"});
  CHECK(lone.code == 2);
  CHECK(lone.err.find("give --draft RUN") != std::string::npos);
  const Ended image = with({"--draft", tiny_run("vae").string()});
  CHECK(image.code == 2);
  CHECK(image.err.find("generates no text: for --draft give the run of a smaller transformer") != std::string::npos);
}

TEST_CASE("encode, decode and score: arrays in, arrays out", "[tools]") {
  const TempDir folder;
  const std::string run = tiny_run("realnvp").string(), x = (folder / "x.safetensors").string();
  const Tensor points = torch::linspace(-2, 2, 12).view({6, 2}).contiguous();
  write_safetensors(x, {{"x", points}});
  ask({"encode", run, x, "--out", (folder / "z.safetensors").string()});
  ask({"decode", run, (folder / "z.safetensors").string(), "--out", (folder / "back.safetensors").string()});
  CHECK_THAT(array(folder / "back.safetensors", "x"), IsClose(points, 1e-4));

  const Json score = ask_json({"score", run, x, "--out", (folder / "scores.safetensors").string()});
  const TensorFile scores = read_safetensors(folder / "scores.safetensors");
  CHECK(scores.metadata.at("kind") == "exact");
  CHECK(score.at("kind") == "exact");
  CHECK(score.at("examples") == 6);
  CHECK(score.at("nats").get<double>() == Approx(-scores.tensors.at("log_prob").sum().item<double>()));

  write_text(folder / "document.txt", "and the evening and the morning");
  const Json text = ask_json({"score", tiny_run("transformer").string(), (folder / "document.txt").string()});
  CHECK(text.at("tokens") == 30);
  CHECK(text.at("bytes") == 31);
  CHECK(text.at("nats").get<double>() > 0);
  CHECK(ask({"score", tiny_run("transformer").string(), (folder / "document.txt").string()})
            .find("30 tokens, 31 bytes") != std::string::npos);
}

TEST_CASE("evaluate: numbers with unit, kind and error; one checkpoint file is enough for the rest", "[tools]") {
  const Json flow = ask_json({"evaluate", tiny_run("realnvp").string(), "--checkpoint", "best"});
  CHECK(flow.at("split") == "test");
  const Json& likelihood = flow.at("metrics")[0];
  CHECK(likelihood.at("name") == "likelihood");
  CHECK(likelihood.at("unit") == "nats");
  CHECK(likelihood.at("kind") == "exact");
  CHECK(likelihood.at("n") == 64);
  CHECK(likelihood.at("stderr").get<double>() > 0);

  const std::string table = ask({"evaluate", tiny_run("transformer").string(), "--metrics", "likelihood"});
  CHECK(table.find("nats/char") != std::string::npos);
  CHECK(table.find("+-") != std::string::npos);
  CHECK(table.find("note: text has no test split; this is validation\n") != std::string::npos);
  const std::string adversarial = ask({"evaluate", tiny_run("gan").string()});
  CHECK(adversarial.find("note: gan has no likelihood: ") != std::string::npos);

  // Away from its run and its data, a checkpoint still draws and is exported.
  const TempDir folder;
  fs::copy_file(RunFolder(tiny_run("transformer")).checkpoint(8), folder / "model.safetensors");
  CHECK(
      !ask({"generate", (folder / "model.safetensors").string(), "--tokens", "4"}, {.folder = folder.path()}).empty());
  const Json told =
      ask_json({"export", (folder / "model.safetensors").string(), "--out", (folder / "weights.safetensors").string()});
  const TensorFile weights = read_safetensors(folder / "weights.safetensors");
  CHECK(weights.tensors.size() == told.at("tensors"));
  const Checkpoint whole = read_checkpoint(folder / "model.safetensors");
  for (const auto& [name, tensor] : whole.below("ema.")) {
    INFO(name);
    CHECK(torch::equal(weights.tensors.at(name), tensor));
  }
}

TEST_CASE("what a model cannot do: why, and what it can; exit 2", "[tools]") {
  const TempDir folder;
  const std::string gan = tiny_run("gan").string(), flow = tiny_run("realnvp").string(),
                    text = tiny_run("transformer").string(), out = (folder / "out.png").string(),
                    x = (folder / "x.safetensors").string();
  write_safetensors(x, {{"x", torch::zeros({2, 1, 28, 28}, torch::kByte)}});
  const std::string implicit =
      "a GAN's density is implicit: it can be drawn from but not evaluated (Goodfellow et al., 2014)";
  const std::vector<std::pair<std::vector<std::string>, std::string>> refusals = {
      {{"score", gan, x}, "gan has no likelihood: " + implicit + "; it can: sample, decode"},
      {{"evaluate", gan, "--metrics", "likelihood"}, "gan has no likelihood: " + implicit + "; it can: sample, decode"},
      {{"reconstruct", gan, "--out", out}, "gan reconstructs nothing; it can: sample, decode"},
      {{"generate", gan}, "gan generates no text; it can: sample, decode"},
      {{"evaluate", gan, "--checkpoint", "best"}, ""},
      {{"sample", text, "--out", out}, "transformer draws no images or vectors; it can: "},
      {{"interpolate", text, "--out", out}, "transformer has no latent space to interpolate in; it can: "},
      {{"sample", flow, "--label", "1", "--out", out},
       "realnvp cannot be asked for a class: it learns all classes together; leave out --label; it can: "},
      {{"sample", flow, "--mean", "--out", out}, "realnvp: its samples have no mean to show; leave out --mean"},
      {{"score", flow, x}, "the array has shape 2x1x28x28 and type Byte; realnvp takes (N, 2) float32"},
      {{"evaluate", text, "--split", "test"}, "text has no test split; it has train and validation"},
      {{"encode", flow, (folder / "none.safetensors").string(), "--out", x}, ""},
  };
  for (auto [words, message] : refusals) {
    words.insert(words.end(), {"--threads", "1"});
    const Ended ended = genzoo(words);
    INFO(words[0] << " " << words[1] << ": " << ended.err);
    CHECK(ended.code == 2);
    CHECK(ended.out == "");
    CHECK(ended.err.starts_with("genzoo: " + message));
    CHECK(std::ranges::count(ended.err, '\n') == 1);
  }
  CHECK(!fs::exists(out));
}

}  // namespace
}  // namespace genzoo
