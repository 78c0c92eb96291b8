// Laws of training, whole experiments in a folder: resumed is uninterrupted, what is refused, what diverges.
#include "trainers/trainer.h"

#include <ATen/Parallel.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "core/image.h"
#include "tests/support.h"
#include "tests/trainers/tiny_experiment.h"
#include "trainers/samples.h"
#include "trainers/timing.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;
using tiny::contains;
using tiny::experiment;
using tiny::message_of;
using tiny::train;

struct Family {
  const char* model;
  const char* data;
};

constexpr const char* kActnormFlow = "{realnvp: {couplings: 2, hidden_dim: 8, normalization: actnorm}}";

/// One of each kind of training: batch statistics, statistics of the first batch, noise in the loss, two players,
/// dropout.
const std::vector<Family>& families() {
  static const std::vector<Family> list{{tiny::kFlow, tiny::kPoints},
                                        {kActnormFlow, tiny::kPoints},
                                        {tiny::kVae, tiny::kPoints},
                                        {tiny::kGan, tiny::kNoise},
                                        {tiny::kTransformer, tiny::kText}};
  return list;
}

NamedTensors tensors_of(const RunFolder& run, int64_t step) { return read_checkpoint(run.checkpoint(step)).tensors; }

void check_same_bits(const NamedTensors& got, const NamedTensors& wanted) {
  REQUIRE(got.size() == wanted.size());
  for (const auto& [name, tensor] : wanted) {
    INFO(name);
    CHECK(torch::equal(got.at(name), tensor));
  }
}

/// Sends its own process a signal once a step is logged.
class Interrupter final : public Observer {
 public:
  explicit Interrupter(int64_t step) : step_(step) {}
  void begin(int64_t, int64_t, bool) override {}
  void line(const LogLine& line) override {
    if (line.step == step_ && line.split == Split::train) std::raise(SIGINT);
  }
  void samples(int64_t, const SampleOutput&) override {}
  void end(int64_t, const std::string&) override {}

 private:
  int64_t step_;
};

TEST_CASE("a training stopped by a signal and resumed ends in the bytes of one that was not", "[trainers][resume]") {
  for (const auto& [model, data] : families()) {
    DYNAMIC_SECTION(model) {
      const TempDir folder;
      const RunFolder whole(folder / "whole"), broken(folder / "broken");
      const auto config = experiment(model, data);
      REQUIRE(train(config, whole.path()).reason == "finished");
      {
        const Dataset dataset = open_dataset(config.data, {});
        std::filesystem::create_directories(broken.path());
        write_file_whole(broken.config(), write_config(config));
        Trainer trainer(config, dataset, broken);
        trainer.add(std::make_unique<JsonLog>(broken));
        trainer.add(std::make_unique<Interrupter>(3));
        const TrainOutcome outcome = trainer.run();
        CHECK(outcome.code == ExitCode::interrupted);
        CHECK(outcome.reason == "stopped by SIGINT");
        CHECK(broken.checkpoint_steps() == std::vector<int64_t>{2, 3});
      }
      CHECK(train(config, broken.path(), /*resume=*/true).step == 6);
      CHECK(tiny::same_bytes(broken.checkpoint(6), whole.checkpoint(6)));
      CHECK(broken.best_step() == whole.best_step());
    }
  }
}

TEST_CASE("a training lengthened later is the longer training", "[trainers][resume]") {
  for (const auto& [model, data] : families()) {
    DYNAMIC_SECTION(model) {
      const TempDir folder;
      const RunFolder whole(folder / "whole"), longer(folder / "longer");
      train(experiment(model, data), whole.path());
      train(experiment(model, data, {"train.steps=3"}), longer.path());
      train(experiment(model, data), longer.path(), /*resume=*/true);
      CHECK(tiny::same_bytes(longer.checkpoint(6), whole.checkpoint(6)));
    }
  }
}

