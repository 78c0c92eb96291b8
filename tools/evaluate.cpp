#include "evaluation/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "evaluation/forgetting.h"
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

std::string describe(const Profile& profile) {
  Table table;
  table.add({profile.x.words(), profile.y.words(), "n"});
  for (const ProfilePoint& point : profile.points) {
    const std::string error = point.standard_error ? fmt::format(" +- {:.2g}", *point.standard_error) : "";
    table.add({fmt::format("{}", point.x), fmt::format("{:.5g}{}", point.mean, error), std::to_string(point.n)});
  }
  return fmt::format("\n{}: {}\n{}", profile.name, profile.detail, table.text());
}

std::string describe(const Evaluation& evaluation) {
  Table table;
  table.add({"metric", "value", "unit", "kind", "of", "n", "detail"});
  for (const Metric& m : evaluation.metrics) {
    table.add({m.name, value_and_error(m), m.unit, m.kind, m.of, std::to_string(m.n), m.detail});
  }
  std::string text = fmt::format("{}: {} on {}, {} split, step {}, {} weights\n{}", evaluation.run, evaluation.model,
                                 evaluation.dataset, evaluation.split, evaluation.step,
                                 evaluation.weights == "ema" ? "averaged" : "raw",
                                 evaluation.metrics.empty() ? "" : "\n" + table.text());
  for (const Profile& profile : evaluation.profiles) text += describe(profile);
  for (const auto& note : evaluation.notes) text += fmt::format("note: {}\n", note);
  return text;
}

/// What samples are measured against, when metrics of samples are asked for.
std::unique_ptr<SampleMetrics> real_data(const LoadedModel& loaded, const Dataset& dataset,
                                         const EvaluateOptions& options, const std::string& inception) {
  if (sample_metrics_of(options).empty()) return nullptr;
  if (!loaded.model.can.sample) refuse(loaded, "draws no samples of images or vectors");
  const Progress progress = [](const std::string& what) { fmt::print(stderr, "{}\n", what); };
  const Split split = options.split.value_or(default_split(dataset));
  dataset.require(split);  // before a classifier is trained
  return std::make_unique<SampleMetrics>(
      dataset, split, options.samples,
      features_for(loaded.config.data, dataset, DataPlaces::from_environment(), progress, inception, loaded.device));
}

ExitCode run(const Arguments& arguments) {
  EvaluateOptions options;
  options.split = split_of(arguments);
  if (arguments.has("metrics")) options.metrics = split_words(arguments.text("metrics"), ',');
  require_metrics(options.metrics);  // before a large data set is read
  options.k = arguments.integer("k");
  options.limit = arguments.integer("examples");
  options.samples = arguments.integer("samples");
  const std::string inception = arguments.has("inception") ? arguments.text("inception") : "";
  if (!inception.empty() && sample_metrics_of(options).empty()) {
    throw UsageError(fmt::format(
        "--inception {}: its features are for metrics of samples; ask for some, --metrics frechet,kernel", inception));
  }
  const LoadedModel loaded = load_run(arguments);
  const Dataset dataset = dataset_of(loaded, DataPlaces::from_environment());
  const auto real = real_data(loaded, dataset, options, inception);
  Evaluation evaluation = evaluate(loaded, dataset, options, real.get());
  if (options.metrics.empty() || std::ranges::count(options.metrics, "forgetting") > 0) {
    add_forgetting(loaded, dataset, options, DataPlaces::from_environment(), evaluation);
  }
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
          {"metrics", Takes::text, "A,B",
           "likelihood, classification (of labelled data), translation (of pairs), monitors (losses, signs of health); "
           "of samples: frechet, kernel, "
           "precision_recall, density_coverage, modes, memorization; forgetting: of a fine-tuned run, losses before "
           "and "
           "after, on new and old data; profiles: curves of a model of pairs, against lengths and distances of "
           "validation and test together; without: likelihood,classification,translation,monitors,forgetting"},
          {"k", Takes::integer, "K", "draws per example for a bound or estimate", "1", false, positive},
          {"samples", Takes::integer, "N", "drawn for metrics of samples", "10000", false, positive},
          {"inception", Takes::text, "FILE",
           "weights of InceptionV3, to measure samples in its features as well: FID, KID; an image takes a core 0.1 s"},
          {"examples", Takes::integer, "N", "only the first of the split; 0: all", "0", false, non_negative},
      }),
      run};
}

}  // namespace genzoo
