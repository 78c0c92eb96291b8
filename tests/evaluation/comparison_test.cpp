#include "evaluation/comparison.h"

#include "tests/support.h"

namespace genzoo {
namespace {

Metric bits(double value, const std::string& of = "pixels of 256 levels", const std::string& kind = "exact") {
  return {.name = "likelihood",
          .value = value,
          .unit = "bits/dim",
          .kind = kind,
          .standard_error = 0.01,
          .n = 100,
          .detail = "",
          .of = of,
          .better = Better::lower};
}

Metric recall(double value, const std::string& of = "pixels") {
  return {.name = "recall",
          .value = value,
          .unit = "",
          .kind = "",
          .standard_error = {},
          .n = 50,
          .detail = "",
          .of = of,
          .better = Better::higher};
}

/// One run a list of metrics.
ComparedModel model(const std::string& name, const std::vector<std::vector<Metric>>& runs) {
  ComparedModel model;
  model.name = name;
  for (size_t seed = 0; seed < runs.size(); ++seed) {
    ComparedRun run;
    run.seed = static_cast<int64_t>(seed);
    run.evaluation.metrics = runs[seed];
    model.runs.push_back(run);
  }
  return model;
}

Comparison of(const std::vector<ComparedModel>& models) {
  Comparison comparison;
  comparison.models = models;
  return comparison;
}

std::vector<std::string> titles(const Comparison& comparison) {
  std::vector<std::string> titles;
  for (const Column& column : columns_of(comparison)) titles.push_back(column.title());
  return titles;
}

using Titles = std::vector<std::string>;
using Places = std::vector<size_t>;

TEST_CASE("a column holds only what may be compared", "[evaluation][comparison]") {
  Metric nats = bits(-2000);
  nats.unit = "nats";
  nats.better = Better::higher;
  Metric loss = bits(3.0);
  loss.name = "loss";
  loss.better = Better::neither;
  const Comparison comparison = of({model("a", {{bits(3.0), recall(0.5), nats, loss}}),
                                    model("b", {{bits(1.0, "binarized pixels"), recall(0.5, "features")}}),
                                    model("c", {{bits(4.0, "pixels of 256 levels", "lower_bound"), recall(0.1)}})});
  CHECK(titles(comparison) ==
        Titles{"likelihood, bits/dim of pixels of 256 levels", "likelihood, nats of pixels of 256 levels",
               "likelihood, bits/dim of binarized pixels", "recall of pixels", "recall of features"});
  // Exact values and bounds share a column; another treatment, though smaller, is not in it.
  const Column column = columns_of(comparison)[0];
  CHECK(best_of(comparison, column) == Places{0});
  CHECK(cell_of(comparison.models[0], column).kind == "exact");
  CHECK(cell_of(comparison.models[2], column).kind == "lower_bound");
  const Cell other = cell_of(comparison.models[1], column);
  CHECK_FALSE(other.mean);
  CHECK(other.why == "not comparable: known in bits/dim of binarized pixels only");
  // Alone in a column is not best.
  CHECK(best_of(comparison, columns_of(comparison)[1]).empty());
  CHECK(best_of(comparison, columns_of(comparison)[2]).empty());
}

TEST_CASE("likelihoods come first, then the feature spaces in the order met", "[evaluation][comparison]") {
  const std::string pixels = "pixels of 256 levels", classifier = "classifier 1 of pixels of 256 levels";
  Metric precision = recall(0.5, classifier);
  precision.name = "precision";
  const Comparison comparison =
      of({model("gan", {{recall(0.5, classifier), recall(0.5, pixels), precision}}), model("flow", {{bits(3.0)}})});
  CHECK(titles(comparison) == Titles{"likelihood, bits/dim of " + pixels, "recall of " + classifier,
                                     "precision of " + classifier, "recall of " + pixels});
}

TEST_CASE("the best is the lowest or the highest, as the metric says, and ties are shared",
          "[evaluation][comparison]") {
  const Comparison comparison =
      of({model("a", {{bits(3.0), recall(0.2)}}), model("b", {{bits(2.0), recall(0.9)}}),
          model("c", {{bits(2.0), recall(0.4)}}), model("d", {{bits(NAN), recall(INFINITY)}})});
  const auto columns = columns_of(comparison);
  CHECK(best_of(comparison, columns[0]) == Places{1, 2});
  CHECK(best_of(comparison, columns[1]) == Places{1});
  Column unranked = columns[0];
  unranked.better = Better::neither;
  CHECK(best_of(comparison, unranked).empty());
}

TEST_CASE("a cell is the mean over seeds with its standard error", "[evaluation][comparison]") {
  const ComparedModel three = model("a", {{bits(1.0)}, {bits(2.0)}, {bits(6.0)}});
  const Column column = columns_of(of({three})).front();
  const Cell cell = cell_of(three, column);
  CHECK(*cell.mean == Approx(3.0));
  CHECK(*cell.standard_error == Approx(std::sqrt(7.0 / 3)));  // not that over examples
  CHECK(cell.seeds == 3);
  CHECK(cell.n == 100);
  const Cell one = cell_of(model("b", {{bits(1.0)}}), column);
  CHECK(*one.mean == 1.0);
  CHECK_FALSE(one.standard_error);
}

TEST_CASE("a missing number says why", "[evaluation][comparison]") {
  const Column column = columns_of(of({model("a", {{bits(1.0)}})})).front();
  CHECK(cell_of(model("b", {}), column).why == "no finished run");
  CHECK(cell_of(model("b", {{recall(1.0)}}), column).why == "not measured");
  ComparedModel gan = model("gan", {{recall(1.0)}});
  gan.runs[0].evaluation.missing["likelihood"] = "its density is implicit (Goodfellow et al., 2014)";
  CHECK(cell_of(gan, column).why == "its density is implicit (Goodfellow et al., 2014)");
  // A reason of its own says more than that it has another number of the name.
  ComparedModel few = model("few", {{bits(1.0, "binarized pixels")}});
  few.runs[0].evaluation.missing["likelihood"] = "too few examples";
  CHECK(cell_of(few, column).why == "too few examples");
  ComparedModel diverged = model("c", {{}, {}});
  for (ComparedRun& run : diverged.runs) {
    run.ending = Ending::diverged;
    run.stopped_by = "diverged after step 120";
  }
  CHECK(cell_of(diverged, column).why == "diverged after step 120");
  ComparedModel external = model("d", {{}});
  external.external = true;
  CHECK_THAT(cell_of(external, column).why, Catch::Matchers::Contains("not given"));
  // One seed that is not a number spoils the mean: what is left would be a choice.
  const Cell spoiled = cell_of(model("e", {{bits(1.0)}, {bits(NAN)}}), column);
  CHECK_FALSE(spoiled.mean);
  CHECK(spoiled.why == "nan for seed 1: not a finite number");
  // A metric that could not be had tells why itself.
  Metric failed = recall(NAN);
  failed.detail = "too few samples: 500 of 785";
  const Column recalls = columns_of(of({model("e", {{failed}})})).front();
  CHECK(cell_of(model("e", {{failed}}), recalls).why == "nan: too few samples: 500 of 785");
  CHECK(cell_of(model("e", {{recall(0.5)}, {failed}, {failed}}), recalls).why ==
        "nan for seed 1: too few samples: 500 of 785");
  // A seed without the number is left out, and the count says so.
  const Cell fewer = cell_of(model("f", {{bits(1.0)}, {}, {bits(3.0)}}), column);
  CHECK(*fewer.mean == 2.0);
  CHECK(fewer.seeds == 2);
}

TEST_CASE("a lost seed leaves no mean to the others", "[evaluation][comparison]") {
  ComparedModel lost = model("a", {{bits(1.0)}, {}, {bits(3.0)}});
  lost.runs[1].ending = Ending::diverged;
  lost.runs[1].stopped_by = "diverged before its first checkpoint";
  const Column column = columns_of(of({lost})).front();
  const Cell cell = cell_of(lost, column);
  CHECK_FALSE(cell.mean);
  CHECK(cell.why == "seed 1 was lost: diverged before its first checkpoint");
  const Comparison comparison = of({lost, model("b", {{bits(2.0)}, {bits(2.1)}})});
  CHECK(best_of(comparison, column).empty());
  CHECK(verdicts_of(comparison).empty());
  // What diverged later was measured, and counts.
  lost.runs[1].evaluation.metrics = {bits(8.0)};
  CHECK(*cell_of(lost, column).mean == Approx(4.0));
}

TEST_CASE("differences are decided only beyond chance", "[evaluation][comparison]") {
  const auto at = [](const std::string& name, double center) {
    return model(name, {{bits(center - 0.1), recall(center)}, {bits(center), recall(center)}, {bits(center + 0.1)}});
  };
  const Comparison comparison = of({at("a", 1.0), at("b", 1.05), at("c", 9.0)});
  const auto verdicts = verdicts_of(comparison);
  REQUIRE(verdicts.size() == 6);  // three pairs, two columns
  const Verdict &ab = verdicts[0], &ac = verdicts[1], &bc = verdicts[2];
  CHECK(ab.a == "a");
  CHECK(ab.b == "b");
  CHECK(ab.difference == Approx(-0.05));
  CHECK(ab.better == "");
  CHECK(*ab.p > 0.05);
  CHECK(ab.to_json()["verdict"] == "undecided");
  CHECK(ac.better == "a");  // lower
  CHECK(bc.better == "b");
  CHECK(ac.seeds_a == 3);
  CHECK(*ac.effect < -5);
  CHECK(ac.to_json()["better"] == "a");
  // Holm: the smallest of three p three times, the largest once.
  CHECK(*ac.corrected_p == Approx(3 * *ac.p));
  CHECK(*ab.corrected_p == Approx(*ab.p));
  // Recall does not vary over its two seeds: no test, whatever the difference.
  for (size_t i = 3; i < 6; ++i) {
    CHECK_FALSE(verdicts[i].p);
    CHECK(verdicts[i].better == "");
    CHECK_THAT(verdicts[i].why, Catch::Matchers::Contains("the same number for every seed"));
  }
  CHECK(verdicts_of(comparison, 1e-12)[1].better == "");
}

TEST_CASE("bounds of another name do not decide between models either", "[evaluation][comparison]") {
  const auto bounds = [](const std::string& name, double center) {
    std::vector<std::vector<Metric>> runs;
    for (const double value : {center - 0.01, center, center + 0.01}) {
      runs.push_back({bits(value, "pixels of 256 levels", "lower_bound")});
      runs.back()[0].name = "bound";
      runs.back().push_back(recall(value));
    }
    return model(name, runs);
  };
  const auto verdicts = verdicts_of(of({bounds("a", 1.0), bounds("b", 9.0)}));
  REQUIRE(verdicts.size() == 2);
  CHECK(verdicts[0].column.name == "bound");
  CHECK(verdicts[0].better == "a");
  CHECK(verdicts[0].of_bounds);
  CHECK(verdicts[0].to_json()["verdict"] == "undecided");
  CHECK_FALSE(verdicts[1].of_bounds);  // recall is no bound
  CHECK(verdicts[1].to_json()["verdict"] == "decided");
}

TEST_CASE("a model without a bound beside its likelihood says why", "[evaluation][comparison]") {
  Metric elbo = bits(1.0, "pixels of 256 levels", "lower_bound");
  elbo.name = "bound";
  const Column column = columns_of(of({model("a", {{elbo}})})).front();
  CHECK(cell_of(model("b", {{bits(1.0)}}), column).why == "none needed: its likelihood is exact");
  ComparedModel none = model("c", {{}});
  none.runs[0].evaluation.missing["likelihood"] = "it has none";
  CHECK(cell_of(none, column).why == "it has none");
}

TEST_CASE("of a model with a training that did not come to its end nothing is tested", "[evaluation][comparison]") {
  ComparedModel half = model("a", {{bits(1.0)}, {bits(1.1)}, {bits(1.2)}});
  CHECK(incomplete_in_words(half).empty());
  half.runs[1].ending = Ending::unfinished;
  half.runs[2].ending = Ending::diverged;
  CHECK(incomplete_in_words(half) == "1 of 3 seeds diverged, 1 of 3 seeds unfinished");
  const auto verdicts = verdicts_of(of({half, model("b", {{bits(8.0)}, {bits(8.1)}})}));
  REQUIRE(verdicts.size() == 1);
  CHECK_FALSE(verdicts[0].p);
  CHECK(verdicts[0].better.empty());
  CHECK(verdicts[0].why == "a: 1 of 3 seeds diverged, 1 of 3 seeds unfinished");
  ComparedModel one = model("c", {{bits(1.0)}});
  one.runs[0].ending = Ending::unfinished;
  CHECK(incomplete_in_words(one) == "unfinished");
}

TEST_CASE("higher is better where the metric says so", "[evaluation][comparison]") {
  const Comparison comparison =
      of({model("a", {{recall(0.11)}, {recall(0.1)}}), model("b", {{recall(0.9)}, {recall(0.91)}})});
  CHECK(verdicts_of(comparison).front().better == "b");
}

TEST_CASE("one seed is no test, and the correction does not count it", "[evaluation][comparison]") {
  const Comparison comparison = of({model("a", {{bits(1.0)}, {bits(1.1)}}), model("b", {{bits(5.0)}, {bits(5.2)}}),
                                    model("c", {{bits(9.0)}}), model("d", {{recall(1.0)}})});
  const auto verdicts = verdicts_of(comparison);
  REQUIRE(verdicts.size() == 3);  // d has no number to compare
  CHECK(*verdicts[0].corrected_p == *verdicts[0].p);
  CHECK_FALSE(verdicts[1].p);
  CHECK_FALSE(verdicts[1].effect);
  CHECK(verdicts[1].better == "");
  CHECK(verdicts[1].why == "one training seed of c: chance is unknown");
}

TEST_CASE("a column has the floor of its own extractor", "[evaluation][comparison]") {
  Comparison comparison = of({model("a", {{recall(0.5), recall(0.6, "features")}})});
  comparison.floors = {recall(0.8, "features")};
  const auto columns = columns_of(comparison);
  CHECK(floor_of(comparison, columns[0]) == nullptr);
  REQUIRE(floor_of(comparison, columns[1]) != nullptr);
  CHECK(floor_of(comparison, columns[1])->value == 0.8);
}

}  // namespace
}  // namespace genzoo
