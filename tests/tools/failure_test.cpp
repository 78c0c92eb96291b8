// Bad input and bad surroundings: one clear line, the right exit code, and nothing lost that was there.
#include <sys/mount.h>
#include <torch/cuda.h>

#include "core/file.h"
#include "core/safetensors.h"
#include "tests/tools/program.h"
#include "trainers/run_folder.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

/// It ends with `code` and says one line, which contains all of `parts`.
void check_failure(const Ended& ended, int code, const std::vector<std::string>& parts) {
  INFO(ended.err);
  CHECK(ended.code == code);
  CHECK(ended.out == "");
  CHECK(ended.err.starts_with("genzoo: "));
  CHECK(std::ranges::count(ended.err, '\n') == 1);
  for (const auto& part : parts) {
    INFO("wanted in it: " << part);
    CHECK(ended.err.find(part) != std::string::npos);
  }
}

/// One sample of a checkpoint, into a file that cannot be.
Ended draw_nowhere(const fs::path& checkpoint) {
  return genzoo({"sample", checkpoint.string(), "--threads", "1", "--n", "1", "--out", "/dev/null/x.safetensors"});
}

TEST_CASE("checkpoints that are damaged, cut short or another model's", "[tools]") {
  const TempDir folder;
  const std::string good = read_text(RunFolder(tiny_run("realnvp")).checkpoint(8));
  const fs::path path = folder / "checkpoint.safetensors";

  std::string bytes = good;
  bytes[bytes.size() - 5] = static_cast<char>(bytes[bytes.size() - 5] ^ 0x10);
  write_text(path, bytes);
  check_failure(draw_nowhere(path), 1, {path.string(), "SHA-256"});

  bytes = good;  // another setting in the header, which the data do not show
  const size_t setting = bytes.find("hidden_dim: ");
  REQUIRE(setting != std::string::npos);
  bytes[setting + 12] = static_cast<char>(bytes[setting + 12] ^ 1);
  write_text(path, bytes);
  check_failure(draw_nowhere(path), 1, {path.string(), "SHA-256"});

  write_text(path, good.substr(0, good.size() / 2));
  check_failure(draw_nowhere(path), 1, {path.string()});
  write_text(path, good.substr(0, 4));
  check_failure(draw_nowhere(path), 1, {path.string()});
  write_text(path, std::string(8, '\xff') + good.substr(8));
  check_failure(draw_nowhere(path), 1, {path.string()});

  write_safetensors(path, {{"x", torch::zeros({2, 2})}});
  check_failure(draw_nowhere(path), 1, {path.string(), "is no checkpoint of genzoo"});

  // The weights of one, the config of another.
  TensorFile other = read_safetensors(RunFolder(tiny_run("realnvp")).checkpoint(8));
  other.metadata["config"] = read_safetensors(RunFolder(tiny_run("gan")).checkpoint(8)).metadata.at("config");
  other.metadata.erase("checksum");
  write_safetensors(path, other.tensors, other.metadata, /*with_checksum=*/true);
  check_failure(draw_nowhere(path), 1, {path.string(), "the weights are another model's"});

  check_failure(draw_nowhere(folder / "nothing.safetensors"), 2, {"there is no such run folder or checkpoint"});
  check_failure(draw_nowhere(folder.path()), 2, {"no checkpoint in it; it is no run folder"});
}

TEST_CASE("a run cannot go on with a damaged checkpoint, nor in a folder in use", "[tools]") {
  const TempDir folder;
  const std::string config = tiny_config("realnvp", folder.path());
  const RunFolder run(folder / "run");
  fs::copy(tiny_run("realnvp"), run.path(), fs::copy_options::recursive);
  const auto resume = [&](const std::string& set) {
    return genzoo({"train", config, "--run", run.path().string(), "--resume", "--quiet", "--set", set});
  };
  const std::string good = read_text(run.checkpoint(8));
  write_text(run.checkpoint(8), good.substr(0, good.size() - 1));
  check_failure(resume("train.steps=10"), 1, {run.checkpoint(8).string()});
  write_text(run.checkpoint(8), good);
  {
    const auto lock = FolderLock::try_lock(run.path());
    REQUIRE(lock);
    check_failure(resume("train.steps=10"), 2, {run.path().string() + " is in use by another genzoo"});
  }
  CHECK(resume("train.steps=10").code == 0);
  CHECK(run.checkpoint_steps().back() == 10);
}

TEST_CASE("devices and data that are not there", "[tools]") {
  const TempDir folder;
  const std::string config = tiny_config("realnvp", folder.path());
  if (!torch::cuda::is_available()) {
    check_failure(genzoo({"train", config, "--run", (folder / "run").string(), "--device", "cuda"}), 2,
                  {"device 'cuda': this program finds no CUDA device here; use --device cpu or auto"});
  }
  check_failure(genzoo({"train", config, "--run", (folder / "run").string(), "--device", "gpu"}), 2,
                {"device 'gpu': it takes auto, cpu, cuda or cuda:N"});
  const std::string images = (folder / "images.yaml").string();
  write_text(images, "experiment: x\ndata: {cifar10: {}}\nmodel: {vae: {}}\n");
  check_failure(
      genzoo({"train", images, "--run", (folder / "run").string()},
             {.environment = {{"GENZOO_DATA", folder.path().string()}, {"XDG_CACHE_HOME", folder.path().string()}}}),
      1, {"data/cifar10: not found", (folder / "cifar10").string()});
  const std::string unfit = (folder / "unfit.yaml").string();
  write_text(unfit, "experiment: x\ndata: {eight_gaussians: {examples: 100}}\nmodel: {transformer: {}}\n");
  check_failure(genzoo({"train", unfit, "--run", (folder / "run").string()}), 2, {"transformer"});
  check_failure(genzoo({"config", (folder / "none.yaml").string()}), 2, {"no such file"});
  CHECK(!RunFolder(folder / "run").has_run());
}

