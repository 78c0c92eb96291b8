#pragma once
// What the verbs that read a run have in common: its options, loading it, and the checks of what they are given.

#include <filesystem>

#include "tools/arguments.h"
#include "trainers/checkpoint.h"

namespace genzoo {

/// `own`, and then --checkpoint, --weights, --device, --threads and --json.
std::vector<Option> with_run_options(std::vector<Option> own);

/// Sets up the CPU and loads the model of the argument RUN.
LoadedModel load_run(const Arguments& arguments);

/// Of one of kWeightTypeNames.
WeightType parse_weight_type(const std::string& name);

/// "step 4000, averaged weights": which weights a verb used.
std::string describe_weights(const LoadedModel& loaded);

/// Facts of the model every verb's JSON begins with: run, model, step, weights.
Json describe_run(const LoadedModel& loaded);

/// The argument's path. Throws UsageError unless it ends in one of `extensions` (".png"), and when it is a
/// checkpoint.
std::filesystem::path output_path(const Arguments& arguments, const std::vector<std::string>& extensions);

}  // namespace genzoo
