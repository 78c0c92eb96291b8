// Monitors as metrics of an evaluation.
#include "evaluation/monitors.h"

#include <algorithm>

#include "tests/evaluation/tiny_models.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using tiny::contains;

EvaluateOptions monitors_only() {
  EvaluateOptions options;
  options.metrics = {"monitors"};
  return options;
}

const Metric* find(const Evaluation& evaluation, const std::string& name) {
  const auto at = std::ranges::find(evaluation.metrics, name, &Metric::name);
  return at == evaluation.metrics.end() ? nullptr : &*at;
}

TEST_CASE("an evaluation lists a model's monitors beside its losses", "[evaluation][monitors]") {
  const Dataset dataset = tiny::images(256, 60);
  const LoadedModel model = tiny::loaded(tiny::kImageVae, dataset.spec);
  const Evaluation evaluation = evaluate(model, dataset, monitors_only());
  REQUIRE(find(evaluation, "loss"));
  const Metric* active = find(evaluation, "active_units");
  REQUIRE(active);
  CHECK(active->unit == "units");
  CHECK(active->kind.empty());
  CHECK(active->n == 60);
  CHECK_FALSE(active->detail.empty());
  EvaluateOptions fewer = monitors_only();
  fewer.limit = 9;
  CHECK(find(evaluate(model, dataset, fewer), "active_units")->n == 9);
  EvaluateOptions likelihood;
  likelihood.metrics = {"likelihood"};
  CHECK_FALSE(find(evaluate(model, dataset, likelihood), "active_units"));
}

TEST_CASE("a monitor's warning stands in the notes, but not of a model that has just begun", "[evaluation][monitors]") {
  const Dataset dataset = tiny::images(256, 60);
  LoadedModel model = tiny::loaded(tiny::kImageVae, dataset.spec);
  {
    const torch::NoGradGuard no_grad;
    for (const auto& item : model.model.module->named_parameters()) {
      if (item.key().starts_with("encoder.")) item.value().zero_();
    }
  }
  const auto notes = evaluate(model, dataset, monitors_only()).notes;
  REQUIRE(notes.size() == 1);
  CHECK(contains(notes[0], "active_units: posterior collapse"));
  model.config.train.steps = 1000;  // of which it has done 7
  CHECK(evaluate(model, dataset, monitors_only()).notes.empty());
}

}  // namespace
}  // namespace genzoo
