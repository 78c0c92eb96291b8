#include "trainers/graphed_step.h"

#include "core/workers.h"
#include "models/registry.h"
#include "tests/support.h"
#include "tests/trainers/tiny_experiment.h"
#include "trainers/checkpoint.h"

namespace genzoo {
namespace {

NamedTensors copies_of(const NamedTensors& tensors) {
  NamedTensors result;
  for (const auto& [name, tensor] : tensors) result[name] = tensor.clone();
  return result;
}

/// A step and all that it changes.
struct Training {
  Training(const ExperimentConfig& config, const Dataset& dataset)
      : model(make_model(config.model, dataset.spec, 1)),
        source(dataset, config.train.batch_size, model.can.context, 1, torch::kCPU) {
    const TrainConfig& t = config.train;
    step_config.seed = 2;
    step_config.steps = 10;
    step_config.accumulate = t.accumulate;
    step_config.shards = t.shards;
    step_config.clip_norm = t.clip_norm;
    step_config.schedule = CosineSchedule{.warmup_steps = 2, .final_lr = 1e-4};
    step = make_step(model, t.optimizer, t.optimizer, t.optimizer, step_config);
  }

  NamedTensors state() const {
    NamedTensors all;
    for (const auto& [name, tensor] : module_state(*model.module)) all["model." + name] = tensor;
    for (const auto& [player, optimizer] : step->optimizers()) {
      for (const auto& [name, tensor] : optimizer->state()) all["optimizer." + player + "/" + name] = tensor;
    }
    return all;
  }

  Terms update(int64_t t, bool measured = false) {
    return step->update([this](int64_t index) { return source.batch(index); }, t, measured);
  }

  AnyModel model;
  TrainingSource source;
  StepConfig step_config;
  std::unique_ptr<Step> step;
};

/// Stands in for a device. What is recorded is done once, to see which memory it takes, and undone; a replay does it
/// again. So it computes with the tensors and numbers that it was recorded with, as a graph would.
class Repeating final : public Recorder {
 public:
  explicit Repeating(std::function<NamedTensors()> state) : state_(std::move(state)) {}
  void rehearse(const Work& work) override {
    work();
    ++rehearsals;
  }
  void record(const Work& work) override {
    const torch::NoGradGuard no_grad;
    NamedTensors memory;  // all of it: between the slices of a flat buffer there is padding
    for (const auto& [name, tensor] : state_()) {
      const auto elements = static_cast<int64_t>(tensor.storage().nbytes() / tensor.element_size());
      memory[name] = tensor.as_strided({elements}, {1}, 0);
    }
    const NamedTensors before = copies_of(memory);
    {
      const torch::AutoGradMode with_graph(true);
      work();
    }
    for (const auto& [name, tensor] : memory) tensor.copy_(before.at(name));
    work_ = work;
    ++recordings;
  }
  void replay() override {
    work_();
    ++replays;
  }

  int rehearsals = 0, recordings = 0, replays = 0;

 private:
  std::function<NamedTensors()> state_;
  Work work_;
};

/// The same training with its updates recorded. The recorder lives as long as the step.
Repeating& record_updates(Training& training) {
  Step* inner = training.step.get();
  const auto state = [module = training.model.module, inner] {
    NamedTensors all = module_state(*module);
    for (const auto& [player, optimizer] : inner->optimizers()) {
      for (const auto& [name, tensor] : optimizer->state()) all["optimizer." + player + "/" + name] = tensor;
    }
    return all;
  };
  auto recorder = std::make_unique<Repeating>(state);
  Repeating& result = *recorder;
  training.step = std::make_unique<GraphedStep>(std::move(training.step), training.step_config,
                                                training.model.can.loss_settles_at, std::move(recorder));
  return result;
}

void check_same_bits(const NamedTensors& got, const NamedTensors& wanted) {
  REQUIRE(got.size() == wanted.size());
  for (const auto& [name, tensor] : wanted) {
    INFO(name);
    CHECK(torch::equal(got.at(name), tensor));
  }
}

struct Case {
  const char* model;
  const char* data;
  std::vector<std::string> sets = {};
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {tiny::kFlow, tiny::kPoints},
      {tiny::kFlow, tiny::kPoints, {"train.accumulate=2", "train.optimizer={sgd: {}}"}},
      {"{realnvp: {scales: 2, couplings: 2, hidden_dim: 8, blocks: 1}}", tiny::kNoise, {"train.shards=2"}},
      {tiny::kVae, tiny::kPoints},
      {"{vae: {network: {conv: {channels: [4, 8], hidden: 16}}, importance_samples: 3}}", tiny::kNoise},
      {tiny::kGan, tiny::kNoise},
      {"{gan: {latent_dim: 4, generator_width: 4, discriminator_width: 4, loss: wasserstein, n_critic: 3, "
       "gradient_penalty: 1.0}}",
       tiny::kPoints,
       {"train.shards=2", "train.clip_norm=0"}},
      {"{gan: {latent_dim: 4, generator_width: 4, discriminator_width: 4, discriminator_norm: spectral, r1: 1.0}}",
       tiny::kPoints},
      {tiny::kTransformer, tiny::kText},
      {tiny::kPixelTransformer, tiny::kNoise},
  };
  return all;
}

}  // namespace

