// A run killed anywhere and resumed ends in the same checkpoint, byte for byte, as one that was not.
#include "core/json.h"
#include "tests/tools/program.h"
#include "trainers/run_folder.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

/// Kills the program as soon as the run's folder holds a checkpoint of at least `step`. Whether that was before its
/// end.
bool kill_after(Running& program, const RunFolder& run, int64_t step) {
  while (!program.has_ended()) {
    const auto steps = run.checkpoint_steps();
    if (!steps.empty() && steps.back() >= step) {
      program.signal(SIGKILL);
      return program.wait().code == 128 + SIGKILL;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

TEST_CASE("killed and resumed equals uninterrupted, byte for byte", "[tools]") {
  for (const std::string family : {"vae", "gan", "realnvp", "transformer"}) {
    DYNAMIC_SECTION(family) {
      const TempDir folder;
      const std::string config = tiny_config(family, folder.path());
      // Long enough to be killed in its middle; the sampling at the end is what takes longest.
      const std::vector<std::string> train = {"train", config, "--quiet", "--set", "train.steps=40"};
      const RunFolder whole(folder / "whole"), broken(folder / "broken");
      auto uninterrupted = train, first = train, second = train;
      uninterrupted.insert(uninterrupted.end(), {"--run", whole.path().string()});
      first.insert(first.end(), {"--run", broken.path().string()});
      second.insert(second.end(), {"--run", broken.path().string(), "--resume"});
      const Ended reference = genzoo(uninterrupted);
      INFO(reference.err);
      REQUIRE(reference.code == 0);

      bool killed = false;
      for (int attempt = 0; attempt < 5 && !killed; ++attempt) {
        fs::remove_all(broken.path());
        Running running(first);
        killed = kill_after(running, broken, 2 + 10 * (attempt % 3));
      }
      REQUIRE(killed);
      const int64_t reached = broken.checkpoint_steps().back();
      CHECK(reached < 40);
      // What a kill can leave behind is cleaned up or passed over.
      const Ended resumed = genzoo(second);
      INFO(resumed.err);
      REQUIRE(resumed.code == 0);
      CHECK(read_text(broken.log()).find(fmt::format("{{\"resumed_at\":{}}}", reached)) != std::string::npos);

      CHECK(broken.checkpoint_steps() == whole.checkpoint_steps());
      CHECK(read_text(broken.best()) == read_text(whole.best()));
      const std::string expected = read_text(whole.checkpoint(40));
      REQUIRE(!expected.empty());
      CHECK((read_text(broken.checkpoint(40)) == expected));
      CHECK(validation_losses(broken) == validation_losses(whole));
    }
  }
}

TEST_CASE("Ctrl-C saves a checkpoint and ends with 130, SIGTERM with 143", "[tools]") {
  const TempDir folder;
  const std::string config = tiny_config("realnvp", folder.path());
  for (const auto& [number, code, reason] :
       {std::tuple{SIGINT, 130, "stopped by SIGINT"}, std::tuple{SIGTERM, 143, "stopped by SIGTERM"}}) {
    const RunFolder run(folder / reason);
    Running running({"train", config, "--run", run.path().string(), "--set", "train.steps=1000000", "--set",
                     "train.every.save=1000000"});
    while (!running.has_ended() && read_text(run.log()).size() < 200) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    running.signal(number);
    const Ended ended = running.wait();
    CHECK(ended.code == code);
    REQUIRE(run.checkpoint_steps().size() == 1);
    const int64_t step = run.checkpoint_steps()[0];
    CHECK(step > 0);
    CHECK(ended.err.ends_with(fmt::format("genzoo: saved at step {}; go on with --resume\n", step)));
    CHECK(parse_json(read_text(run.run_json()), "run.json").at("exit_reason") == reason);
  }
}

TEST_CASE("another instruction set on resuming is a warning", "[tools]") {
  const TempDir folder;
  const std::string config = tiny_config("realnvp", folder.path()), run = folder / "run";
  const Surroundings plain{.environment = {{"ATEN_CPU_CAPABILITY", "default"}}};
  REQUIRE(genzoo({"train", config, "--run", run}).code == 0);
  const Json record = parse_json(read_text(folder / "run" / "run.json"), "run.json");
  if (record.at("cpu_capability") == "DEFAULT") SKIP("this processor has one instruction set");
  const Ended same = genzoo({"train", config, "--run", run, "--resume", "--set", "train.steps=10"});
  CHECK(same.code == 0);
  CHECK(same.err.find("warning") == std::string::npos);
  const Ended other = genzoo({"train", config, "--run", run, "--resume", "--set", "train.steps=12"}, plain);
  INFO(other.err);
  CHECK(other.code == 0);
  CHECK(other.err.find("warning: instruction set: ") != std::string::npos);
  CHECK(other.err.find(", DEFAULT now: the bytes will differ") != std::string::npos);
}

}  // namespace
}  // namespace genzoo
