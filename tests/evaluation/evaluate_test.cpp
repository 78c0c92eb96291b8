// What evaluate says of a model: units and kinds, errors, and what it refuses.
#include "evaluation/evaluate.h"

#include <cmath>
#include <limits>
#include <numbers>

#include "tests/evaluation/tiny_models.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using tiny::contains;
using tiny::loaded;
using tiny::message_of;

bool near(double a, double b) { return std::abs(a - b) <= 1e-9 * std::max(1.0, std::abs(b)); }

std::vector<Metric> named(const Evaluation& evaluation, const std::string& name, const std::string& unit) {
  std::vector<Metric> found;
  for (const Metric& m : evaluation.metrics) {
    if (m.name == name && m.unit == unit) found.push_back(m);
  }
  return found;
}

Metric only(const Evaluation& evaluation, const std::string& name, const std::string& unit) {
  const auto found = named(evaluation, name, unit);
  REQUIRE(found.size() == 1);
  return found[0];
}

/// Mean and its standard error, by the textbook.
std::pair<double, double> mean_and_error(const Tensor& values) {
  const auto n = static_cast<double>(values.numel());
  const double mean = values.mean().item<double>();
  const double variance = (values - mean).square().sum().item<double>() / (n - 1);
  return {mean, std::sqrt(variance / n)};
}

TEST_CASE("images of 256 levels are counted in bits/dim and nats, as a bound", "[evaluation]") {
  const Dataset dataset = tiny::images(256, 230);  // more than one batch, the last one smaller
  for (const char* model : {tiny::kImageVae, tiny::kImageFlow}) {
    DYNAMIC_SECTION(model) {
      const LoadedModel m = loaded(model, dataset.spec);
      const Evaluation evaluation = evaluate(m, dataset, {});
      CHECK(evaluation.split == "test");
      const Metric nats = only(evaluation, "likelihood", "nats"), bits = only(evaluation, "likelihood", "bits/dim");
      CHECK(nats.kind == "lower_bound");
      CHECK(bits.kind == "lower_bound");
      CHECK(nats.n == 230);
      CHECK(near(bits.value, -nats.value / (16 * std::numbers::ln2)));
      CHECK(near(*bits.standard_error, *nats.standard_error / (16 * std::numbers::ln2)));
      // Example i has noise of its own, so the mean is that of the scores, however they are batched.
      const auto [mean, error] = mean_and_error(score_examples(m, dataset.test.x, 1, 0).log_prob);
      CHECK(near(nats.value, mean));
      CHECK(near(*nats.standard_error, error));
    }
  }
}

TEST_CASE("more draws per example make an estimate, and it says of how many", "[evaluation]") {
  const Dataset dataset = tiny::images(256, 20);
  EvaluateOptions options;
  options.k = 5;
  const Metric bits = only(evaluate(loaded(tiny::kImageVae, dataset.spec), dataset, options), "likelihood", "bits/dim");
  CHECK(bits.kind == "estimate");
  CHECK(contains(bits.detail, "k = 5"));
}

TEST_CASE("binarized images are counted in nats only", "[evaluation]") {
  const Dataset dataset = tiny::images(2, 20);
  const Evaluation evaluation = evaluate(loaded(tiny::kBitVae, dataset.spec), dataset, {});
  CHECK(only(evaluation, "likelihood", "nats").kind == "lower_bound");
  CHECK(named(evaluation, "likelihood", "bits/dim").empty());
}

TEST_CASE("a surrogate is no likelihood, and it is said why", "[evaluation]") {
  const Dataset dataset = tiny::images(256, 20);
  const LoadedModel model = loaded(tiny::kBitVae, dataset.spec);  // Bernoulli on grey pixels
  const Evaluation evaluation = evaluate(model, dataset, {});
  for (const Metric& metric : evaluation.metrics) CHECK(metric.name != "likelihood");
  CHECK(only(evaluation, "loss", "nats").kind.empty());
  REQUIRE(evaluation.notes.size() == 1);
  CHECK(contains(evaluation.notes[0], "vae has no likelihood: "));
}

