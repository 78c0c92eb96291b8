// A comparison made by hand, as real ones look: four models trained with three seeds, one given from outside, pictures
// of strokes.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "core/random.h"
#include "evaluation/comparison.h"
#include "tests/support.h"

namespace genzoo::example {

inline constexpr const char* kPixels = "pixels of 256 levels";
inline constexpr const char* kClassifier = "features of classifier 3f9a1c (test accuracy 91.2 %)";

inline Metric metric(const std::string& name, double value, const std::string& unit, const std::string& of,
                     Better better, int64_t n = 10'000, const std::string& kind = "") {
  return {.name = name,
          .value = value,
          .unit = unit,
          .kind = kind,
          .standard_error = std::abs(value) / 300,
          .n = n,
          .detail = "as the example says",
          .of = of,
          .better = better};
}

/// Images (n, channels, 28, 28) uint8 of a few strokes each, drawn with a pen of this width.
inline Tensor strokes(int64_t n, uint64_t seed, double width, int64_t channels = 1) {
  Rng rng = Rng::for_batch(seed, Purpose::synthetic_data, 0);
  const Tensor ends = rng.uniform({n, 3, 4}) * 20 + 4;  // x0, y0, x1, y1
  const Tensor axis = torch::arange(28, torch::kFloat);
  const Tensor x = axis.view({1, 1, 1, 28}), y = axis.view({1, 1, 28, 1});
  const auto part = [&](int64_t i) { return ends.select(2, i).view({n, 3, 1, 1}); };
  const Tensor dx = part(2) - part(0), dy = part(3) - part(1);
  const Tensor along = (((x - part(0)) * dx + (y - part(1)) * dy) / (dx * dx + dy * dy + 1)).clamp(0, 1);
  const Tensor distance = (x - part(0) - along * dx).square() + (y - part(1) - along * dy).square();
  const Tensor ink = (-distance / (width * width)).exp().amax(1, /*keepdim=*/true);
  return (ink * 255).to(torch::kByte).expand({n, channels, 28, 28}).contiguous();
}

inline std::vector<CurvePoint> curve(double end, double start, double seconds, uint64_t seed) {
  Rng rng = Rng::for_batch(seed, Purpose::synthetic_data, 1);
  const Tensor noise = rng.normal({24});
  std::vector<CurvePoint> points;
  for (int64_t i = 1; i <= 24; ++i) {
    const double t = static_cast<double>(i) / 24;
    const double loss = end + (start - end) * std::exp(-5 * t) + 0.004 * end * noise[i - 1].item<double>();
    points.push_back({.step = 250 * i, .seconds = seconds * t, .loss = loss});
  }
  return points;
}

inline ComparedRun run(const std::string& name, int64_t seed, std::vector<Metric> metrics) {
  ComparedRun run;
  run.path = "runs/" + name + "/seed-" + std::to_string(seed);
  run.seed = seed;
  run.evaluation = {.run = run.path,
                    .model = name,
                    .dataset = "fashion_mnist",
                    .split = "test",
                    .step = 6000,
                    .weights = "ema",
                    .metrics = std::move(metrics),
                    .notes = {}};
  run.costs = Costs{.parameters = 1'234'567 + 100'000 * static_cast<int64_t>(name.size()),
                    .training_flops = 3.1e14,
                    .steps = 6000,
                    .item = "images",
                    .samples_per_s = 5400.0,
                    .training_seconds = 59.2 + 0.2 * static_cast<double>(seed),
                    .items_per_s = 12'870.0,
                    .peak_memory = 812'000'000,
                    .trained_on = "cpu, 2 threads",
                    .trained_by = "genzoo 0.1.0, LibTorch 2.11.0, CPU, AVX512"};
  run.stopped_by = "budget of 60 s";
  return run;
}

/// Sample metrics around these values, with a little of the seed in them.
inline void add_sample_metrics(std::vector<Metric>& metrics, double frechet, double quality, double jitter) {
  metrics.push_back(metric("frechet", frechet * (1 + jitter), "", kClassifier, Better::lower));
  metrics.push_back(metric("kernel", frechet * (1 + 2 * jitter) / 900, "", kClassifier, Better::lower));
  metrics.push_back(metric("precision", quality * (1 + jitter), "", kClassifier, Better::higher));
  metrics.push_back(metric("coverage", 0.9 * quality * (1 - jitter), "", kClassifier, Better::higher));
  metrics.push_back(metric("frechet", 40 * frechet * (1 - jitter), "", "pixels", Better::lower));
}

struct Likelihood {
  double bits = 0.0;  ///< 0: none
  std::string kind;
};

inline ComparedModel model(const std::string& name, const std::string& family, const Likelihood& likelihood,
                           double frechet, double quality, double pen, uint64_t key, int seeds = 3) {
  ComparedModel model;
  model.name = name;
  model.family = family;
  model.dataset = "fashion_mnist";
  Rng rng = Rng::for_batch(key, Purpose::synthetic_data, 2);
  for (int seed = 0; seed < seeds; ++seed) {
    const double jitter = 0.01 * rng.normal({1}).item<double>();
    std::vector<Metric> metrics;
    if (likelihood.bits > 0) {
      const double bits = likelihood.bits * (1 + 0.3 * jitter);
      metrics.push_back(metric("likelihood", bits, "bits/dim", kPixels, Better::lower, 10'000, likelihood.kind));
      metrics.push_back(
          metric("likelihood", -bits * 784 * std::log(2.0), "nats", kPixels, Better::higher, 10'000, likelihood.kind));
    }
    add_sample_metrics(metrics, frechet, quality, jitter);
    metrics.push_back(metric("gradient_norm", 0.8 + jitter, "", "", Better::neither));
    model.runs.push_back(run(name, seed, std::move(metrics)));
    ComparedRun& last = model.runs.back();
    if (likelihood.bits == 0) {
      last.evaluation.missing["likelihood"] = family + " has no likelihood: its density is implicit";
    } else {
      last.curve = curve(likelihood.bits, likelihood.bits + 3, 59, key * 10 + static_cast<uint64_t>(seed));
    }
  }
  model.loss_unit = likelihood.bits > 0 ? "bits/dim of pixels of 256 levels" : "";
  model.samples = strokes(64, 100 + key, pen);
  model.nearest = strokes(64, 100 + key, pen + 0.3);
  model.config = "experiment: " + name + "\nseed: 0\nmodel:\n  " + family + ": {latent_dim: 32}  # as resolved\n";
  return model;
}

/// Somebody's samples, without trainings of ours.
inline ComparedModel external(const std::string& name) {
  ComparedModel model = example::model(name, "external", {}, 11.0, 0.66, 1.5, 9, 1);
  model.external = true;
  model.config.clear();
  model.runs.front().costs.reset();
  model.runs.front().stopped_by.clear();
  model.runs.front().evaluation.missing.clear();
  return model;
}

inline Comparison images() {
  Comparison comparison;
  comparison.title = "fashion_mnist";
  comparison.protocol = {{"data", "Fashion-MNIST, 55,000 images to learn from, 5,000 for validation"},
                         {"split", "test, 10,000 images"},
                         {"budget", "60 s of training each"},
                         {"seeds", {0, 1, 2}},
                         {"samples", 10'000},
                         {"k", 64},
                         {"machine", "Intel Xeon, 2 threads, CPU"},
                         {"versions", {{"genzoo", "0.1.0"}, {"libtorch", "2.15.0"}, {"commit", "2b291a6"}}},
                         {"command_line",
                          "genzoo compare configs/compare/*.yaml --budget 60s --seeds 3 --out report/ "
                          "--external their_diffusion=samples.safetensors"}};
  comparison.spec.dataset = "fashion_mnist";
  comparison.spec.kind = DataKind::images;
  comparison.spec.shape = {1, 28, 28};
  comparison.spec.levels = 256;
  comparison.models = {model("vae_fashion_mnist", "vae", {3.45, "lower_bound"}, 14.2, 0.61, 2.2, 1),
                       model("gan_fashion_mnist", "gan", {}, 8.9, 0.72, 1.2, 2),
                       model("realnvp_fashion_mnist", "realnvp", {3.34, "lower_bound"}, 21.7, 0.44, 1.7, 3),
                       model("pixel_transformer", "pixel_transformer", {3.337, "exact"}, 12.1, 0.58, 1.4, 4),
                       external("their_diffusion")};
  comparison.models[0].interpolation = strokes(4 * kInterpolationSteps, 7, 2.0);
  comparison.models[2].interpolation = strokes(4 * kInterpolationSteps, 8, 1.7);
  comparison.models[0].reconstruction = strokes(20, 9, 1.8);
  comparison.models[0].notes = {"posterior collapse: 20 of 32 latents carry less than 0.01 nats"};
  comparison.real = strokes(64, 5, 1.4);
  add_sample_metrics(comparison.floors, 0.31, 0.93, 0.0);
  comparison.notes = {"10,000 samples for all; the pixel transformer draws 12 a second, so its column rests on 2,000"};
  return comparison;
}

/// Vectors in the plane: two models, one training seed each.
inline Comparison points() {
  Rng rng = Rng::for_batch(1, Purpose::synthetic_data, 3);
  Comparison comparison;
  comparison.title = "eight_gaussians";
  comparison.protocol = {{"data", "eight_gaussians"}, {"budget", "2,000 steps"}};
  comparison.spec.dataset = "eight_gaussians";
  comparison.spec.shape = {2};
  for (const std::string name : {"realnvp_eight_gaussians", "gan_eight_gaussians"}) {
    ComparedModel& model = comparison.models.emplace_back();
    model.name = name;
    model.family = name.substr(0, name.find('_'));
    const bool flow = model.family == "realnvp";
    model.runs.push_back(run(name, 0, {metric("modes_covered", flow ? 8 : 7, "", "", Better::higher)}));
    if (flow) {
      model.runs[0].evaluation.metrics.push_back(
          metric("divergence", 0.04, "nats", "", Better::lower, 10'000, "exact"));
      model.runs[0].curve = curve(2.7, 5.0, 20, 1);
      model.loss_unit = "nats";
    }
    model.samples = rng.normal({1000, 2}) * (flow ? 1.0 : 0.5);
  }
  comparison.real = rng.normal({1000, 2});
  return comparison;
}

/// Text: no pictures, curves of different units.
inline Comparison texts() {
  Comparison comparison;
  comparison.title = "king_james";
  comparison.protocol = {{"data", "king_james"}};
  comparison.spec.dataset = "king_james";
  comparison.spec.kind = DataKind::tokens;
  for (const std::string unit : {"char", "token"}) {
    ComparedModel& model = comparison.models.emplace_back();
    model.name = "transformer_of_" + unit + "s";
    model.family = "transformer";
    model.loss_unit = "nats/" + unit;
    model.texts = {"In the beginning of Pharez, saying,\nAnsau, and Himatha", std::string(3000, 'x')};
    for (int seed = 0; seed < 3; ++seed) {
      model.runs.push_back(
          run(model.name, seed,
              {metric("likelihood", 1.2 + 0.01 * seed, "nats/" + unit, "king_james", Better::lower, 50'000, "exact")}));
      model.runs.back().curve = curve(1.2, 4.0, 50, static_cast<uint64_t>(seed));
    }
  }
  return comparison;
}

/// Sources and targets: profiles of two models of three seeds and of one of a single seed.
inline Comparison pairs() {
  Comparison comparison;
  comparison.title = "recall";
  comparison.protocol = {{"data", "recall"}};
  comparison.spec.dataset = "recall";
  comparison.spec.kind = DataKind::pairs;
  for (const std::string name : {"lstm", "gru", "transformer"}) {
    ComparedModel& model = comparison.models.emplace_back();
    model.name = name;
    model.family = name;
    const double forgets = name == "transformer" ? 0.001 : name == "gru" ? 0.08 : 0.12;
    for (int seed = 0; seed < (name == "gru" ? 1 : 3); ++seed) {
      model.runs.push_back(run(name, seed, {metric("exact_match", 0.5, "share", "texts", Better::higher, 1000)}));
      Profile recall{.name = "recall_by_distance",
                     .x = {.title = "distance before the source's end", .unit = "chars"},
                     .y = {.title = "recalled", .unit = "share"},
                     .points = {},
                     .detail = "share of values that are told right"};
      Profile speed{.name = "tokens_per_second_by_length",
                    .x = {.title = "length of the source", .unit = "chars", .log = true},
                    .y = {.title = "speed of training", .unit = "chars/s", .log = true},
                    .points = {},
                    .detail = "a timing"};
      for (int i = 1; i <= 6; ++i) {
        const double d = 4 * i, length = std::pow(2.0, 3 + i);
        recall.points.push_back(
            {.x = d, .mean = std::exp(-forgets * d) - 0.01 * seed, .standard_error = 0.02, .n = 100});
        speed.points.push_back({.x = length, .mean = 2e5 * forgets / (1 + length / 200) + seed, .n = 10});
      }
      if (name == "transformer") speed.points.pop_back();  // beyond its context
      model.runs.back().evaluation.profiles = {recall, speed};
    }
  }
  return comparison;
}

/// Nothing is as it should be: names that are markup, numbers that are none, models without anything.
inline Comparison hostile() {
  const std::string attack = "<script>alert(1)</script>&\"'{{curves}}</title><!--";
  Comparison comparison = images();
  comparison.title = attack;
  comparison.protocol[attack] = {attack, {{attack, nullptr}}};
  comparison.notes.push_back(attack + "\xff\x01 not UTF-8");
  ComparedModel& named = comparison.models[0];
  named.name = attack + "," + std::string(300, 'n');
  named.config = attack;
  named.texts = {attack};
  named.loss_unit = attack;
  named.notes.push_back(attack);
  for (ComparedRun& run : named.runs) run.evaluation.metrics[0].of = run.evaluation.metrics[0].detail = attack;
  ComparedModel& broken = comparison.models[3];
  for (Metric& metric : broken.runs[1].evaluation.metrics) metric.value = NAN;
  broken.runs[1].curve[0].loss = 1e6;
  broken.runs[1].curve[5].loss = NAN;
  broken.runs[1].costs->training_flops = INFINITY;
  for (ComparedRun& run : broken.runs) {
    run.evaluation.profiles = {
        {.name = attack,
         .x = {.title = attack, .unit = attack, .log = true},
         .y = {.title = attack, .unit = "", .log = true},
         .points = {{.x = 0, .mean = 1}, {.x = 1, .mean = NAN}, {.x = 2, .mean = 1}, {.x = 3}, {.x = 4, .mean = 2}},
         .detail = attack}};
  }
  ComparedModel& empty = comparison.models.emplace_back();
  empty.name = "nothing";
  empty.family = "vae";
  return comparison;
}

}  // namespace genzoo::example
