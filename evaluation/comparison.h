#pragma once
// Models side by side: what was measured of each training seed, which numbers may be compared, and which differences
// are decided.

#include <torch/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/dataset.h"
#include "evaluation/metric.h"

namespace genzoo {

/// What one trained model cost.
struct Costs {
  int64_t parameters = 0;
  double training_flops = 0.0;  ///< of all steps; a multiply and an add are two
  int64_t steps = 0;
  std::string item;                     ///< "images", "vectors", "tokens"
  std::optional<double> samples_per_s;  ///< drawn, of images and vectors; timed when it was measured
  // As the run folder tells; nothing where it does not, or there is only a checkpoint.
  std::optional<double> training_seconds;  ///< of updates alone: without validation, sampling and saving
  std::optional<double> items_per_s;       ///< trained on per second
  std::optional<int64_t> peak_memory;      ///< bytes, of the whole program while training
  std::string trained_on;                  ///< the device: "cpu, 2 threads"
  std::string trained_by;                  ///< "genzoo 0.1.0 d86f94ff216d, LibTorch 2.15.0, CPU, AVX512"
  Json to_json() const;
  static Costs from_json(const Json& json);  ///< what to_json() wrote; throws RunError for anything else
};

/// A point of a learning curve.
struct CurvePoint {
  int64_t step = 0;
  double seconds = 0.0;  ///< of training
  double loss = 0.0;     ///< on validation data
};

/// How far a training came.
enum class Ending { complete, unfinished, diverged };
inline constexpr const char* kEndingNames[] = {"complete", "unfinished", "diverged"};

/// One training seed of a model, evaluated.
struct ComparedRun {
  std::string path;  ///< of its run folder, or of the given file
  int64_t seed = 0;
  Evaluation evaluation;
  std::optional<Costs> costs;     ///< nothing of external samples
  std::vector<CurvePoint> curve;  ///< empty where there is no validation loss: of two players, of external samples
  Ending ending = Ending::complete;
  std::string stopped_by;  ///< "budget of 60 s", "its config's steps", "diverged after step 120"
  Json to_json() const;    ///< Evaluation::to_json() and the rest
  static ComparedRun from_json(const Json& json);  ///< what to_json() wrote; throws RunError for anything else
};

/// A row of a comparison: one model, its training seeds, and what it draws.
struct ComparedModel {
  std::string name;    ///< its experiment's
  std::string family;  ///< "external" when only samples were given
  std::string dataset;
  bool external = false;
  bool given = false;             ///< it was trained before, under no budget of this comparison
  std::vector<ComparedRun> runs;  ///< one a training seed, by seed
  std::string config;             ///< YAML as resolved, of the first seed; empty when external
  /// Of the curves, with what it speaks of where models of one unit differ in it: "nats of pixels of 256 levels".
  /// Curves of one text share a chart; empty: a chart of its own.
  std::string loss_unit;

  // Of the first seed that left a checkpoint. Sample i of each model stands in the same place of every grid. Pictures:
  // uint8 pixels 0 ... 255 (as_pixels of binarized ones), C 1 or 3; `nearest`, `interpolation` and `reconstruction` of
  // vectors are not shown.
  Tensor samples;                  ///< (n, C, H, W) uint8, or (n, D) float32; undefined: none
  Tensor means;                    ///< (n, C, H, W): means of p(x|z) instead of draws; undefined: there are none
  Tensor nearest;                  ///< (m, C, H, W), m <= n: to samples 0 ... m - 1 the nearest training image
  Tensor interpolation;            ///< (rows x kInterpolationSteps, C, H, W); undefined: no latent space
  Tensor reconstruction;           ///< (2 n, C, H, W): test images, then their reconstructions; undefined: no encoder
  std::vector<std::string> texts;  ///< of language models
  std::vector<std::string> notes;  ///< warnings of its monitors, why it has no likelihood, ...
};

inline constexpr int64_t kInterpolationSteps = 8;

bool has_diverged(const ComparedRun& run);

/// "1 of 3 seeds diverged, 1 of 3 seeds unfinished"; empty when all trainings came to their end.
std::string incomplete_in_words(const ComparedModel& model);

/// Numbers that may be compared with one another, and with no others.
struct Column {
  std::string name;  ///< the metric's: "likelihood", "frechet", ...
  std::string unit;
  std::string of;  ///< data treatment or feature extractor
  Better better = Better::neither;
  std::string title() const;  ///< "likelihood, bits/dim of pixels of 256 levels"
  bool holds(const Metric& metric) const;
};

/// What a column says of a model: the mean over its training seeds.
struct Cell {
  std::optional<double> mean;            ///< nothing: no number, and `why` says why
  std::optional<double> standard_error;  ///< over training seeds; nothing for one seed
  int64_t seeds = 0;                     ///< with a number
  std::string kind;                      ///< of a likelihood, see Metric::kind
  int64_t n = 0;                         ///< examples or samples each seed's number rests on; of several the fewest
  std::string why;                       ///< "has no likelihood: ...", "too few samples: ..."
};

/// The difference of two models in one column. Welch's t-test over training seeds, corrected over all tests of the
/// column by Holm (1979).
struct Verdict {
  Column column;
  std::string a, b;         ///< models
  double difference = 0.0;  ///< mean of a - mean of b
  int64_t seeds_a = 0, seeds_b = 0;
  std::optional<double> t, degrees_of_freedom, p, corrected_p;  ///< nothing when there is no test, and `why` says why
  std::optional<double> effect;                                 ///< Hedges' g, of the sign of the difference
  std::string better;                                           ///< the better model's name; empty: undecided
  /// Of the worse model only a bound or an estimate is known, so it may be the better one: a difference of numbers, not
  /// of models. What wins is at least as good as its number.
  bool of_bounds = false;
  std::string why = {};  ///< "one training seed of ..."; empty when tested
  Json to_json() const;
};

/// Everything a report tells.
struct Comparison {
  std::string title;                  ///< "fashion_mnist"
  Json protocol;                      ///< data, split, budget, seeds, samples, k, versions, machine, command line
  DataSpec spec;                      ///< of the data as the metrics see them
  std::vector<ComparedModel> models;  ///< of different names
  std::vector<Metric> floors;         ///< each sample metric of real data against real data
  Tensor real;                        ///< (n, C, H, W) uint8 or (n, D): real examples for the grids; undefined for text
  std::vector<std::string> notes;     ///< sample count lowered and why, ...
};

/// The columns in which models can be ranked: of metrics with a direction, comparable ones together, in the order in
/// which models first have them, those of one `of` side by side. Likelihoods of all kinds share a column: each says
/// that log p is at least this (an estimate in expectation, an exact one at most this as well).
std::vector<Column> columns_of(const Comparison& comparison);

/// The mean over the model's seeds. No mean, and a reason, when no seed has the number or one has a number that is not
/// finite: what is left would be a choice among the seeds.
Cell cell_of(const ComparedModel& model, const Column& column);

/// The same of real data against real data; nullptr where there is none.
const Metric* floor_of(const Comparison& comparison, const Column& column);

/// The models (indices) with the best mean of a column; empty where fewer than two have a number.
std::vector<size_t> best_of(const Comparison& comparison, const Column& column);

/// Below which corrected p a difference is decided.
inline constexpr double kLevel = 0.05;

/// Every pair of models that both have a number, column by column. A difference is decided when its corrected p is
/// below `level`; of a model with a training that did not come to its end nothing is tested.
std::vector<Verdict> verdicts_of(const Comparison& comparison, double level = kLevel);

}  // namespace genzoo