TEST_CASE("the density of vectors is exact, and its distance from a known truth is told", "[evaluation]") {
  Dataset dataset = tiny::points(150);
  const LoadedModel model = loaded(tiny::kFlow, dataset.spec);
  CHECK(only(evaluate(model, dataset, {}), "likelihood", "nats").kind == "exact");
  CHECK(named(evaluate(model, dataset, {}), "divergence", "nats").empty());

  // When the model is the truth itself there is no distance at all; when the truth is twice as dense, log 2.
  double offset = 0.0;
  dataset.log_density = [&](const Tensor& x) {
    const EvalMode eval(*model.model.module);
    Rng rng = Rng::for_batch(0, Purpose::score, 0);
    return model.model.can.log_prob(x, 1, rng).to(torch::kDouble) + offset;
  };
  Metric divergence = only(evaluate(model, dataset, {}), "divergence", "nats");
  CHECK(divergence.value == 0.0);
  CHECK(divergence.standard_error == 0.0);
  CHECK(divergence.n == 150);
  offset = std::numbers::ln2;
  divergence = only(evaluate(model, dataset, {}), "divergence", "nats");
  CHECK(near(divergence.value, std::numbers::ln2));
}

TEST_CASE("a loss is the mean over all examples, those of the last batch included", "[evaluation]") {
  const Dataset dataset = tiny::points(130);  // a batch of 100 and one of 30
  const Evaluation evaluation = evaluate(loaded(tiny::kFlow, dataset.spec), dataset, {});
  const double likelihood = only(evaluation, "likelihood", "nats").value;
  CHECK(std::abs(only(evaluation, "loss", "nats").value + likelihood) < 1e-5);
}

TEST_CASE("text is counted per token, over windows of one context", "[evaluation]") {
  const Dataset dataset = tiny::verses();
  const LoadedModel model = loaded(tiny::kTransformer, dataset.spec);
  const Evaluation evaluation = evaluate(model, dataset, {});
  CHECK(evaluation.split == "validation");
  REQUIRE(evaluation.notes.size() == 1);
  CHECK(contains(evaluation.notes[0], "no test split"));
  const Metric nats = only(evaluation, "likelihood", "nats/char"), bits = only(evaluation, "likelihood", "bits/char");
  CHECK(nats.kind == "exact");
  CHECK(near(bits.value, nats.value / std::numbers::ln2));
  CHECK(near(*bits.standard_error, *nats.standard_error / std::numbers::ln2));

  const Tensor text = dataset.validation.x.to(torch::kLong);
  const int64_t context = model.model.can.context, windows = (text.size(0) - 1) / context;
  REQUIRE(windows > 32);  // more than a batch
  const Tensor x = text.slice(0, 0, windows * context).view({windows, context});
  const Tensor y = text.slice(0, 1, windows * context + 1).view({windows, context});
  const EvalMode eval(*model.model.module);
  const Tensor cost = -model.model.can.token_log_prob(x, y).to(torch::kDouble);
  CHECK(nats.n == windows * context);
  CHECK(std::abs(nats.value - cost.mean().item<double>()) < 1e-6);
  CHECK(std::abs(*nats.standard_error - mean_and_error(cost.mean(1)).second) < 1e-6);
}

TEST_CASE("a model without a likelihood is told of by default and refused when asked for it", "[evaluation]") {
  const Dataset dataset = tiny::points(40);
  const LoadedModel model = loaded("{gan: {latent_dim: 3, generator_width: 4, discriminator_width: 4}}", dataset.spec);
  const Evaluation evaluation = evaluate(model, dataset, {});
  REQUIRE(evaluation.notes.size() >= 1);  // its monitors may warn besides
  CHECK(contains(evaluation.notes[0], "gan has no likelihood: "));
  CHECK(contains(evaluation.missing.at("likelihood"), "it has none: "));
  for (const char* player : {"discriminator_loss", "generator_loss"}) {
    CHECK(std::isfinite(only(evaluation, player, "").value));
  }
  EvaluateOptions options;
  options.metrics = {"likelihood"};
  const std::string message = message_of<UsageError>([&] { evaluate(model, dataset, options); });
  CHECK(message.starts_with("gan has no likelihood: "));
  CHECK(contains(message, "it can: sample, decode"));
}

