// A run's folder: what lies in it after a training, and what it tells.
#include "trainers/run_folder.h"

#include <set>

#include "core/version.h"
#include "tests/support.h"
#include "tests/trainers/tiny_experiment.h"
#include "trainers/schedule.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;
using tiny::experiment;
using tiny::train;

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& item : fs::directory_iterator(folder)) names.insert(item.path().filename().string());
  return names;
}

TEST_CASE("a run folder holds what is promised", "[trainers][run_folder]") {
  const TempDir folder;
  const RunFolder run(folder / "run");
  const auto config = experiment(tiny::kFlow, tiny::kPoints);
  const TrainOutcome outcome = train(config, run.path());
  CHECK(outcome.code == ExitCode::done);
  CHECK(outcome.step == 6);

  auto names = names_in(run.path());
  const auto events = std::erase_if(names, [](const auto& name) { return name.starts_with("events.out.tfevents."); });
  CHECK(events == 1);
  names.erase(".lock");
  CHECK(names == std::set<std::string>{"best", "checkpoints", "config.yaml", "log.jsonl", "run.json", "samples"});
  CHECK(names_in(run.samples()) == std::set<std::string>{"000000000.png", "000000006.png", "animation.webp"});
  auto checkpoints = names_in(run.checkpoints());
  REQUIRE(run.best_step());
  checkpoints.erase(run.checkpoint(*run.best_step()).filename().string());
  checkpoints.insert({"000000004.safetensors", "000000006.safetensors"});  // keep: 2
  CHECK(checkpoints.size() == 2);

  // Read back it is the same config, but that what was left open is decided.
  const auto resolved = read_config<ExperimentConfig>(ConfigSource::from_file(run.config()));
  CHECK(write_config(resolved) == write_config(config));
}

TEST_CASE("the log has a line for every step and every validation", "[trainers][run_folder]") {
  const TempDir folder;
  const RunFolder run(folder / "run");
  train(experiment(tiny::kFlow, tiny::kPoints), run.path());
  std::vector<int64_t> trained, validated;
  for (const Json& line : tiny::log_lines(run)) {
    INFO(line.dump());
    if (line.contains("monitors")) continue;
    const bool is_training = line.at("split") == "train";
    (is_training ? trained : validated).push_back(line.at("step").get<int64_t>());
    CHECK(line.at("loss").is_number());
    CHECK(line.at("seconds").get<double>() >= 0);
    CHECK(line.contains("lr") == is_training);
    CHECK(line.contains("items_per_s") == is_training);
    if (is_training) CHECK(line.at("lr") == 1e-3);
    if (is_training) CHECK(line.at("gradient_norm").get<double>() > 0);  // clip_norm is on
  }
  CHECK(trained == std::vector<int64_t>{1, 2, 3, 4, 5, 6});
  CHECK(validated == std::vector<int64_t>{2, 4, 6});

  train(experiment(tiny::kFlow, tiny::kPoints, {"train.steps=7"}), run.path(), /*resume=*/true);
  const auto lines = tiny::log_lines(run);
  const auto resumed = std::ranges::find_if(lines, [](const Json& line) { return line.contains("resumed_at"); });
  REQUIRE(resumed != lines.end());
  CHECK(*resumed == Json{{"resumed_at", 6}});
}

TEST_CASE("the log tells each step's own learning rate, and always the last step", "[trainers][run_folder]") {
  const TempDir folder;
  const RunFolder run(folder / "run");
  const auto config = experiment(tiny::kFlow, tiny::kPoints,
                                 {"train.schedule={linear: {warmup_steps: 2}}", "train.steps=7", "train.every.log=3"});
  train(config, run.path());
  std::vector<int64_t> logged;
  for (const Json& line : tiny::log_lines(run)) {
    if (line.at("split") != "train") continue;
    const auto step = line.at("step").get<int64_t>();
    logged.push_back(step);
    CHECK(line.at("lr") == learning_rate(config.train.schedule, 1e-3, step - 1, 7));  // of the update that led here
  }
  CHECK(logged == std::vector<int64_t>{3, 6, 7});
}

