#pragma once
// A model's monitors as metrics of its evaluation.

#include "evaluation/evaluate.h"

namespace genzoo {

/// Adds what the model's monitors say of the split's first examples to the metrics, and their warnings to the notes.
/// Nothing for a model without monitors.
void add_monitors(const LoadedModel& loaded, const Dataset& dataset, Split split, const EvaluateOptions& options,
                  Evaluation& evaluation);

}  // namespace genzoo