TEST_CASE("what is asked for must be there", "[evaluation]") {
  Dataset dataset = tiny::points(40);
  const LoadedModel model = loaded(tiny::kFlow, dataset.spec);
  EvaluateOptions options;
  options.metrics = {"likelihod"};
  const std::string unknown = message_of<UsageError>([&] { evaluate(model, dataset, options); });
  CHECK(contains(unknown, "did you mean 'likelihood'?"));
  CHECK(contains(unknown, "monitors"));

  options.metrics = {"monitors"};
  options.limit = 7;
  const Evaluation limited = evaluate(model, dataset, options);
  CHECK(only(limited, "loss", "nats").n == 7);
  CHECK(named(limited, "likelihood", "nats").empty());

  dataset.test.x = Tensor();
  options.split = Split::test;
  CHECK(contains(message_of<UsageError>([&] { evaluate(model, dataset, options); }),
                 "points has no test split; it has train and validation"));
  options.split = Split::train;
  CHECK(evaluate(model, dataset, options).split == "train");

  dataset.spec.shape = {3};
  CHECK(contains(message_of<UsageError>([&] { evaluate(model, dataset, options); }), "it was trained on"));
}

TEST_CASE("an evaluation changes nothing of the model", "[evaluation]") {
  const Dataset dataset = tiny::points(40);
  const LoadedModel model =
      loaded("{gan: {latent_dim: 3, generator_width: 4, discriminator_width: 4}}", dataset.spec);  // power iterations
  NamedTensors before;
  for (const auto& [name, tensor] : module_state(*model.model.module)) before[name] = tensor.clone();
  evaluate(model, dataset, {});
  for (const auto& [name, tensor] : module_state(*model.model.module)) {
    INFO(name);
    CHECK(torch::equal(tensor, before.at(name)));
  }
}

TEST_CASE("an evaluation as JSON has the promised keys", "[evaluation]") {
  const Dataset dataset = tiny::points(40);
  const Json json = evaluate(loaded(tiny::kFlow, dataset.spec), dataset, {}).to_json();
  for (const char* key : {"run", "model", "dataset", "split", "step", "metrics"}) CHECK(json.contains(key));
  CHECK(json.at("model") == "realnvp");
  CHECK(json.at("step") == 7);
  REQUIRE(json.at("metrics").size() >= 2);
  for (const Json& metric : json.at("metrics")) {
    for (const char* key : {"name", "value", "unit", "kind", "stderr", "n", "detail"}) CHECK(metric.contains(key));
    CHECK(metric.at("kind").is_null() == (metric.at("name") != "likelihood"));
  }
}

TEST_CASE("a running mean is the mean, with the error of the textbook", "[evaluation]") {
  RunningMean running;
  CHECK_FALSE(running.standard_error());
  const Tensor values = torch::tensor({1e6 + 1.0, 1e6 + 2.0, 1e6 + 4.0, 1e6 + 9.0}, torch::kDouble);
  for (int64_t i = 0; i < 4; ++i) running.add(values[i].item<double>());
  CHECK(near(running.mean(), 1e6 + 4));
  CHECK(std::abs(*running.standard_error() - std::sqrt(38.0 / 3 / 4)) < 1e-9);
  running.add(std::numeric_limits<double>::infinity());
  running.add(1.0);
  CHECK(std::isinf(running.mean()));
  CHECK_FALSE(running.standard_error());  // of an infinity there is no spread
  CHECK(running.count() == 6);
}

}  // namespace
}  // namespace genzoo