TEST_CASE("recorded updates learn what the step itself learns, bit for bit", "[trainers][graph]") {
  const OneThread serial;  // a device has one stream
  for (const Case& c : cases()) {
    INFO(c.model);
    const ExperimentConfig config = tiny::experiment(c.model, c.data, c.sets);
    const Dataset dataset = open_dataset(config.data, {});
    Training plain(config, dataset), recorded(config, dataset);
    const Repeating& recorder = record_updates(recorded);
    for (int64_t t = 0; t < 8; ++t) {
      const bool measured = t == 1 || t == 5;  // as when a line is logged
      const Terms wanted = plain.update(t, measured), got = recorded.update(t, measured);
      check_same_bits(got, wanted);
    }
    check_same_bits(recorded.state(), plain.state());
    CHECK(recorder.rehearsals == 2);  // 0 and 2
    CHECK(recorder.recordings == 1);
    CHECK(recorder.replays == 4);  // 3, 4, 6, 7
  }
}

TEST_CASE("a loss that changes with the step is not recorded before it has settled", "[trainers][graph]") {
  const OneThread serial;
  const ExperimentConfig config = tiny::experiment(
      "{vae: {latent_dim: 2, network: {mlp: {hidden: [8]}}, likelihood: gaussian, kl_warmup_steps: 4}}", tiny::kPoints);
  const Dataset dataset = open_dataset(config.data, {});
  Training plain(config, dataset), recorded(config, dataset);
  const Repeating& recorder = record_updates(recorded);
  for (int64_t t = 0; t < 9; ++t) check_same_bits(recorded.update(t), plain.update(t));
  check_same_bits(recorded.state(), plain.state());
  CHECK(recorder.rehearsals == 2);  // 4 and 5
  CHECK(recorder.replays == 3);
}

TEST_CASE("recorded updates go on from any step", "[trainers][graph]") {
  const OneThread serial;
  const ExperimentConfig config = tiny::experiment(tiny::kGan, tiny::kNoise);
  const Dataset dataset = open_dataset(config.data, {});
  Training whole(config, dataset), first(config, dataset), second(config, dataset);
  for (Training* training : {&whole, &first, &second}) record_updates(*training);
  for (int64_t t = 0; t < 10; ++t) whole.update(t);
  for (int64_t t = 0; t < 4; ++t) first.update(t);
  load_module_state(*second.model.module, module_state(*first.model.module), "test");
  for (size_t i = 0; i < 2; ++i) {
    second.step->optimizers()[i].second->load(first.step->optimizers()[i].second->state());
  }
  for (int64_t t = 4; t < 10; ++t) second.update(t);
  check_same_bits(second.state(), whole.state());
}

TEST_CASE("what a replay says of itself stays as it was said", "[trainers][graph]") {
  const OneThread serial;
  const ExperimentConfig config = tiny::experiment(tiny::kFlow, tiny::kPoints);
  const Dataset dataset = open_dataset(config.data, {});
  Training training(config, dataset);
  record_updates(training);
  for (int64_t t = 0; t < 3; ++t) training.update(t);
  const Terms terms = training.update(3);
  const double before = terms.at("loss").item<double>();
  training.update(4);
  CHECK(terms.at("loss").item<double>() == before);
}

}  // namespace genzoo
