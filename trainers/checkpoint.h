#pragma once
// All state of one step in one file, and models built from such a file alone.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "core/safetensors.h"
#include "data/dataset.h"
#include "models/model.h"
#include "trainers/experiment.h"
#include "trainers/named_state.h"

namespace genzoo {

/// What a checkpoint says of itself.
struct CheckpointInfo {
  int64_t step = 0;
  std::string config;  ///< YAML, as resolved
  DataSpec spec;
  std::string parent = {};  ///< JSON of the run whose weights it began with, see fine_tuning.h; empty: none
};

/// Tensors `model.*`, `ema.*`, `optimizer.*`; metadata: step, config, seed, spec, format, checksum. Whole or not there.
void save_checkpoint(const std::filesystem::path& path, const CheckpointInfo& info, int64_t seed,
                     const NamedTensors& tensors);

struct Checkpoint {
  CheckpointInfo info;
  NamedTensors tensors;

  /// Those below a prefix, the prefix taken off.
  NamedTensors below(const std::string& prefix) const;
};

/// Without its tensors; so a large tokenizer is missing. Throws as read_checkpoint.
CheckpointInfo read_checkpoint_info(const std::filesystem::path& path);

/// The config a checkpoint carries. Throws RunError naming `path` when this genzoo cannot read it.
ExperimentConfig config_of(const CheckpointInfo& info, const std::filesystem::path& path);

/// Throws UsageError if there is no such file, RunError with one line if it is damaged or no checkpoint of genzoo.
Checkpoint read_checkpoint(const std::filesystem::path& path);

/// Whether there is a checkpoint of genzoo at the path; reads the header only.
bool is_checkpoint(const std::filesystem::path& path);

/// Which weights a verb uses.
enum class Weights { ema_if_any, raw };

/// A trained model, ready for evaluation.
struct LoadedModel {
  std::filesystem::path run;   ///< its folder; empty when loaded from a file outside a run
  std::filesystem::path path;  ///< its checkpoint
  ExperimentConfig config;
  DataSpec spec;
  int64_t step = 0;
  std::string parent = {};  ///< as CheckpointInfo::parent
  bool has_ema = false;     ///< the averaged weights are in use
  AnyModel model;           ///< on its device
  torch::Device device = torch::kCPU;
};

/// Which of a run's checkpoints.
enum class Which { newest, best };

/// A run folder's checkpoint, or the file itself. Throws UsageError saying what is missing and what is there.
std::filesystem::path find_checkpoint(const std::filesystem::path& run_or_file, Which which);

/// Copies saved values into a model, which takes the sizes of its buffers from them where it has counted. Throws
/// RunError as load_state does.
void load_model_state(AnyModel& model, const NamedTensors& saved, const std::string& where);

/// Low-rank updates are added to the weights they are of: the model is one like any other.
LoadedModel load_model(const std::filesystem::path& run_or_file, Which which, Weights weights,
                       const std::string& device);

}  // namespace genzoo
