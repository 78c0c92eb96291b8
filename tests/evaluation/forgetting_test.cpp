#include "evaluation/forgetting.h"

#include <algorithm>

#include "evaluation/measured_likelihood.h"
#include "tests/support.h"
#include "tests/trainers/tiny_experiment.h"

namespace genzoo {
namespace {

using Catch::Matchers::Contains;

constexpr const char* kModel = "{transformer: {n_layer: 1, n_head: 2, n_embd: 8, block_size: 8}}";
constexpr const char* kNewText = "{markov: {length: 1500, validation: 300, test: 300, data_seed: 5}}";

struct Family {
  TempDir folder;
  LoadedModel parent, child;
  Dataset old_data, new_data;

  Family() {
    tiny::train(tiny::experiment(kModel, tiny::kText, {"train.ema=none"}), folder / "parent");
    const ExperimentConfig config = tiny::experiment(
        kModel, kNewText, {"train.ema=none", "train.init_from=" + (folder / "parent").string(), "train.steps=40"});
    tiny::train(config, folder / "child");
    parent = load_model(folder / "parent", Which::newest, Weights::raw, "cpu");
    child = load_model(folder / "child", Which::newest, Weights::raw, "cpu");
    old_data = dataset_of(parent, {});
    new_data = dataset_of(child, {});
  }

  Evaluation evaluated(const LoadedModel& loaded, const Dataset& data) const {
    Evaluation evaluation;
    add_forgetting(loaded, data, {}, {}, evaluation);
    return evaluation;
  }
};

/// The first value of a name, in nats.
double value_of(const std::vector<Metric>& metrics, const std::string& name) {
  const auto found = std::ranges::find(metrics, name, &Metric::name);
  REQUIRE(found != metrics.end());
  return found->value;
}

TEST_CASE("forgetting is told by both models on both data", "[evaluation][finetuning]") {
  const Family family;
  const Evaluation found = family.evaluated(family.child, family.new_data);
  CHECK(found.notes.empty());
  const auto likelihood = [&](const LoadedModel& model, const Dataset& data) {
    return likelihood_metrics(model, data, default_split(data), 1, 0).front().value;
  };
  CHECK(value_of(found.metrics, "likelihood_before") == likelihood(family.parent, family.new_data));
  CHECK(value_of(found.metrics, "old_likelihood") == likelihood(family.child, family.old_data));
  CHECK(value_of(found.metrics, "old_likelihood_before") == likelihood(family.parent, family.old_data));
  CHECK(value_of(found.metrics, "likelihood_before") != value_of(found.metrics, "old_likelihood_before"));
}

TEST_CASE("what is not known of forgetting any more is said, and nothing else is lost", "[evaluation][finetuning]") {
  const Family family;
  const Evaluation of_parent = family.evaluated(family.parent, family.old_data);
  CHECK(of_parent.metrics.empty());
  CHECK(of_parent.notes.empty());  // it began with no other's weights
  tiny::train(tiny::experiment(kModel, tiny::kText, {"train.ema=none", "train.steps=8"}), family.folder / "parent",
              true);
  const Evaluation changed = family.evaluated(family.child, family.new_data);
  CHECK(changed.metrics.empty());
  REQUIRE(changed.notes.size() == 1);
  CHECK_THAT(changed.notes[0], Contains("has other weights now than those it began with"));
  std::filesystem::remove_all(family.folder / "parent");
  const Evaluation gone = family.evaluated(family.child, family.new_data);
  REQUIRE(gone.notes.size() == 1);
  CHECK_THAT(gone.notes[0], Contains("there is no such run folder"));
}

}  // namespace
}  // namespace genzoo
