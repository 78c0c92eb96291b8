#pragma once
// How well a model tells the classes of a split apart, and what it says of examples given.

#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "evaluation/metric.h"
#include "trainers/checkpoint.h"

namespace genzoo {

/// "accuracy": the share of labels that are the model's likeliest; "cross_entropy": the mean of -log p(label | x),
/// nats; "macro_f1": the mean over classes of F1 (see macro_f1 below); and what needs no model, "commonest_class": the
/// share of labels that are the commonest of the training examples, in the detail by name. Of the first `limit`
/// examples; 0: all. The data must be labelled, and `loaded` a model of p(label | x).
std::vector<Metric> classification_metrics(const LoadedModel& loaded, const Dataset& dataset, Split split,
                                           int64_t limit);

/// The unweighted mean over classes of F1 = 2 TP / (2 TP + FP + FN), of the classes that occur among labels or guesses;
/// both (N) int64, 0 ... classes - 1. Lewis, Evaluating Text Categorization, 1991 (macroaveraging); as scikit-learn's
/// f1_score(average="macro").
double macro_f1(const Tensor& labels, const Tensor& guesses, int64_t classes);

/// The first n documents of a split with their labels and the model's likeliest ones, as lines.
std::string show_classifications(const LoadedModel& loaded, const Dataset& dataset, Split split, int64_t n);

/// What a model says of one example.
struct Classified {
  std::string label;                  ///< the likeliest
  double probability = 0.0;           ///< of it
  std::vector<double> probabilities;  ///< K, in the order of class_labels
  bool cut = false;                   ///< the text was longer than any of the data, and what was too much left out
  Json to_json(const std::vector<std::string>& labels) const;  ///< {"label", "probability", "probabilities", "cut"}
};

/// The names of the classes; of data that name none their numbers: "0", "1", ...
std::vector<std::string> class_labels(const DataSpec& spec);

/// p(label | text) of each text alone. A text longer than the longest of the data is cut at its end, as by documents'
/// max_tokens. Throws UsageError when the model tells no classes of texts, or a text is empty or has a character
/// without token; `where` and the text's number, from 1, name it: "texts.txt:" and 3.
std::vector<Classified> classify_texts(const LoadedModel& loaded, const std::vector<std::string>& texts,
                                       const std::string& where);

/// p(label | image) of images (N, C, H, W) as stored. Throws UsageError when the model tells no classes of them.
std::vector<Classified> classify_examples(const LoadedModel& loaded, const Tensor& x);

}  // namespace genzoo