TEST_CASE("a run folder that cannot be made", "[tools]") {
  const TempDir folder;
  const std::string config = tiny_config("realnvp", folder.path());
  write_text(folder / "file", "in the way");
  check_failure(genzoo({"train", config, "--run", (folder / "file").string()}), 1, {(folder / "file").string()});
  check_failure(genzoo({"train", config, "--run", (folder / "file" / "run").string()}), 1,
                {(folder / "file").string()});
  CHECK(read_text(folder / "file") == "in the way");
  check_failure(draw_nowhere(tiny_run("realnvp")), 1, {"/dev/null"});
}

TEST_CASE("a full disk: exit 1, and the last whole checkpoint is still good", "[tools]") {
  const TempDir folder;
  const std::string config = tiny_config("gan", folder.path());
  const fs::path disk = folder / "disk";
  fs::create_directory(disk);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=256k") != 0) SKIP("this process may not mount a small disk");
  const RunFolder run(disk / "run");
  const Ended ended = genzoo({"train", config, "--run", run.path().string(), "--quiet", "--set", "train.steps=2000",
                              "--set", "train.keep=2000"});
  const std::vector<int64_t> saved = run.checkpoint_steps();
  Ended sampled;
  if (!saved.empty()) {
    sampled = genzoo({"sample", run.path().string(), "--n", "1", "--out", (folder / "x.safetensors").string()});
  }
  size_t leftovers = 0;
  for (const auto& entry : fs::directory_iterator(run.checkpoints()))
    leftovers += entry.path().extension() != ".safetensors";
  ::umount2(disk.c_str(), MNT_DETACH);
  check_failure(ended, 1, {"No space left on device"});
  REQUIRE(!saved.empty());
  CHECK(sampled.code == 0);
  CHECK(leftovers == 0);
}

TEST_CASE("training that diverges: exit 3, the last good checkpoint stays", "[tools]") {
  const TempDir folder;
  const std::string config = tiny_config("vae", folder.path());
  // The first update throws the weights so far away that the second batch's loss is no number.
  const auto diverge = [&](const RunFolder& run, const std::string& save_every) {
    return genzoo({"train", config, "--run", run.path().string(), "--quiet", "--set", "train.every.save=" + save_every,
                   "--set", "train.optimizer={sgd: {lr: 1.0e+30}}", "--set", "train.clip_norm=0"});
  };
  const RunFolder unsaved(folder / "unsaved"), saved(folder / "saved");
  check_failure(diverge(unsaved, "8"), 3, {"step 2: ", "no checkpoint was saved yet"});
  CHECK(unsaved.checkpoint_steps().empty());
  CHECK(read_text(unsaved.run_json()).find("\"exit_reason\": \"diverged\"") != std::string::npos);

  check_failure(diverge(saved, "1"), 3, {"step 2: ", "the checkpoint of step 1 is still good"});
  REQUIRE(saved.checkpoint_steps() == std::vector<int64_t>{1});
  for (const auto& [name, tensor] : read_safetensors(saved.checkpoint(1)).tensors) {
    INFO(name);
    CHECK((!tensor.is_floating_point() || torch::isfinite(tensor).all().item<bool>()));
  }
}

TEST_CASE("the long form of an error is for those who debug", "[tools]") {
  const TempDir folder;
  // An error of LibTorch's: weights for which no machine has the memory.
  const std::vector<std::string> words{"train", tiny_config("vae", folder.path()), "--dry-run", "--set",
                                       "model.vae.latent_dim=100000000000000"};
  const Ended brief = genzoo(words);
  check_failure(brief, 1, {});
  const Ended full = genzoo(words, {.environment = {{"GENZOO_DEBUG", "1"}}});
  CHECK(full.code == 1);
  CHECK(full.err.size() > brief.err.size());
  CHECK(full.err.starts_with(brief.err));
}

TEST_CASE("an output never overwrites a checkpoint", "[tools]") {
  const TempDir folder;
  const fs::path checkpoint = folder / "kept.safetensors";
  fs::copy(RunFolder(tiny_run("realnvp")).checkpoint(8), checkpoint);
  const std::string before = read_text(checkpoint);
  check_failure(genzoo({"sample", checkpoint.string(), "--threads", "1", "--n", "1", "--out", checkpoint.string()}), 2,
                {"a run's checkpoint"});
  CHECK((read_text(checkpoint) == before));
}

TEST_CASE("what is not UTF-8 is refused before a training begins", "[tools]") {
  const TempDir folder;
  const std::string config = tiny_config("vae", folder.path());
  const std::string latin = (folder / "latin.yaml").string();
  write_text(latin, read_text(config) + "# caf\xe9\n");
  const Ended refused = genzoo({"config", latin});
  CHECK(refused.code == 2);
  CHECK(refused.err.find("error: not UTF-8") != std::string::npos);
  check_failure(genzoo({"config", config, "--set", "experiment=caf\xe9"}), 2, {"not UTF-8"});
  // A path may be any bytes.
  const Ended trained = genzoo({"train", config, "--quiet", "--run", (folder / "caf\xe9").string()});
  CHECK(trained.err == "");
  CHECK(trained.code == 0);
}

}  // namespace
}  // namespace genzoo
