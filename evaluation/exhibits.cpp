#include "evaluation/exhibits.h"

#include <torch/utils.h>

#include <algorithm>

#include "evaluation/evaluate.h"
#include "evaluation/measured_classification.h"
#include "trainers/samples.h"
#include "trainers/text_generation.h"
#include "trainers/translations.h"

namespace genzoo {
namespace {

/// As pictures show them: bits become black and white.
Tensor shown(const Tensor& x, const DataSpec& spec) {
  return spec.kind == DataKind::images ? as_pixels(x, spec.levels) : x;
}

int64_t shown_count(const DataSpec& spec) { return spec.kind == DataKind::images ? kShownSamples : kShownPoints; }

Tensor first(const Tensor& x, int64_t n) { return x.narrow(0, 0, std::min(n, x.size(0))); }

}  // namespace

void add_sample_exhibits(const Tensor& samples, const DataSpec& spec, const SampleMetrics& real, ComparedModel& model) {
  model.samples = shown(first(samples, shown_count(spec)), spec);
  if (spec.kind == DataKind::images) {
    model.nearest = shown(real.nearest_training(first(samples, kShownNearest)), spec);
  }
}

void add_exhibits(const LoadedModel& loaded, const Dataset& dataset, Split split, const SampleMetrics* real,
                  ComparedModel& model) {
  const Abilities& can = loaded.model.can;
  const DataSpec& spec = loaded.spec;
  if (can.sample && real) {
    const Tensor samples =
        draw_samples(loaded.model, shown_count(spec), /*seed=*/0, Purpose::sample, {}, loaded.device);
    add_sample_exhibits(samples, spec, *real, model);
    if (can.samples_have_mean && spec.kind == DataKind::images) {
      SampleOptions mean;
      mean.mean = true;
      model.means =
          shown(draw_samples(loaded.model, kShownSamples, /*seed=*/0, Purpose::sample, mean, loaded.device), spec);
    }
  }
  if (spec.kind == DataKind::images && can.decode) {
    const Tensor strips =
        interpolate_latents(loaded.model, kShownInterpolations, kInterpolationSteps, /*seed=*/0, loaded.device);
    model.interpolation = shown(strips, spec);
  }
  if (spec.kind == DataKind::images && can.reconstruct) {
    const Tensor x = first(dataset[split].x, kShownReconstructions);
    const EvalMode eval(*loaded.model.module);
    const Tensor y = map_rows(x, [&](const Tensor& rows) { return can.reconstruct(rows.to(loaded.device)); });
    model.reconstruction = shown(at::cat({x, y}), spec);
  }
  if (can.translate) {
    const EvaluationSource pairs(dataset, split, kShownTranslations, /*context=*/0, kShownTranslations, loaded.device);
    model.texts = {show_translations(loaded.model, spec, pairs.batch(0), kShownTranslations, loaded.device)};
  }
  if (can.class_logits && spec.kind == DataKind::documents) {
    model.texts = {show_classifications(loaded, dataset, split, kShownDocuments)};
  }
  if (can.generate) {
    TextRequest request;
    request.n = kShownTexts;
    request.options.tokens = kShownTokens;
    model.texts = generate_texts(loaded.model, spec, request, loaded.device);
  }
}

Tensor real_exhibit(const Dataset& dataset, Split split) {
  if (dataset.spec.has_tokens()) return {};
  return shown(first(dataset[split].x, shown_count(dataset.spec)), dataset.spec);
}

}  // namespace genzoo
