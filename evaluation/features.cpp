#include "evaluation/features.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/utils.h>

#include "core/error.h"
#include "core/file.h"
#include "core/safetensors.h"
#include "evaluation/evaluate.h"
#include "evaluation/inception.h"
#include "evaluation/likelihood.h"
#include "trainers/checkpoint.h"
#include "trainers/named_state.h"
#include "trainers/samples.h"
#include "trainers/train_experiment.h"

namespace genzoo {

namespace {

namespace fs = std::filesystem;

constexpr size_t kShownDigits = 8;  // of a digest, in names

/// Of what decides the classifier's weights: the recipe, the examples it learns from, and how they are treated in
/// training (bits that are drawn anew are stored as the grey pixels that they are drawn from).
std::string recipe_digest(const Dataset& dataset) {
  Sha256 digest;
  digest.update(kClassifierRecipe.data(), kClassifierRecipe.size());
  const std::string treatment = treatment_of(dataset.spec) + kBinarizeNames[static_cast<size_t>(dataset.binarize)];
  digest.update(treatment.data(), treatment.size());
  add_bytes(digest, dataset.train.x);
  add_bytes(digest, dataset.train.y);
  return digest.hex();
}

/// The recipe with these data in it.
ExperimentConfig recipe_for(const Choice& data) {
  auto config = read_config<ExperimentConfig>(
      ConfigSource::from_text(std::string(kClassifierRecipe), "configs/classifier_fashion_mnist.yaml"));
  config.experiment = "classifier_" + data.name;
  config.data = data;
  config.threads = at::get_num_threads();  // its shards make the weights the same for any number
  return config;
}

double share_right(const LoadedModel& classifier, const Examples& examples) {
  const EvalMode eval(*classifier.model.module);
  const Tensor logits = map_rows(examples.x, classifier.model.can.class_logits);
  return (logits.argmax(1) == examples.y).to(torch::kDouble).mean().item<double>();
}

/// Trains it unless a finished one lies in the folder. One that was stopped half way is begun anew: it takes a minute.
void train_once(const fs::path& folder, const Choice& data, const DataPlaces& places, const Progress& progress) {
  const RunFolder run(folder);
  const ExperimentConfig config = recipe_for(data);
  const std::vector<int64_t> saved = run.checkpoint_steps();
  if (!saved.empty() && saved.back() == config.train.steps) return;
  if (is_locked(folder)) {
    throw RunError(fmt::format("{}: another genzoo trains the classifier of features there; wait until it is done",
                               folder.string()));
  }
  fs::remove_all(folder);
  progress(fmt::format("training the classifier in whose features samples are compared, once; it is kept in {}",
                       folder.string()));
  TrainRequest request;
  request.run = folder;
  request.quiet = true;
  request.command_line = "the features of samples";
  request.places = places;
  const TrainOutcome outcome = train_experiment(config, request);
  if (outcome.code != ExitCode::done) throw Error(outcome.code, "the classifier of features: " + outcome.reason);
}

LoadedModel cached_classifier(const Choice& data, const Dataset& dataset, const DataPlaces& places,
                              const Progress& progress) {
  const std::string name = fmt::format("{}-{}", data.name, recipe_digest(dataset).substr(0, 16));
  const fs::path folder = places.cache / "features" / name;
  train_once(folder, data, places, progress);
  return load_model(folder, Which::newest, Weights::ema_if_any, "cpu");
}

}  // namespace

Features raw_features(const DataSpec& spec) {
  const bool images = spec.kind == DataKind::images;
  const double scale = images ? 1.0 / static_cast<double>(spec.levels - 1) : 1.0;
  const std::string name = images ? "pixels" : "coordinates";
  return {.name = name,
          .of = treatment_of(spec),
          .detail = images ? "raw pixels, 0 to 1" : "the vectors themselves",
          .map = [scale](const Tensor& x) { return x.flatten(1).to(torch::kFloat) * scale; }};
}

Features classifier_features(const Choice& data, const Dataset& dataset, const DataPlaces& places,
                             const Progress& progress) {
  if (dataset.spec.kind != DataKind::images || dataset.spec.classes < 2) {
    throw UsageError(fmt::format("{}: {}; a classifier's features need labelled images, take raw pixels",
                                 dataset.spec.dataset, dataset.spec.describe()));
  }
  const LoadedModel classifier = cached_classifier(data, dataset, places, progress);
  const Split split = default_split(dataset);
  const std::string digest = state_digest(module_state(*classifier.model.module)).substr(0, kShownDigits);
  return {.name = "classifier " + digest,
          .of = fmt::format("classifier {} of {}", digest, treatment_of(dataset.spec)),
          .detail =
              fmt::format("trained on {}, {:.2f} % of {} labels right, weights {}", dataset.spec.dataset,
                          100 * share_right(classifier, dataset[split]), kSplitNames[static_cast<int>(split)], digest),
          .map = [classifier](const Tensor& x) {
            const EvalMode eval(*classifier.model.module);
            return map_rows(x, classifier.model.can.features);
          }};
}

std::vector<Features> features_for(const Choice& data, const Dataset& dataset, const DataPlaces& places,
                                   const Progress& progress, const fs::path& inception, torch::Device device) {
  if (!inception.empty()) require_inception(inception, dataset.spec);  // before a classifier is trained
  std::vector<Features> all;
  if (dataset.spec.kind == DataKind::images && dataset.spec.classes > 1) {
    all.push_back(classifier_features(data, dataset, places, progress));
  }
  if (!inception.empty()) all.push_back(inception_features(inception, dataset.spec, device));
  all.push_back(raw_features(dataset.spec));
  return all;
}

}  // namespace genzoo
