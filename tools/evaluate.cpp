#include "evaluation/evaluate.h"

#include <fmt/format.h>

#include <algorithm>

#include "tools/output.h"
#include "tools/table.h"
#include "tools/trained_model.h"
#include "tools/verb.h"

namespace genzoo {
namespace {

std::optional<Split> split_of(const Arguments& arguments) {
  if (!arguments.given("split")) return {};
  const auto found = std::ranges::find(kSplitNames, arguments.text("split"));
  return static_cast<Split>(found - std::begin(kSplitNames));
}

std::string value_and_error(const Metric& metric) {
  const std::string value = fmt::format("{:.4f}", metric.value);
  return metric.standard_error ? fmt::format("{} +- {:.4f}", value, *metric.standard_error) : value;
}

std::string describe(const Evaluation& evaluation) {
  Table table;
  table.add({"metric", "value", "unit", "kind", "n", "detail"});
  for (const Metric& m : evaluation.metrics) {
    table.add({m.name, value_and_error(m), m.unit, m.kind, std::to_string(m.n), m.detail});
  }
  std::string text = fmt::format("{}: {} on {}, {} split, step {}, {} weights\n\n{}", evaluation.run, evaluation.model,
                                 evaluation.dataset, evaluation.split, evaluation.step,
                                 evaluation.weights == "ema" ? "averaged" : "raw", table.text());
  for (const auto& note : evaluation.notes) text += fmt::format("note: {}\n", note);
  return text;
}

ExitCode run(const Arguments& arguments) {
  EvaluateOptions options;
  options.split = split_of(arguments);
  if (arguments.has("metrics")) options.metrics = split_words(arguments.text("metrics"), ',');
  require_metrics(options.metrics);  // before a large data set is read
  options.k = arguments.integer("k");
  options.limit = arguments.integer("examples");
  const LoadedModel loaded = load_run(arguments);
  const Dataset dataset = dataset_of(loaded, DataPlaces::from_environment());
  const Evaluation evaluation = evaluate(loaded, dataset, options);
  if (arguments.flag("json")) {
    print_json(evaluation.to_json());
  } else {
    print(describe(evaluation));
  }
  return ExitCode::done;
}

}  // namespace

Verb evaluate_verb() {
  return {
      "evaluate",
      "measures a run on its data",
      "RUN",
      "Values are means over n examples (of text: tokens) with their standard error. A lower bound is of log p, so an\n"
      "upper bound when given as bits.",
      with_run_options({
          {"split", Takes::word, "train|validation|test", "test, or validation where there is no test split"},
          {"metrics", Takes::text, "A,B", "likelihood, monitors (losses and their terms); without: both"},
          {"k", Takes::integer, "K", "draws per example for a bound or estimate", "1", false, positive},
          {"examples", Takes::integer, "N", "only the first of the split; 0: all", "0", false, non_negative},
      }),
      run};
}

}  // namespace genzoo
