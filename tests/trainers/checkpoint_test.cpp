// All state of one step in one file: whole, checked, and enough by itself.
#include "trainers/checkpoint.h"

#include "tests/support.h"
#include "tests/trainers/tiny_experiment.h"
#include "trainers/samples.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;
using tiny::contains;
using tiny::experiment;
using tiny::message_of;
using tiny::train;

DataSpec points() {
  DataSpec spec;
  spec.dataset = "points";
  spec.shape = {2};
  return spec;
}

const NamedTensors& some_tensors() {
  static const NamedTensors tensors{{"model.a", torch::arange(6, torch::kFloat).view({2, 3})},
                                    {"model.b.c", torch::tensor(3.5f)},
                                    {"optimizer.step", torch::tensor(7.0f)}};
  return tensors;
}

TEST_CASE("a checkpoint reads back as it was written", "[trainers][checkpoint]") {
  const TempDir folder;
  const fs::path path = folder / "x.safetensors";
  save_checkpoint(path, {40, "experiment: x\n", points()}, 9, some_tensors());
  const Checkpoint read = read_checkpoint(path);
  CHECK(read.info.step == 40);
  CHECK(read.info.config == "experiment: x\n");
  CHECK(read.info.spec == points());
  const NamedTensors model = read.below("model.");
  REQUIRE(model.size() == 2);
  CHECK(torch::equal(model.at("a"), some_tensors().at("model.a")));
  CHECK(torch::equal(model.at("b.c"), some_tensors().at("model.b.c")));

  const auto header = read_safetensors_header(path);
  std::vector<std::string> keys;
  for (const auto& [key, value] : header.metadata) keys.push_back(key);
  CHECK(keys == std::vector<std::string>{"checksum", "config", "format", "seed", "spec", "step"});
  CHECK(header.metadata.at("seed") == "9");
}

TEST_CASE("a large tokenizer is a tensor of the checkpoint, a small one is in its metadata", "[trainers][checkpoint]") {
  const TempDir folder;
  const fs::path path = folder / "x.safetensors";
  DataSpec spec;
  spec.kind = DataKind::tokens;
  spec.vocabulary = 3;
  for (const size_t size : {size_t{100}, size_t{100000}}) {
    INFO(size);
    spec.tokenizer = std::string(size, '\xc3');  // any bytes, where it is a tensor
    if (size < 1000) spec.tokenizer = std::string(size, 'x');
    save_checkpoint(path, {1, "", spec}, 0, some_tensors());
    CHECK(read_safetensors_header(path).tensors.contains("data.tokenizer") == (size > 1000));
    CHECK(read_safetensors_header(path).metadata.at("spec").size() < 1000);
    const Checkpoint read = read_checkpoint(path);
    CHECK(read.info.spec == spec);
    CHECK(read.tensors.size() == some_tensors().size());
  }
  NamedTensors tensors = some_tensors();
  tensors["data.tokenizer"] = torch::zeros({3});
  save_checkpoint(path, {1, "", points()}, 0, tensors);
  CHECK(contains(message_of<RunError>([&] { read_checkpoint(path); }), "data.tokenizer is Float 3, wanted bytes"));
}

TEST_CASE("a damaged checkpoint is told in one line", "[trainers][checkpoint]") {
  const TempDir folder;
  const fs::path good = folder / "good.safetensors", bad = folder / "bad.safetensors";
  save_checkpoint(good, {1, "", points()}, 0, some_tensors());
  const std::string bytes = read_file(good);
  const auto complaint = [&](const std::string& content) {
    write_file_whole(bad, content);
    return message_of<RunError>([&] { read_checkpoint(bad); });
  };
  std::string flipped = bytes;
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  for (const std::string& message : {complaint(flipped), complaint(bytes.substr(0, bytes.size() - 3)),
                                     complaint(bytes.substr(0, 5)), complaint(""), complaint("no checkpoint at all")}) {
    INFO(message);
    CHECK(contains(message, "bad.safetensors"));
    CHECK_FALSE(contains(message, "\n"));
  }
  CHECK_THROWS_AS(read_checkpoint(folder / "none.safetensors"), UsageError);

  write_safetensors(bad, some_tensors());
  CHECK(contains(message_of<RunError>([&] { read_checkpoint(bad); }), "no checkpoint of genzoo"));
  write_safetensors(bad, some_tensors(), {{"format", "genzoo-checkpoint-9"}});
  CHECK(contains(message_of<RunError>([&] { read_checkpoint(bad); }), "genzoo-checkpoint-9"));
}

TEST_CASE("a checkpoint whose config this version cannot read is told in one line", "[trainers][checkpoint]") {
  const TempDir folder;
  const fs::path path = folder / "x.safetensors";
  save_checkpoint(path, {1, "experiment: x\nunheard: 1\nof: 2\n", points()}, 0, some_tensors());
  const std::string message =
      message_of<RunError>([&] { load_model(path, Which::newest, Weights::ema_if_any, "cpu"); });
  CHECK(contains(message, "x.safetensors: this genzoo cannot read the config it was trained with: "));
  CHECK(contains(message, "its config:"));
  CHECK_FALSE(contains(message, "\n"));
}