TEST_CASE("run.json tells what the config does not", "[trainers][run_folder]") {
  const TempDir folder;
  const RunFolder run(folder / "run");
  const auto config = experiment(tiny::kFlow, tiny::kPoints, {"train.steps=2"});
  train(config, run.path());
  Json json = parse_json(read_file(run.run_json()), "run.json");
  for (const char* key : {"genzoo", "libtorch", "git_commit", "build", "started", "ended"}) {
    INFO(key);
    CHECK_FALSE(json.at(key).get<std::string>().empty());
  }
  CHECK(json.at("device") == "cpu");
  CHECK(json.at("threads") == 1);
  CHECK(json.at("command_line") == "genzoo train tiny.yaml");
  CHECK(json.at("exit_reason") == "finished");
  CHECK(json.at("step") == 2);
  const Checkpoint checkpoint = read_checkpoint(run.checkpoint(2));
  const AnyModel model = make_model(config.model, checkpoint.info.spec, 0);
  CHECK(json.at("parameters") == parameter_count(*model.module));

  const Json started = json.at("started");
  train(experiment(tiny::kFlow, tiny::kPoints, {"train.steps=3"}), run.path(), /*resume=*/true);
  json = parse_json(read_file(run.run_json()), "run.json");
  CHECK(json.at("started") == started);
  CHECK(json.at("resumed").size() == 1);
}

TEST_CASE("the best is the lowest validation loss among the saved, and is never pruned", "[trainers][run_folder]") {
  const TempDir folder;
  const RunFolder run(folder / "run");
  // A learning rate so high that the loss goes up and down.
  train(experiment(tiny::kVae, tiny::kPoints,
                   {"train.steps=16", "train.optimizer.adamw.lr=0.2", "train.every.save=1", "train.every.validate=3",
                    "train.keep=1", "train.ema=none"}),
        run.path());
  const auto losses = validation_losses(run);
  REQUIRE(losses.size() == 16);  // whatever is saved is validated
  const auto lowest = std::ranges::min_element(losses, {}, [](const auto& loss) { return loss.second; });
  INFO("lowest loss " << lowest->second << " at step " << lowest->first);
  REQUIRE(lowest->first < 16);
  CHECK(run.best_step() == lowest->first);
  CHECK(run.checkpoint_steps() == std::vector<int64_t>{lowest->first, 16});
}

TEST_CASE("a model without a validation loss has no best", "[trainers][run_folder]") {
  const TempDir folder;
  const RunFolder run(folder / "run");
  train(experiment(tiny::kGan, tiny::kNoise, {"train.steps=2"}), run.path());
  CHECK_FALSE(run.best_step());
  CHECK_FALSE(fs::exists(run.best()));
  CHECK(validation_losses(run).empty());
  CHECK(tiny::contains(tiny::message_of<UsageError>([&] { find_checkpoint(run.path(), Which::best); }), "steps 2"));
}

TEST_CASE("pruning keeps the newest and the best, and what is no checkpoint", "[trainers][run_folder]") {
  const TempDir folder;
  const RunFolder run(folder.path());
  fs::create_directories(run.checkpoints());
  for (const int64_t step : {30, 5, 20, 1000, 10}) write_file_whole(run.checkpoint(step), "");
  write_file_whole(run.checkpoints() / "notes.txt", "");
  write_file_whole(run.checkpoints() / "mine.safetensors", "");
  CHECK(run.checkpoint_steps() == std::vector<int64_t>{5, 10, 20, 30, 1000});
  write_file_whole(run.best(), "10\n");
  run.prune(2);
  CHECK(run.checkpoint_steps() == std::vector<int64_t>{10, 30, 1000});
  CHECK(fs::exists(run.checkpoints() / "mine.safetensors"));
  write_file_whole(run.best(), "5\n");
  CHECK_FALSE(run.best_step());  // it is not there any more
}

