// Training by counting: one step over the whole text, between the same log, validation and checkpoints as any other.
#include "core/error.h"
#include "models/registry.h"
#include "tests/support.h"
#include "tests/trainers/tiny_experiment.h"
#include "trainers/checkpoint.h"
#include "trainers/estimate.h"
#include "trainers/trainer.h"

namespace genzoo {
namespace {

using tiny::contains;
using tiny::message_of;

const std::string kCounts = "{ngram: {order: 3, block_size: 16}}";

ExperimentConfig experiment(const std::vector<std::string>& sets = {}) {
  std::vector<std::string> all{"train.steps=1", "train.ema=none"};
  all.insert(all.end(), sets.begin(), sets.end());
  return tiny::experiment(kCounts, tiny::kText, all);
}

Dataset text_of(const ExperimentConfig& config) { return open_dataset(config.data, DataPlaces{}); }

TEST_CASE("one step counts the whole text, whatever the batches", "[trainers][step]") {
  const ExperimentConfig config = experiment();
  const Dataset dataset = text_of(config);
  AnyModel model = make_model(config.model, dataset.spec, 0), direct = make_model(config.model, dataset.spec, 0);
  const auto step = make_step(model, AdamConfig{}, AdamConfig{}, AdamConfig{}, {}, dataset.train);
  CHECK(step->optimizers().empty());
  CHECK_FALSE(step->learning_rate_at(0));
  const BatchSource none = [](int64_t) -> Batch { throw std::logic_error("no batch is wanted"); };
  const Terms terms = step->update(none, 0, /*measured=*/true);
  const Terms wanted = direct.can.fit(dataset.train);
  CHECK(terms.at("loss").item<double>() == wanted.at("loss").item<double>());
  CHECK(state_digest(module_state(*model.module)) == state_digest(module_state(*direct.module)));
  CHECK_THROWS_AS(make_step(model, AdamConfig{}, AdamConfig{}, AdamConfig{}, {}), std::logic_error);
}

TEST_CASE("a model that counts takes one step and no average", "[trainers][step]") {
  const ExperimentConfig config = experiment();
  const Dataset dataset = text_of(config);
  const TempDir folder;
  const auto refusal = [&](const std::vector<std::string>& sets) {
    return message_of<UsageError>([&] { Trainer(experiment(sets), dataset, RunFolder(folder / "run")); });
  };
  CHECK(refusal({}) == "");
  CHECK(refusal({"train.steps=2"}) == "ngram learns in one pass over its data: set train.steps to 1, not 2");
  CHECK(contains(refusal({"train.steps=0"}), "set train.steps to 1, not 0"));
  CHECK(contains(refusal({"train.ema={halflife_images: 9}"}), "train.ema: ngram counts"));
  CHECK(contains(refusal({"train.optimizers.generator=sgd"}), "train.optimizers is for two players"));
}

TEST_CASE("counting leaves a log, a validation, a best checkpoint, and is resumed", "[trainers][step]") {
  const TempDir folder;
  const ExperimentConfig config = experiment();
  const Dataset dataset = text_of(config);
  const TrainOutcome outcome = tiny::train(config, folder / "run");
  const RunFolder run(folder / "run");
  CHECK(outcome.reason == "finished");
  CHECK(run.checkpoint_steps() == std::vector<int64_t>{1});
  CHECK(run.best_step() == 1);

  const LoadedModel loaded = load_model(folder / "run", Which::best, Weights::ema_if_any, "cpu");
  AnyModel direct = make_model(config.model, dataset.spec, 0);
  const Terms terms = direct.can.fit(dataset.train);
  CHECK(state_digest(module_state(*loaded.model.module)) == state_digest(module_state(*direct.module)));

  // Windows of 16 tokens, each predicting the one after it.
  const int64_t windows = (dataset.count(Split::validation) - 1) / 16;
  const Tensor text = dataset.validation.x.to(torch::kLong);
  const Tensor x = text.slice(0, 0, windows * 16).view({windows, 16});
  const Tensor y = text.slice(0, 1, windows * 16 + 1).view({windows, 16});
  const double cost = -loaded.model.can.token_log_prob(x, y).mean().item<double>();
  const std::vector<Json> lines = tiny::log_lines(run);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].at("split") == "train");
  CHECK(std::abs(lines[0].at("loss").get<double>() - terms.at("loss").item<double>()) < 1e-9);
  CHECK(lines[0].at("ngrams").get<double>() == terms.at("ngrams").item<double>());
  CHECK_FALSE(lines[0].contains("lr"));
  CHECK(lines[1].at("split") == "validation");
  CHECK(std::abs(lines[1].at("loss").get<double>() - cost) < 1e-9);
  REQUIRE(dataset.entropy);
  CHECK(cost > *dataset.entropy - 0.1);  // of a chain of order 1: nearly what it must cost
  CHECK(cost < *dataset.entropy + 0.3);

  CHECK(tiny::train(config, folder / "run", /*resume=*/true).reason == "finished already");
  Trainer other(config, dataset, RunFolder(folder / "other"));
  other.load(run.checkpoint(1));
  CHECK(other.steps_done() == 1);
  CHECK(state_digest(module_state(*other.model().module)) == state_digest(module_state(*direct.module)));
  CHECK(other.items_per_update() == dataset.count(Split::train));
}

TEST_CASE("the counts of another order are not loaded", "[trainers][checkpoint]") {
  const ExperimentConfig config = experiment();
  const Dataset dataset = text_of(config);
  AnyModel model = make_model(config.model, dataset.spec, 0);
  model.can.fit(dataset.train);
  AnyModel shorter = make_model(experiment({"model.ngram.order=2"}).model, dataset.spec, 0);
  CHECK(contains(message_of<RunError>([&] { load_model_state(shorter, module_state(*model.module), "here"); }),
                 "left over"));
}

TEST_CASE("the cost of counting is its counts and no products", "[trainers][estimate]") {
  const ExperimentConfig config = experiment();
  const Dataset dataset = text_of(config);
  const CostEstimate cost = estimate_cost(config, dataset);
  AnyModel model = make_model(config.model, dataset.spec, 0);
  model.can.fit(dataset.train);
  int64_t bytes = 0;
  for (const Tensor& buffer : model.module->buffers()) bytes += static_cast<int64_t>(buffer.nbytes());
  CHECK(cost.parameters == 0);
  CHECK(cost.flops_per_step == 0);
  CHECK(cost.weights_bytes == bytes);
  CHECK(contains(cost.describe(), "counts"));
}

}  // namespace
}  // namespace genzoo