TEST_CASE("a run that is finished says so and stays as it is", "[trainers][resume]") {
  const TempDir folder;
  const RunFolder run(folder / "run");
  const auto config = experiment(tiny::kFlow, tiny::kPoints);
  train(config, run.path());
  const std::string log = read_file(run.log()), checkpoint = read_file(run.checkpoint(6));
  const std::string record = read_file(run.run_json());
  const TrainOutcome again = train(config, run.path(), /*resume=*/true);
  CHECK(again.code == ExitCode::done);
  CHECK(again.reason == "finished already");
  CHECK(again.step == 6);
  CHECK(read_file(run.log()) == log);
  CHECK((read_file(run.checkpoint(6)) == checkpoint));
  CHECK(read_file(run.run_json()) == record);

  write_file_whole(run.checkpoint(6), checkpoint.substr(0, 1000));  // then it is not finished
  const std::string message = message_of<RunError>([&] { train(config, run.path(), /*resume=*/true); });
  CHECK(contains(message, "remove that file to go on from step 4"));
  fs::remove(run.checkpoint(6));
  CHECK(train(config, run.path(), /*resume=*/true).step == 6);
  CHECK((read_file(run.checkpoint(6)) == checkpoint));
}

TEST_CASE("a training that is refused leaves nothing behind", "[trainers]") {
  const TempDir folder;
  const fs::path run = folder / "run";
  for (const auto& config :
       {experiment(tiny::kFlow, "{text: {file: /nowhere/at/all.txt}}"), experiment(tiny::kTransformer, tiny::kPoints),
        experiment(tiny::kFlow, tiny::kPoints, {"train.optimizers.generator=adam"})}) {
    CHECK_FALSE(message_of<UsageError>([&] { train(config, run); }).empty());
    CHECK_FALSE(fs::exists(run));
  }
}

TEST_CASE("files that a run would overwrite are not", "[trainers]") {
  const TempDir folder;
  write_file_whole(folder / "best", "of all worlds");
  const std::string message =
      message_of<UsageError>([&] { train(experiment(tiny::kFlow, tiny::kPoints), folder.path()); });
  CHECK(contains(message, "holds best"));
  CHECK(read_file(folder / "best") == "of all worlds");
}

TEST_CASE("a run that began and saved nothing goes on, and says where", "[trainers][resume]") {
  const TempDir folder;
  const RunFolder run(folder / "run"), whole(folder / "whole");
  const auto config = experiment(tiny::kFlow, tiny::kPoints);
  train(config, whole.path());
  train(config, run.path());
  for (const int64_t step : run.checkpoint_steps()) fs::remove(run.checkpoint(step));
  train(config, run.path(), /*resume=*/true);
  CHECK(tiny::same_bytes(run.checkpoint(6), whole.checkpoint(6)));
  const auto lines = tiny::log_lines(run);
  CHECK(std::ranges::count(lines, Json{{"resumed_at", 0}}) == 1);
  CHECK(parse_json(read_file(run.run_json()), "run.json").at("resumed").size() == 1);
}

TEST_CASE("a picture somebody put among the samples does not spoil a training", "[trainers]") {
  const TempDir folder;
  const RunFolder run(folder / "run");
  const auto config = experiment(tiny::kFlow, tiny::kPoints, {"train.steps=3", "train.every.sample=1"});
  train(experiment(tiny::kFlow, tiny::kPoints, {"train.steps=2", "train.every.sample=1"}), run.path());
  write_file_whole(run.samples() / "notes.png", "no picture");
  write_file_whole(run.sample(1, ".png"), "spoiled");
  CHECK(train(config, run.path(), /*resume=*/true).reason == "finished");
  CHECK(fs::exists(run.samples() / "animation.webp"));
}

TEST_CASE("normalization over a single value is refused, not trained", "[trainers]") {
  const TempDir folder;
  const auto config = experiment(tiny::kFlow, tiny::kPoints, {"train.batch_size=2", "train.shards=2"});
  CHECK(contains(message_of<UsageError>([&] { train(config, folder / "run"); }), "two examples"));
}

TEST_CASE("a folder with a run in it, or in use, is refused", "[trainers][resume]") {
  const TempDir folder;
  const RunFolder run(folder / "run");
  const auto config = experiment(tiny::kFlow, tiny::kPoints, {"train.steps=1"});
  {
    const auto lock = FolderLock::try_lock(run.path());
    REQUIRE(lock);
    CHECK(contains(message_of<UsageError>([&] { train(config, run.path()); }), "in use"));
    CHECK_FALSE(run.has_run());
  }
  train(config, run.path());
  const std::string message = message_of<UsageError>([&] { train(config, run.path()); });
  CHECK(contains(message, "--resume"));
  CHECK(contains(message, "--run"));
  CHECK(run.checkpoint_steps() == std::vector<int64_t>{1});
}