TEST_CASE("weights of another model are refused by name, and none is loaded", "[trainers][checkpoint]") {
  const auto config = experiment(tiny::kFlow, tiny::kPoints);
  const AnyModel model = make_model(config.model, points(), 0), other = make_model(config.model, points(), 1);
  NamedTensors saved, before;
  for (const auto& [name, tensor] : module_state(*model.module)) saved[name] = tensor.clone();
  for (const auto& [name, tensor] : module_state(*other.module)) before[name] = tensor.clone();
  REQUIRE(saved.size() >= 3);
  const std::string missing = saved.begin()->first, misshapen = saved.rbegin()->first;
  saved.erase(missing);
  saved[misshapen] = torch::zeros({77});
  saved["stranger"] = torch::zeros({1});
  const std::string message = message_of<RunError>([&] { load_module_state(*other.module, saved, "here"); });
  INFO(message);
  CHECK(message.starts_with("here: "));
  CHECK(contains(message, missing + " is missing"));
  CHECK(contains(message, misshapen + " is Float (77), wanted Float ("));
  CHECK(contains(message, "stranger is left over"));
  for (const auto& [name, tensor] : module_state(*other.module)) CHECK(torch::equal(tensor, before.at(name)));
}

TEST_CASE("a run's newest and best checkpoint are found, or it is said what there is", "[trainers][checkpoint]") {
  const TempDir folder;
  const RunFolder run(folder / "run");
  CHECK(contains(message_of<UsageError>([&] { find_checkpoint(run.path(), Which::newest); }), "no such run"));
  fs::create_directories(run.checkpoints());
  CHECK(contains(message_of<UsageError>([&] { find_checkpoint(run.path(), Which::newest); }), "no checkpoint in it"));
  for (const int64_t step : {2, 4}) write_file_whole(run.checkpoint(step), "");
  CHECK(find_checkpoint(run.path(), Which::newest) == run.checkpoint(4));
  CHECK(contains(message_of<UsageError>([&] { find_checkpoint(run.path(), Which::best); }), "steps 2, 4"));
  write_file_whole(run.best(), "2\n");
  CHECK(find_checkpoint(run.path(), Which::best) == run.checkpoint(2));
  CHECK(find_checkpoint(run.checkpoint(2), Which::best) == run.checkpoint(2));  // the file itself
}

TEST_CASE("the averaged weights are used when there are any, the raw ones on request", "[trainers][checkpoint]") {
  for (const char* model : {tiny::kFlow, tiny::kGan}) {
    DYNAMIC_SECTION(model) {
      const TempDir folder;
      const auto config = experiment(model, model == tiny::kFlow ? tiny::kPoints : tiny::kNoise, {"train.steps=3"});
      train(config, folder / "run");
      const LoadedModel averaged = load_model(folder / "run", Which::newest, Weights::ema_if_any, "cpu");
      const LoadedModel raw = load_model(folder / "run", Which::newest, Weights::raw, "cpu");
      CHECK(averaged.has_ema);
      CHECK_FALSE(raw.has_ema);
      CHECK_FALSE(averaged.model.module->is_training());
      const Checkpoint checkpoint = read_checkpoint(averaged.path);
      const NamedTensors ema = checkpoint.below("ema."), own = checkpoint.below("model.");
      const NamedTensors used = module_state(*averaged.model.module), unused = module_state(*raw.model.module);
      REQUIRE_FALSE(ema.empty());
      bool differ = false;
      for (const auto& [name, tensor] : own) {
        INFO(name);
        CHECK(torch::equal(unused.at(name), tensor));
        CHECK(torch::equal(used.at(name), ema.contains(name) ? ema.at(name) : tensor));
        differ |= !torch::equal(used.at(name), tensor);
        if (averaged.model.can.game) CHECK(ema.contains(name) == name.starts_with("generator."));
      }
      CHECK(differ);
    }
  }
}

TEST_CASE("a checkpoint file alone suffices to sample, and holds nothing of time or place", "[trainers][checkpoint]") {
  const TempDir folder;
  const auto config = experiment(tiny::kVae, tiny::kPoints, {"train.steps=2"});
  train(config, folder / "run");
  train(config, folder / "elsewhere/again");
  const fs::path original = RunFolder(folder / "run").checkpoint(2), alone = folder / "alone.safetensors";
  CHECK(tiny::same_bytes(original, RunFolder(folder / "elsewhere/again").checkpoint(2)));
  fs::copy_file(original, alone);
  fs::remove_all(folder / "run");
  const LoadedModel copy = load_model(alone, Which::newest, Weights::ema_if_any, "cpu");
  CHECK(copy.run.empty());
  CHECK(copy.step == 2);
  CHECK(copy.spec.dataset == "eight_gaussians");
  const LoadedModel again = load_model(folder / "elsewhere/again", Which::best, Weights::ema_if_any, "cpu");
  CHECK(again.run == folder / "elsewhere/again");
  const auto samples = [](const LoadedModel& loaded) {
    return draw_samples(loaded.model, 5, 1, Purpose::sample, {}, torch::kCPU);
  };
  CHECK(torch::equal(samples(copy), samples(again)));
}

}  // namespace
}  // namespace genzoo
