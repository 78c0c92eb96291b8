#pragma once
// A model as an experiment has it learn: all of it, some of its parameters, or low-rank updates of them.

#include <string>

#include "core/safetensors.h"
#include "data/dataset.h"
#include "models/model.h"
#include "trainers/experiment.h"

namespace genzoo {

/// The experiment's model on the CPU, its updates added (train.lora) and what does not learn frozen (train.freeze); so
/// are its twins. Throws UsageError when a pattern matches nothing, or nothing is left to learn.
AnyModel make_learner(const ExperimentConfig& config, const DataSpec& spec);

/// Whether a name matches one of the patterns: "*attention*,blocks.0.*".
bool matches(const std::string& name, const std::string& patterns);

/// A state without updates: `<layer>.lora_a` and `<layer>.lora_b` taken out and added to `<layer>.weight`. Throws
/// RunError naming `where` when they do not fit each other.
NamedTensors with_updates_added(const NamedTensors& state, const LoraConfig& lora, const std::string& where);

}  // namespace genzoo