TEST_CASE("--resume refuses a changed experiment and names what changed", "[trainers][resume]") {
  const TempDir folder;
  const auto run = folder / "run";
  train(experiment(tiny::kFlow, tiny::kPoints, {"train.steps=2"}), run);
  const std::string message = message_of<UsageError>(
      [&] { train(experiment(tiny::kFlow, tiny::kPoints, {"train.batch_size=8", "seed=4"}), run, true); });
  CHECK(contains(message, "train.batch_size: 16 in the run, 8 now"));
  CHECK(contains(message, "seed: 3 in the run, 4 now"));
  CHECK_FALSE(contains(message, "train.steps"));  // its schedule is constant
  CHECK(train(experiment(tiny::kFlow, tiny::kPoints, {"train.steps=3", "train.every.log=2", "train.keep=5"}), run, true)
            .step == 3);
}

TEST_CASE("which changes a resumed config may have", "[trainers][resume]") {
  const auto changes = [](const std::vector<std::string>& sets, const std::vector<std::string>& both = {}) {
    auto all = both;
    all.insert(all.end(), sets.begin(), sets.end());
    ExperimentConfig run = experiment(tiny::kFlow, tiny::kPoints, both);
    ExperimentConfig now = experiment(tiny::kFlow, tiny::kPoints, all);
    return compare_configs(run, now);
  };
  for (const char* allowed : {"train.every.save=7", "train.keep=9", "train.steps=60"}) {
    INFO(allowed);
    CHECK(changes({allowed}).refused.empty());
    CHECK(changes({allowed}).warned.empty());
  }
  for (const char* warned : {"threads=2", "train.shards=2", "device=cuda", "train.cuda_graph=true"}) {
    INFO(warned);
    CHECK(changes({warned}).refused.empty());
    CHECK(changes({warned}).warned.size() == 1);
  }
  for (const char* refused :
       {"train.clip_norm=1.0", "model.realnvp.hidden_dim=9", "train.ema=none", "experiment=other", "seed=9",
        "data.eight_gaussians.examples=64", "train.batch_size=8", "train.accumulate=2", "train.precision=bfloat16",
        "train.optimizer.adamw.lr=0.1", "train.optimizer=sgd", "train.optimizers.generator=adam",
        "train.schedule.constant.warmup_steps=2", "train.ema.halflife_images=65", "train.validate_examples=9",
        "train.deterministic=false"}) {
    INFO(refused);
    CHECK_FALSE(changes({refused}).refused.empty());
  }
  for (const char* schedule : {"train.schedule=cosine", "train.schedule=linear"}) {
    INFO(schedule);
    CHECK(changes({"train.steps=60"}, {schedule}).refused.size() == 1);
  }
  CHECK(changes({"train.steps=60"}, {"train.schedule=inverse_sqrt"}).refused.empty());
}

TEST_CASE("a training that diverges stops, and what was saved still loads", "[trainers]") {
  const TempDir folder;
  const RunFolder logged(folder / "logged"), silent(folder / "silent");
  const std::string optimizer = "train.optimizer={sgd: {lr: 1.0e+30}}";
  const std::string message = message_of<DivergedError>([&] {
    train(experiment(tiny::kFlow, tiny::kPoints, {optimizer, "train.clip_norm=0.0", "train.every.save=1"}),
          logged.path());
  });
  INFO(message);
  CHECK(contains(message, "step 2: "));
  CHECK(contains(message, "step 1 is still good"));
  CHECK(parse_json(read_file(logged.run_json()), "run.json").at("exit_reason") == "diverged");
  CHECK(read_checkpoint(logged.checkpoint(1)).info.step == 1);
  CHECK(load_model(logged.path(), Which::newest, Weights::raw, "cpu").step == 1);

  // Between log lines nobody looks at the loss, but parameters are looked at before they are saved.
  const std::vector<std::string> rarely{optimizer, "train.clip_norm=0.0", "train.every.log=100", "train.every.save=4"};
  const std::string unsaved =
      message_of<DivergedError>([&] { train(experiment(tiny::kFlow, tiny::kPoints, rarely), silent.path()); });
  INFO(unsaved);
  CHECK(contains(unsaved, "is not finite, so nothing is saved"));
  CHECK(contains(unsaved, "no checkpoint was saved yet"));
  CHECK(silent.checkpoint_steps().empty());
}

