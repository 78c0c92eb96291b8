#include "evaluation/contestants.h"

#include "core/error.h"
#include "tests/support.h"
#include "tests/trainers/tiny_experiment.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

fs::path config_file(const fs::path& folder, const std::string& experiment) {
  const fs::path path = folder / (experiment + ".yaml");
  ExperimentConfig config = tiny::experiment(tiny::kFlow, tiny::kPoints);
  config.experiment = experiment;
  write_file_whole(path, write_config(config));
  return path;
}

std::string refusal(const std::vector<std::string>& inputs) {
  try {
    read_contestants(inputs, "out", 2);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("a config is trained with each seed in a folder of its own", "[evaluation]") {
  const TempDir folder;
  const auto contestants = read_contestants({config_file(folder.path(), "one")}, "out", 3);
  REQUIRE(contestants.size() == 1);
  CHECK(contestants[0].name == "one");
  CHECK(contestants[0].to_train);
  REQUIRE(contestants[0].trainings.size() == 3);
  for (int64_t s = 0; s < 3; ++s) {
    CHECK(contestants[0].trainings[static_cast<size_t>(s)].seed == s);
    CHECK(contestants[0].trainings[static_cast<size_t>(s)].run ==
          fs::path("out/runs/one") / ("seed-" + std::to_string(s)));
  }
}

TEST_CASE("given runs that differ in their seed alone are seeds of one model", "[evaluation]") {
  const TempDir folder;
  const auto run = [&](const std::string& name, int64_t seed, const std::string& set) {
    ExperimentConfig config = tiny::experiment(tiny::kFlow, tiny::kPoints, {"train.steps=2", set});
    config.seed = seed;
    tiny::train(config, folder / name);
    return (folder / name).string();
  };
  const std::string five = run("five", 5, "train.batch_size=16"), two = run("two", 2, "train.batch_size=16");
  const std::string other = run("other", 5, "train.batch_size=8");
  const auto contestants = read_contestants({five, two, other}, "out", 9);
  REQUIRE(contestants.size() == 2);
  REQUIRE(contestants[0].trainings.size() == 2);
  CHECK_FALSE(contestants[0].to_train);
  CHECK(contestants[0].trainings[0].seed == 2);
  CHECK(contestants[0].trainings[1].run == five);
  CHECK(contestants[1].trainings.size() == 1);
  CHECK(contestants[0].name != contestants[1].name);  // of one experiment's name, told apart by their folders
  CHECK(contestants[1].name.find("other") != std::string::npos);
  CHECK(refusal({five, five}).find("same seed 5") != std::string::npos);
}

TEST_CASE("contestants that cannot be are refused before anything is trained", "[evaluation]") {
  const TempDir folder;
  const std::string one = config_file(folder.path(), "one");
  fs::create_directory(folder / "sub");
  const std::string again = config_file(folder / "sub", "one");
  CHECK(refusal({}).find("nothing to compare") != std::string::npos);
  CHECK(refusal({one, again}).find("two configs have the experiment 'one'") != std::string::npos);
  CHECK(refusal({(folder / "none.yaml").string()}).find("none.yaml") != std::string::npos);
  CHECK(refusal({(folder / "none").string()}).find("none") != std::string::npos);
}

TEST_CASE("under a budget all train by the comparison's cadences, without it by their own", "[evaluation]") {
  const TempDir folder;
  const Contestant c = read_contestants({config_file(folder.path(), "one")}, "out", 2)[0];
  const ExperimentConfig own = config_of_training(c, c.trainings[1], 0);
  CHECK(own.seed == 1);
  CHECK(own.train.steps == c.config.train.steps);
  CHECK(own.train.every.save == c.config.train.every.save);
  const ExperimentConfig budget = config_of_training(c, c.trainings[1], 500);
  CHECK(budget.train.steps == 500);
  CHECK(budget.train.every.save == 50);
  CHECK(budget.train.every.validate == 50);
  CHECK(budget.train.every.sample == 500);
  CHECK(budget.train.validate_examples == 1000);
  CHECK(config_of_training(c, c.trainings[0], 3).train.every.log == 1);
}

}  // namespace
}  // namespace genzoo
