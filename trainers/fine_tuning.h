#pragma once
// Training that begins with the weights of another model: pre-train, then fine-tune.

#include <string>

#include "core/config.h"
#include "core/safetensors.h"
#include "trainers/checkpoint.h"

namespace genzoo {

/// The weights an experiment begins with.
struct ParentWeights {
  NamedTensors state;  ///< by the names of the family's parameters and buffers
  DataSpec spec;
  std::string path;    ///< as it was given
  std::string record;  ///< record_of it
};

/// The model of train.init_from: of a run folder or checkpoint of genzoo (averaged weights where it has them), or a
/// folder of `transformers`. Throws as load_model and read_huggingface_folder do.
LoadedModel load_parent_model(const std::string& path, const std::string& device);

/// What a child's checkpoints say of the model it began with: JSON, {"experiment", "model", "step", "weights":
/// "sha256:..."}.
std::string record_of(const LoadedModel& parent);

/// Its weights, to begin with.
ParentWeights read_parent(const std::string& path);

/// What a training would refuse of train.init_from, refused before it begins; nothing when there is none.
void check_parent(const ExperimentConfig& config, const DataSpec& data);

/// Throws UsageError unless the data's tokens are the parent's.
void require_same_tokens(const ParentWeights& parent, const DataSpec& data);

/// Copies the parent's weights into a module, whose updates (train.lora) stay as they are. Tables that have more rows
/// than the parent's, of embeddings and of output layers of as many, keep what was drawn for the rest: tokens and
/// positions that are new. A class head (models/class_head.h) that the parent lacks keeps what was drawn, and then the
/// layers by which the parent tells tokens are left out. Throws UsageError naming what is missing, left over or of
/// another shape.
void load_parent(torch::nn::Module& module, const ParentWeights& parent);

/// Of a config with train.init_from: settings of the model that it does not give become those of the parent's, and
/// texts whose tokens it does not give are read with the parent's tokenizer. Reads no weights.
void inherit_settings(ConfigSource& source);

}  // namespace genzoo