TEST_CASE("shards give the same bytes whatever the number of threads", "[trainers][shards]") {
  const int before = at::get_num_threads();
  const TempDir folder;
  // Large enough that LibTorch would spread its operators over the threads.
  const char* model = "{vae: {latent_dim: 8, network: {mlp: {hidden: [96]}}}}";
  std::vector<NamedTensors> ends;
  for (const int threads : {1, 2}) {
    const RunFolder run(folder / std::to_string(threads));
    train(experiment(model, tiny::kNoise,
                     {"train.shards=4", "train.batch_size=64", "train.steps=4", fmt::format("threads={}", threads)}),
          run.path());
    CHECK(at::get_num_threads() == threads);  // as the experiment set them
    ends.push_back(tensors_of(run, 4));
  }
  at::set_num_threads(before);
  check_same_bits(ends[1], ends[0]);
}

TEST_CASE("two players with batch statistics train in shards, reproducibly", "[trainers][shards]") {
  const TempDir folder;
  const auto config = experiment(tiny::kGan, tiny::kNoise, {"train.shards=2"});
  const RunFolder first(folder / "first"), second(folder / "second"), whole(folder / "whole");
  train(config, first.path());
  train(config, second.path());
  CHECK(tiny::same_bytes(first.checkpoint(6), second.checkpoint(6)));
  train(experiment(tiny::kGan, tiny::kNoise), whole.path());
  bool same = true;  // each shard has statistics and noise of its own
  const NamedTensors ours = tensors_of(first, 6);
  for (const auto& [name, tensor] : tensors_of(whole, 6)) same &= torch::equal(tensor, ours.at(name));
  CHECK_FALSE(same);
}

TEST_CASE("two validations differ by the weights alone", "[trainers]") {
  const TempDir folder;
  const RunFolder run(folder / "run");
  // Weights that stay where they are; the training losses still differ by their noise.
  train(experiment(tiny::kVae, tiny::kPoints, {"train.optimizer={sgd: {lr: 1.0e-30, momentum: 0.0}}"}), run.path());
  const auto losses = validation_losses(run);
  REQUIRE(losses.size() == 3);
  CHECK(losses[0].second == losses[1].second);
  CHECK(losses[1].second == losses[2].second);
}

TEST_CASE("validation and samples are those of the averaged weights, and leave the others alone", "[trainers]") {
  const TempDir folder;
  const RunFolder with(folder / "with"), without(folder / "without");
  train(experiment(tiny::kFlow, tiny::kPoints), with.path());
  train(experiment(tiny::kFlow, tiny::kPoints, {"train.ema=none"}), without.path());
  const NamedTensors averaged = tensors_of(with, 6), raw = tensors_of(without, 6);
  for (const auto& [name, tensor] : raw) {
    INFO(name);
    CHECK(torch::equal(averaged.at(name), tensor));
  }
  CHECK(validation_losses(with).back().second != validation_losses(without).back().second);
}

TEST_CASE("a validation's loss is the mean over its examples, of the averaged weights", "[trainers]") {
  const TempDir folder;
  const RunFolder run(folder / "run");
  // 48 examples in batches of 20: the last one counts for its 8.
  const auto config = experiment(tiny::kFlow, tiny::kPoints, {"train.batch_size=20", "train.optimizer.adamw.lr=0.02"});
  train(config, run.path());
  const auto loss_of = [&](Weights weights) {
    const LoadedModel loaded = load_model(run.path(), Which::newest, weights, "cpu");
    const EvalMode eval(*loaded.model.module);
    Rng unused = Rng::for_batch(0, Purpose::score, 0);
    const Tensor x = open_dataset(config.data, {}).validation.x;
    return -loaded.model.can.log_prob(x, 1, unused).mean().item<double>();
  };
  const double loss = validation_losses(run).back().second;
  CHECK(std::abs(loss - loss_of(Weights::ema_if_any)) < 1e-5);
  CHECK(std::abs(loss - loss_of(Weights::raw)) > 1e-4);
}