TEST_CASE("of two lines for one step the last counts, and damaged ones do not", "[trainers][run_folder]") {
  const TempDir folder;
  const RunFolder run(folder.path());
  write_file_whole(run.log(),
                   "{\"step\":2,\"split\":\"validation\",\"loss\":3.0}\n"
                   "{\"step\":1,\"split\":\"train\",\"loss\":9.0}\n"
                   "{\"step\":4,\"split\":\"validation\",\"loss\":null}\n"
                   "{\"resumed_at\":1}\n"
                   "{\"step\":2,\"split\":\"validation\",\"loss\":2.5}\n"
                   "{\"step\":6,\"split\":\"vali");
  CHECK(validation_losses(run) == std::vector<std::pair<int64_t, double>>{{2, 2.5}});
}

TEST_CASE("only what is saved can be the best", "[trainers][run_folder]") {
  const TempDir folder;
  const RunFolder run(folder.path());
  fs::create_directories(run.checkpoints());
  for (const int64_t step : {2, 4, 6}) write_file_whole(run.checkpoint(step), "");
  write_file_whole(run.log(),
                   "{\"step\":2,\"split\":\"validation\",\"loss\":3.0}\n"
                   "{\"step\":3,\"split\":\"validation\",\"loss\":1.0}\n"
                   "{\"step\":4,\"split\":\"validation\",\"loss\":2.0}\n"
                   "{\"step\":6,\"split\":\"validation\",\"loss\":4.0}\n");
  settle_checkpoints(run, 1);
  CHECK(run.best_step() == 4);
  CHECK(run.checkpoint_steps() == std::vector<int64_t>{4, 6});
}

TEST_CASE("seconds go on from the last line before the step that is resumed", "[trainers][run_folder]") {
  const TempDir folder;
  const RunFolder run(folder / "run");
  const auto config = experiment(tiny::kFlow, tiny::kPoints, {"train.steps=2"});
  train(config, run.path());
  CHECK(seconds_logged(run, 0) == 0);
  const double first = seconds_logged(run, 1), second = seconds_logged(run, 2);
  CHECK(first > 0);
  CHECK(second > first);
  train(experiment(tiny::kFlow, tiny::kPoints, {"train.steps=3"}), run.path(), /*resume=*/true);
  CHECK(seconds_logged(run, 3) > second);
}

TEST_CASE("a list of runs tells how each ended", "[trainers][run_folder]") {
  const TempDir folder;
  const fs::path run = folder / "a/finished";
  train(experiment(tiny::kFlow, tiny::kPoints), run);
  CHECK(list_runs(folder.path()).size() == 1);
  RunSummary summary = summarize_run(run);
  CHECK(summary.experiment == "tiny");
  CHECK(summary.model == "realnvp");
  CHECK(summary.dataset == "eight_gaussians");
  CHECK(summary.status == "finished");
  CHECK(summary.step == 6);
  CHECK(summary.steps == 6);
  CHECK(summary.best_step == RunFolder(run).best_step());
  CHECK_THAT(summary.device, Catch::Matchers::StartsWith("cpu, "));
  CHECK_THAT(summary.program, Catch::Matchers::StartsWith("genzoo " + program_version() + " "));
  REQUIRE(summary.best_loss);
  for (const auto& [step, loss] : validation_losses(RunFolder(run))) CHECK(*summary.best_loss <= loss);

  write_file_whole(RunFolder(run).run_json(), "{\"exit_reason\": \"running\", \"started\": \"\"}");
  CHECK(summarize_run(run).status == "interrupted");  // killed: nobody holds its lock
  {
    const auto lock = FolderLock::try_lock(run);
    CHECK(summarize_run(run).status == "running");
  }
  CHECK_THROWS_AS(list_runs(folder / "nowhere"), UsageError);
}

}  // namespace
}  // namespace genzoo
