#pragma once
// An experiment: everything its config says.

#include <torch/types.h>

#include <string>
#include <variant>

#include "core/config.h"
#include "trainers/optimizer.h"
#include "trainers/precision.h"
#include "trainers/schedule.h"

namespace genzoo {

/// Exponential moving average of the weights; of a GAN: of its generator.
struct EmaConfig {
  double halflife_images = 50000;
  void fields(Fields& f);
};

/// How often things happen, in steps. The last step always logs, validates, samples and saves.
struct Every {
  int64_t log = 50;
  int64_t sample = 1000;
  int64_t validate = 500;
  int64_t save = 1000;
  int64_t histogram = 0;  ///< 0: never
  void fields(Fields& f);
};

/// A player's optimizer is the experiment's unless it has one of its own.
struct SameOptimizer {
  static constexpr const char* kName = "same";
  void fields(Fields&) {}
};
using PlayerOptimizer = std::variant<SameOptimizer, AdamWConfig, AdamConfig, SGDConfig>;

struct PlayerOptimizers {
  PlayerOptimizer generator;
  PlayerOptimizer discriminator;
  void fields(Fields& f);
};

/// Low-rank updates of linear layers that learn in place of everything else. Hu et al. (2022).
struct LoraConfig {
  int64_t rank = 8;
  double alpha = 16.0;  ///< an update is scaled by alpha / rank
  std::string layers = "*attention*,*mlp*";
  void fields(Fields& f);
};

struct TrainConfig {
  std::string init_from;
  std::string freeze;
  std::optional<LoraConfig> lora;
  int64_t examples = 0;
  int64_t steps = 1000;
  int64_t batch_size = 128;
  int64_t accumulate = 1;
  int64_t shards = 1;
  Precision precision = Precision::float32;
  OptimizerConfig optimizer;
  PlayerOptimizers optimizers;
  ScheduleConfig schedule;
  double clip_norm = 0.0;
  std::optional<EmaConfig> ema;
  Every every;
  int64_t keep = 2;
  int64_t validate_examples = 2000;
  bool deterministic = true;
  bool cuda_graph = false;
  void fields(Fields& f);
};

struct ExperimentConfig {
  std::string experiment;
  int64_t seed = 0;
  std::string device = "auto";
  int64_t threads = 0;
  Choice data;
  Choice model;
  TrainConfig train;
  void fields(Fields& f);
};

/// The optimizer of a player: its own, or the experiment's.
OptimizerConfig player_optimizer(const PlayerOptimizer& own, const OptimizerConfig& experiments);

/// "auto", "cpu", "cuda", "cuda:1" as a device that is there. Throws UsageError when it is not, saying what is.
torch::Device resolve_device(const std::string& name);

/// Sets threads (0: all cores), flushes denormals in all of them, and LibTorch's determinism switches. Call once,
/// before any work.
int set_up_compute(int64_t threads, bool deterministic);

}  // namespace genzoo