TEST_CASE("the samples of a run are what its averaged weights draw", "[trainers]") {
  const TempDir folder;
  const RunFolder run(folder / "run");
  train(experiment(tiny::kFlow, tiny::kPoints, {"train.optimizer.adamw.lr=0.02"}), run.path());
  const auto picture_by = [&](Weights weights) {
    const LoadedModel loaded = load_model(run.path(), Which::newest, weights, "cpu");
    const Tensor points = draw_samples(loaded.model, 2000, 3, Purpose::latent, {}, torch::kCPU);
    return at::cat({picture_of(points, loaded.spec, 8), density_picture(loaded.model, loaded.spec, torch::kCPU)}, 2);
  };
  const Tensor picture = read_png(run.sample(6, ".png"));
  CHECK(torch::equal(picture, picture_by(Weights::ema_if_any)));
  CHECK_FALSE(torch::equal(picture, picture_by(Weights::raw)));
}

TEST_CASE("an average's half-life counts the examples of all accumulated batches", "[trainers]") {
  const TempDir folder;
  const RunFolder run(folder / "run");
  // A half-life of the 32 examples of one update, past the 20 updates over which a young average has a shorter one.
  train(experiment(tiny::kFlow, tiny::kPoints,
                   {"train.steps=24", "train.accumulate=2", "train.ema.halflife_images=32", "train.every.save=23",
                    "train.optimizer.adamw.lr=0.02"}),
        run.path());
  const Checkpoint before = read_checkpoint(run.checkpoint(23)), after = read_checkpoint(run.checkpoint(24));
  const NamedTensors live = after.below("model."), old = before.below("ema.");
  for (const auto& [name, mean] : after.below("ema.")) {
    INFO(name);
    CHECK_THAT(mean, IsClose((old.at(name) + live.at(name)) / 2, 1e-6));
  }
}

TEST_CASE("a checkpoint of other data or of another model is refused", "[trainers]") {
  const TempDir folder;
  const RunFolder run(folder / "run");
  train(experiment(tiny::kFlow, tiny::kPoints, {"train.steps=1"}), run.path());
  const auto load_into = [&](const ExperimentConfig& config) {
    const Dataset dataset = open_dataset(config.data, {});
    Trainer trainer(config, dataset, RunFolder(folder / "other"));
    trainer.load(run.checkpoint(1));
  };
  CHECK(contains(message_of<UsageError>([&] { load_into(experiment(tiny::kFlow, "two_moons")); }), "eight_gaussians"));
  CHECK(contains(message_of<RunError>([&] { load_into(experiment(tiny::kVae, tiny::kPoints)); }), "another model's"));
}

TEST_CASE("seconds are those of updates alone: without the time of sampling, validation and saving", "[trainers]") {
  /// Lets each sampling take long.
  class Sleeper final : public Observer {
   public:
    void begin(int64_t, int64_t, bool) override {}
    void line(const LogLine&) override {}
    void samples(int64_t, const SampleOutput&) override { std::this_thread::sleep_for(std::chrono::milliseconds(300)); }
    void end(int64_t, const std::string&) override {}
  };
  const TempDir folder;
  const RunFolder run(folder / "run");
  fs::create_directories(run.path());
  const ExperimentConfig config = experiment(tiny::kFlow, tiny::kPoints, {"train.every.sample=2"});
  Trainer trainer(config, open_dataset(config.data, {}), run);
  trainer.add(std::make_unique<JsonLog>(run));
  trainer.add(std::make_unique<Sleeper>());
  CHECK(trainer.run().seconds > 1.2);  // at the start and at steps 2, 4, 6
  CHECK(seconds_logged(run, 6) < 0.3);
  double before = 0.0;
  for (const Json& line : tiny::log_lines(run)) {
    if (!line.contains("items_per_s")) continue;
    const auto seconds = line["seconds"].get<double>();
    CHECK(line["items_per_s"].get<double>() * (seconds - before) == Approx(16.0));
    before = seconds;
  }
}

TEST_CASE("the pace of a training is measured without a run folder", "[trainers]") {
  for (const Family& family : families()) {
    const ExperimentConfig config = experiment(family.model, family.data);
    Trainer trainer(config, open_dataset(config.data, {}), RunFolder(fs::path()));
    const auto start = std::chrono::steady_clock::now();
    const double pace = seconds_per_update(trainer, 0.05);
    const double spent = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    CHECK(pace > 0);
    CHECK(pace < spent);
    CHECK(spent < 5);
    CHECK(trainer.steps_done() >= 2);
  }
}

}  // namespace
}  // namespace genzoo
