#include "trainers/step.h"

#include <algorithm>

#include "core/error.h"
#include "models/registry.h"
#include "tests/support.h"
#include "trainers/checkpoint.h"
#include "trainers/shards.h"

namespace genzoo {
namespace {

DataSpec vectors(int64_t dims) {
  DataSpec spec;
  spec.dataset = "test";
  spec.kind = DataKind::vectors;
  spec.shape = {dims};
  return spec;
}

struct ModelSection {
  Choice model;
  void fields(Fields& f) { f("model", model, model_choices(), ""); }
};

AnyModel model_of(const std::string& yaml, const DataSpec& spec) {
  return make_model(read_config<ModelSection>(ConfigSource::from_text("model: " + yaml, "test")).model, spec, 0);
}

Batch batch_of(int64_t index) {
  Rng rng = Rng::for_batch(7, Purpose::synthetic_data, static_cast<uint64_t>(index));
  return {rng.normal({8, 2}), {}};
}

NamedTensors copy_of(const NamedTensors& tensors) {
  NamedTensors result;
  for (const auto& [name, tensor] : tensors) result[name] = tensor.clone();
  return result;
}

TEST_CASE("the tree adds pairwise, level by level", "[trainers][shards]") {
  // In float32 the order shows: 1 is lost beside 2^24, unless it first meets its own kind.
  const auto number = [](float x) { return torch::full({1}, x); };
  CHECK(tree_sum({number(16777216.f), number(1.f), number(1.f), number(1.f)}).item<float>() == 16777218.f);
  CHECK(tree_sum({number(3.f)}).item<float>() == 3.f);
}

TEST_CASE("shards without randomness or batch statistics learn what the whole batch teaches", "[trainers][shards]") {
  // Of the optimizers this one alone sees the size of a gradient.
  const OptimizerConfig plain = SGDConfig{.lr = 0.1, .momentum = 0.0};
  const std::string yaml = "{realnvp: {couplings: 2, hidden_dim: 8, normalization: none}}";
  std::vector<NamedTensors> after;
  for (const int64_t shards : {1, 2, 4}) {
    AnyModel model = model_of(yaml, vectors(2));
    StepConfig config;
    config.steps = 5;
    config.shards = shards;
    const auto step = make_step(model, plain, plain, plain, config);
    for (int64_t t = 0; t < 5; ++t) step->update(batch_of, t);
    after.push_back(copy_of(module_state(*model.module)));
  }
  for (size_t i = 1; i < after.size(); ++i) {
    for (const auto& [name, tensor] : after[0]) {
      INFO(name);
      CHECK_THAT(after[i].at(name), IsClose(tensor, 1e-5));
    }
  }
}

TEST_CASE("the statistics of shards are averaged, and masks stay what they are", "[trainers][shards]") {
  const OptimizerConfig plain = SGDConfig{.lr = 0.1, .momentum = 0.0};
  const std::string yaml = "{realnvp: {couplings: 2, hidden_dim: 8, normalization: batch_norm}}";
  std::vector<NamedTensors> after;
  for (const int64_t shards : {1, 2, 4}) {
    AnyModel model = model_of(yaml, vectors(2));
    StepConfig config;
    config.steps = 3;
    config.shards = shards;
    const auto step = make_step(model, plain, plain, plain, config);
    for (int64_t t = 0; t < 3; ++t) step->update(batch_of, t);
    after.push_back(copy_of(module_state(*model.module)));
  }
  const NamedTensors start = copy_of(module_state(*model_of(yaml, vectors(2)).module));
  // The first layer sees the data, so that the means of even parts have the whole's mean for theirs.
  const auto first_mean = std::find_if(start.begin(), start.end(), [](const auto& item) {
    return item.first.find("running_mean") != std::string::npos;
  });
  REQUIRE(first_mean != start.end());
  for (const NamedTensors& state : after) {
    CHECK_FALSE(state.at(first_mean->first).equal(first_mean->second));
    CHECK_THAT(state.at(first_mean->first), IsClose(after[0].at(first_mean->first), 1e-6));
    for (const auto& [name, tensor] : start) {
      if (name.find("mask") != std::string::npos) CHECK(state.at(name).equal(tensor));
    }
  }
}

TEST_CASE("accumulated batches learn what one batch of them all teaches", "[trainers][step]") {
  // Of the optimizers this one alone sees the size of a gradient.
  const OptimizerConfig plain = SGDConfig{.lr = 0.1, .momentum = 0.0};
  const std::string yaml = "{realnvp: {couplings: 2, hidden_dim: 8, normalization: none}}";
  AnyModel apart = model_of(yaml, vectors(2)), together = model_of(yaml, vectors(2));
  StepConfig config;
  config.steps = 3;
  const auto whole = make_step(together, plain, plain, plain, config);
  config.accumulate = 2;
  const auto parts = make_step(apart, plain, plain, plain, config);
  const BatchSource pairs = [](int64_t index) {
    return Batch{at::cat({batch_of(2 * index).x, batch_of(2 * index + 1).x}), {}};
  };
  for (int64_t t = 0; t < 3; ++t) {
    const double a = parts->update(batch_of, t).at("loss").item<double>();
    const double b = whole->update(pairs, t).at("loss").item<double>();
    CHECK(std::abs(a - b) < 1e-5);
  }
  const NamedTensors expected = module_state(*together.module);
  for (const auto& [name, tensor] : module_state(*apart.module)) {
    INFO(name);
    CHECK_THAT(tensor, IsClose(expected.at(name), 1e-5));
  }
}

TEST_CASE("a gradient is clipped when it is whole, not batch by batch", "[trainers][step]") {
  const std::string yaml = "{realnvp: {couplings: 2, hidden_dim: 8, normalization: none}}";
  AnyModel apart = model_of(yaml, vectors(2)), together = model_of(yaml, vectors(2));
  StepConfig config;
  config.clip_norm = 1e-2;  // far below the gradient's
  const OptimizerConfig plain = SGDConfig{.lr = 1.0, .momentum = 0.0};
  const auto whole = make_step(together, plain, plain, plain, config);
  config.accumulate = 2;
  const auto parts = make_step(apart, plain, plain, plain, config);
  const auto pair = [](int64_t) { return Batch{at::cat({batch_of(0).x, batch_of(1).x}), {}}; };
  const double a = parts->update(batch_of, 0).at("gradient_norm").item<double>();
  const double b = whole->update(pair, 0).at("gradient_norm").item<double>();
  CHECK(b > 1e-1);
  CHECK(std::abs(a - b) < 1e-5);
  const NamedTensors expected = module_state(*together.module);
  for (const auto& [name, tensor] : module_state(*apart.module)) {
    INFO(name);
    CHECK_THAT(tensor, IsClose(expected.at(name), 1e-6));
  }
}

TEST_CASE("every batch is taken once, in order", "[trainers][step]") {
  std::vector<int64_t> taken;
  const BatchSource source = [&](int64_t index) {
    taken.push_back(index);
    return batch_of(index);
  };
  StepConfig accumulating;
  accumulating.accumulate = 3;
  AnyModel flow = model_of("{realnvp: {couplings: 2, hidden_dim: 8}}", vectors(2));
  AnyModel gan = model_of("{gan: {latent_dim: 4, n_critic: 3}}", vectors(2));
  for (const auto& [model, config] : {std::pair{&flow, accumulating}, std::pair{&gan, StepConfig{}}}) {
    INFO(model->family);
    const auto step = make_step(*model, AdamConfig{}, AdamConfig{}, AdamConfig{}, config);
    taken.clear();
    for (int64_t t = 0; t < 2; ++t) step->update(source, t);
    CHECK(taken == std::vector<int64_t>{0, 1, 2, 3, 4, 5});
  }
}

TEST_CASE("both players follow the schedule", "[trainers][step]") {
  AnyModel model = model_of("{gan: {latent_dim: 4, generator_width: 8, discriminator_width: 8}}", vectors(2));
  StepConfig config;
  config.steps = 1;
  config.schedule = LinearSchedule{};  // one step at lr, and 0 from then on
  const auto step = make_step(model, AdamConfig{}, AdamConfig{}, AdamConfig{}, config);
  for (int64_t t = 0; t < 2; ++t) {
    const NamedTensors before = copy_of(module_state(*model.module));
    step->update(batch_of, t);
    for (const auto& item : model.module->named_parameters()) {
      INFO(item.key() << " at step " << t);
      CHECK(torch::equal(item.value(), before.at(item.key())) == (t == 1));
    }
  }
}

TEST_CASE("each player's update leaves the other alone", "[trainers][step]") {
  AnyModel model =
      model_of("{gan: {latent_dim: 4, generator_width: 8, discriminator_width: 8, n_critic: 3}}", vectors(2));
  // A player whose learning rate is nothing in float32 stays where it is, whatever the other does.
  const OptimizerConfig moving = AdamConfig{}, still = SGDConfig{.lr = 1e-300, .momentum = 0.0};
  for (const bool generator_moves : {true, false}) {
    const auto step = make_step(model, moving, generator_moves ? moving : still, generator_moves ? still : moving, {});
    const NamedTensors before = copy_of(module_state(*model.module));
    step->update(batch_of, 0);
    bool generator_moved = false, discriminator_moved = false;
    for (const auto& item : model.module->named_parameters()) {
      const bool moved = (item.value().detach() - before.at(item.key())).abs().max().item<double>() > 1e-12;
      (item.key().starts_with("generator") ? generator_moved : discriminator_moved) |= moved;
    }
    CHECK(generator_moved == generator_moves);
    CHECK(discriminator_moved != generator_moves);
  }
}

TEST_CASE("two players take no accumulated gradients", "[trainers][step]") {
  AnyModel model = model_of("{gan: {latent_dim: 4}}", vectors(2));
  TrainConfig config;
  CHECK_NOTHROW(require_settings(config, model));
  config.accumulate = 2;
  CHECK_THROWS_AS(require_settings(config, model), UsageError);
}

TEST_CASE("an update is a function of its number: the same noise, the same bytes", "[trainers][step]") {
  const std::string yaml = "{vae: {latent_dim: 2, network: {mlp: {hidden: [8]}}, likelihood: gaussian}}";
  std::vector<NamedTensors> after;
  for (int run = 0; run < 2; ++run) {
    AnyModel model = model_of(yaml, vectors(2));
    StepConfig config;
    config.seed = 5;
    config.steps = 4;
    const auto step = make_step(model, AdamConfig{}, AdamConfig{}, AdamConfig{}, config);
    for (int64_t t = 0; t < 4; ++t) step->update(batch_of, t);
    after.push_back(copy_of(module_state(*model.module)));
  }
  for (const auto& [name, tensor] : after[0]) CHECK(torch::equal(tensor, after[1].at(name)));
}

TEST_CASE("bfloat16 lowers products and leaves parameters and losses in float32", "[trainers][step]") {
  AnyModel model = model_of("{realnvp: {couplings: 2, hidden_dim: 16}}", vectors(2));
  StepConfig config;
  config.precision = Precision::bfloat16;
  const auto step = make_step(model, AdamConfig{}, AdamConfig{}, AdamConfig{}, config);
  CHECK(step->update(batch_of, 0).at("loss").scalar_type() == torch::kFloat);
  for (const auto& p : model.module->parameters()) CHECK(p.scalar_type() == torch::kFloat);
  {
    const Autocast autocast(torch::kCPU, Precision::bfloat16);
    CHECK(at::mm(torch::ones({2, 2}), torch::ones({2, 2})).scalar_type() == torch::kBFloat16);
  }
  CHECK(at::mm(torch::ones({2, 2}), torch::ones({2, 2})).scalar_type() == torch::kFloat);
}

}  // namespace
}  // namespace genzoo
