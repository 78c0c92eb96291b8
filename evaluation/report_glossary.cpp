#include "evaluation/report_glossary.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

namespace genzoo {
namespace {

struct Known {
  const char* name;  ///< of a metric
  const char* term;
  const char* meaning;
  const char* silence;
};

constexpr Known kKnown[] = {
    {"likelihood", "Likelihood",
     "How probable the model holds data it never saw: the mean of log p in nats (higher is better), or of −log2 p per "
     "dimension, token or character (lower is better). An exact value is log p; a lower bound of log p (the ELBO of "
     "Kingma and Welling, 2014; a flow's density of dequantized pixels, Theis et al., 2016) may lie below it by an "
     "unknown gap; an estimate (importance weighting, Burda et al., 2016) is below it in expectation.",
     "It does not say that samples look good, nor the other way round (Theis et al., 2016). In a column of several "
     "kinds, a bound that loses may still belong to the better model; one that wins does win."},
    {"bound", "Bound of one draw",
     "What one draw an example gives where a likelihood stands beside it that averages several: of a model with "
     "latents "
     "the ELBO (Kingma and Welling, 2014).",
     "A gap to the likelihood measures how well latents are inferred, not how good the model is."},
    {"divergence", "Divergence",
     "The mean of log p of the data's own density minus log p of the model, on data: an estimate of the "
     "Kullback-Leibler divergence (Kullback and Leibler, 1951); 0 is perfect.",
     "Where the model has only a bound of log p, this is an upper bound of the divergence."},
    {"accuracy", "Accuracy",
     "The share of labels that are the model's likeliest. Always naming the commonest class of the training examples "
     "has the share that is told as that of the commonest class.",
     "Where classes differ in size, the large ones decide; it does not see how sure the model was."},
    {"cross_entropy", "Cross-entropy",
     "The mean of −log p(label), in nats: 0 for a model that is sure and right, log K for one that knows nothing of K "
     "classes.",
     "A model that is sure of its mistakes, as naive Bayes is (Domingos and Pazzani, 1997), has a high one at a good "
     "accuracy."},
    {"macro_f1", "Macro F1",
     "The mean over classes of F1, the harmonic mean of precision and recall, each class counting alike (Lewis, 1991).",
     "Of a rare class a few examples decide."},
    {"token_accuracy", "Token accuracy",
     "The share of the targets' tokens, ends among them, that are the model's likeliest, given the source and the true "
     "tokens before.",
     "The model is set right after every mistake; of its own targets exact match tells."},
    {"exact_match", "Exact match",
     "The share of sources of which the model, taking its likeliest token always, makes the target, to the byte.",
     "Where a source has several good targets, all but one count as wrong."},
    {"bleu", "BLEU",
     "The geometric mean of the precisions of 1- to 4-grams of words, times a penalty for brevity, over the corpus "
     "(Papineni et al., 2002), as the program sacrebleu counts it (Post, 2018): 100 is the same words.",
     "It does not see meaning. Of texts of fewer than four words it is 0."},
    {"chrf", "chrF",
     "F score of n-grams of up to six characters, in which recall weighs twice as much as precision, over the corpus "
     "(Popović, 2015), as the program sacrebleu counts it: 100 is the same characters.",
     "It does not see meaning."},
    {"frechet", "Fréchet distance",
     "The squared Fréchet distance between Gaussians fitted to the features of samples and of real data (Dowson and "
     "Landau, 1982; Heusel et al., 2017, for Inception features).",
     "Without Inception features it is not FID and compares with no published FID. It sees means and covariances of "
     "the named features, nothing else; it falls with the number of samples (Chong and Forsyth, 2020), so one count "
     "holds for a column and the floor stands beside it."},
    {"kernel", "Kernel distance",
     "The squared maximum mean discrepancy between features of samples and of real data, with a polynomial kernel of "
     "third degree, unbiased (Gretton et al., 2012; Bińkowski et al., 2018); 0 in expectation for the same "
     "distribution, so single values may be negative.",
     "Without Inception features it is not KID. It says nothing of what the named features cannot tell apart."},
    {"precision", "Precision",
     "The share of samples within the real data's manifold, made of balls that reach to the k-th neighbour "
     "(Kynkäänniemi et al., 2019).",
     "A model that draws one good picture again and again has high precision; outliers of the data inflate the "
     "manifold."},
    {"recall", "Recall", "The share of real data within the samples' manifold (Kynkäänniemi et al., 2019).",
     "Scattered, bad samples have large balls and so may raise it."},
    {"density", "Density",
     "How many balls of real data around a sample hold it, relative to k (Naeem et al., 2020): 1 for the same "
     "distribution; it may exceed 1.",
     "More than 1 is not better than the data: samples crowd where data are dense."},
    {"coverage", "Coverage", "The share of real data with a sample in their ball (Naeem et al., 2020).",
     "It depends on k and on the number of samples; read it beside the floor."},
    {"modes", "Modes",
     "For data with known modes: how many a model's samples reach, and how evenly (Srivastava et al., 2017).",
     "Nothing of the shape within a mode."},
    {"high_quality", "Share of high quality",
     "The share of samples within three standard deviations of a mode of the data (Srivastava et al., 2017).",
     "A model that reaches one mode alone can have all of its samples there."},
    {"reverse_kl", "Reverse divergence of modes",
     "The Kullback-Leibler divergence from the data's modes to the histogram of modes that the samples hit; 0 is "
     "even.",
     "Nothing of the shape within a mode."},
};

/// A word of the tables that is no metric.
struct GlossaryText {
  const char* term;
  const char* meaning;
  const char* silence;
};

constexpr GlossaryText kFloor = {
    "Floor",
    "Real data (validation or training examples, as the metric's detail says) in the samples' place, measured in the "
    "same way.",
    "A number beyond the floor is no merit by itself: a flow of noise can have a high recall in pixels."};

constexpr GlossaryText kSeeds = {
    "± and seeds", "The standard error of the mean over trainings that differ in their seed alone.",
    "It holds neither the choice of settings nor that of the data; with two or three seeds it is itself uncertain, "
    "which the t-test takes into account."};

constexpr GlossaryText kCosts[] = {
    {"Training FLOP",
     "Floating-point operations of all updates: matrix products, convolutions and attention; "
     "a multiplication and an addition are two.",
     "Normalizations, activations and the optimizer are not counted; nor does it say how well a machine is used."},
    {"Training time", "Seconds of updates alone.",
     "Validation, drawing samples and saving are left out; it depends on the machine."},
    {"Peak memory", "The most main memory that the whole program held while training, with LibTorch and the data.",
     "It is not the memory of the model alone; of two small models it says little."},
};

GlossaryEntry entry(const GlossaryText& text) { return {text.term, text.meaning, text.silence}; }

bool has_costs(const Comparison& comparison) {
  return std::ranges::any_of(comparison.models, [](const ComparedModel& model) {
    return std::ranges::any_of(model.runs, [](const ComparedRun& run) { return run.costs.has_value(); });
  });
}

const Known* known_of(const std::string& name) {
  const auto found = std::ranges::find_if(kKnown, [&](const Known& known) { return name == known.name; });
  return found == std::end(kKnown) ? nullptr : found;
}

/// The first run's own words on a metric.
std::string detail_of(const Comparison& comparison, const Column& column) {
  for (const ComparedModel& model : comparison.models) {
    for (const ComparedRun& run : model.runs) {
      for (const Metric& metric : run.evaluation.metrics) {
        if (column.holds(metric) && !metric.detail.empty()) return metric.detail;
      }
    }
  }
  return "";
}

}  // namespace

std::vector<GlossaryEntry> glossary_of(const Comparison& comparison) {
  std::vector<GlossaryEntry> entries;
  const auto is_there = [&](const std::string& term) {
    return std::ranges::any_of(entries, [&](const GlossaryEntry& other) { return other.term == term; });
  };
  for (const Column& column : columns_of(comparison)) {
    const Known* known = known_of(column.name);
    if (known && !is_there(known->term)) entries.push_back({known->term, known->meaning, known->silence});
    if (!known && !is_there(column.name)) {
      const std::string detail = detail_of(comparison, column);
      entries.push_back(
          {column.name, detail.empty() ? "A number that the evaluation gives without words." : detail, ""});
    }
  }
  if (!comparison.floors.empty()) entries.push_back(entry(kFloor));
  entries.push_back(entry(kSeeds));
  for (const GlossaryText& cost : kCosts) {
    if (has_costs(comparison)) entries.push_back(entry(cost));
  }
  return entries;
}

}  // namespace genzoo
