#pragma once
// What fine-tuning has won and what it has lost: losses on the new and on the old data, before and after. McCloskey &
// Cohen, Catastrophic Interference in Connectionist Networks, 1989, is where forgetting was first measured.

#include "data/dataset.h"
#include "evaluation/evaluate.h"

namespace genzoo {

/// Adds to the evaluation of a run that began with another's weights, each in the units of its likelihood:
/// `likelihood_before`, the parent's on the run's data; `old_likelihood` and `old_likelihood_before`, the run's and the
/// parent's on the parent's data, on the split that an evaluation has of them by default. Notes say what is missing
/// when the parent or its data are not there any more. Nothing for a run without a parent.
void add_forgetting(const LoadedModel& loaded, const Dataset& dataset, const EvaluateOptions& options,
                    const DataPlaces& places, Evaluation& evaluation);

}  // namespace genzoo
