#include "trainers/experiment.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/cuda.h>
#include <torch/utils.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <thread>
#ifdef __GLIBC__
#include <malloc.h>  // mallopt
#endif

#include "core/error.h"
#include "data/dataset.h"
#include "models/registry.h"

namespace genzoo {
namespace {

/// The N of "cuda:N", 0 for "cuda"; -1 when the name is neither.
int cuda_index(const std::string& name) {
  if (name == "cuda") return 0;
  if (!name.starts_with("cuda:")) return -1;
  int index = -1;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + 5, end, index);
  return error == std::errc() && stop == end && index >= 0 ? index : -1;
}

/// A step frees and takes again the same large blocks. By default glibc hands them back to the system each time, and
/// the page faults of getting them anew cost more than many operators do.
void keep_freed_pages() {
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
#endif
}

bool is_power_of_two(int64_t n) { return n > 0 && (n & (n - 1)) == 0; }

}  // namespace

void EmaConfig::fields(Fields& f) {
  f("halflife_images", halflife_images,
    "training examples (of two players the generator's) after which an old weight counts half; at most a twentieth of "
    "those seen",
    positive);
}

void Every::fields(Fields& f) {
  f("log", log, "steps between log lines", positive);
  f("sample", sample, "steps between grids of samples", positive);
  f("validate", validate,
    "steps between validations; there is one at every save too, since best is chosen among the saved", positive);
  f("save", save, "steps between checkpoints", positive);
  f("histogram", histogram, "steps between histograms of weights and gradients, for TensorBoard; 0: none",
    non_negative);
}

void PlayerOptimizers::fields(Fields& f) {
  f("generator", generator, "the generator's; same: train.optimizer");
  f("discriminator", discriminator, "the discriminator's; same: train.optimizer");
}

void LoraConfig::fields(Fields& f) {
  f("rank", rank, "of the updates", positive);
  f("alpha", alpha, "updates are scaled by alpha / rank", positive);
  f("layers", layers, "which linear layers: names, with * for any characters, separated by commas");
}

void TrainConfig::fields(Fields& f) {
  f("init_from", init_from,
    "where the weights come from, instead of being drawn: a run, a checkpoint, or a folder of `transformers`. Settings "
    "of the model that are not given are those of that model");
  f("freeze", freeze, "parameters that do not learn: names, with * for any characters, separated by commas");
  f("lora", lora,
    "low-rank updates of linear layers, which alone learn, without decay, and a class head, where there is one; none: "
    "off");
  f("examples", examples, "learn from the first of the training examples alone, of text: tokens; 0: from all",
    non_negative);
  f("steps", steps, "updates; of two players: generator updates; 0: the initial model is saved", non_negative);
  f("batch_size", batch_size, "examples per batch; of text: windows",
    Range{1, 1 << 20, false, false, "in [1, 1048576]"});
  f("accumulate", accumulate, "batches whose gradients are averaged into one update", positive);
  f("shards", shards,
    "equal parts a batch is split into, a power of two; computed one after another, on one thread each", positive);
  f("precision", precision, kPrecisionNames, "bfloat16: products in bfloat16, parameters and losses in float32");
  f("optimizer", optimizer, "how gradients become updates");
  f("optimizers", optimizers, "overrides for two players");
  f("schedule", schedule, "learning rate over the steps");
  f("clip_norm", clip_norm, "largest norm of the gradient; 0: not clipped", non_negative);
  f("ema", ema, "average of the weights, for sampling and evaluation; none: off");
  f("every", every, "how often things happen, in steps");
  f("keep", keep, "newest checkpoints kept; the best is never pruned", positive);
  f("validate_examples", validate_examples, "examples of a validation; 0: all", non_negative);
  f("deterministic", deterministic, "deterministic kernels only; matters on CUDA");
  f("cuda_graph", cuda_graph,
    "record an update once and launch it whole, where small models spend their time launching kernels; on CUDA only, "
    "elsewhere, and for updates that are measured, without effect. Nobody has run it on a GPU yet");
  f.require(is_power_of_two(shards), "shards", fmt::format("'shards' must be a power of two, not {}", shards));
  f.require(shards < 1 || batch_size % shards == 0, "shards",
            fmt::format("'batch_size' {} must be a multiple of 'shards' {}", batch_size, shards));
}

void ExperimentConfig::fields(Fields& f) {
  f("experiment", experiment, "the run's name: runs/<experiment>/ unless --run says otherwise",
    TextForm{"^[^./][^/]*$", "a name for a folder, without '/' and not beginning with '.'", /*required=*/true});
  f("seed", seed, "everything random is a function of it", non_negative);
  f("device", device, "auto, cpu, cuda or cuda:N",
    TextForm{"^(auto|cpu|cuda(:[0-9]{1,3})?)$", "auto, cpu, cuda or cuda:N"});
  f("threads", threads, "threads of the CPU; 0: all cores", Range{0, 4096, false, false, "in [0, 4096]"});
  f("data", data, dataset_choices(), "what there is to learn from");
  f("model", model, model_choices(), "what learns");
  f("train", train, "how it learns");
}

OptimizerConfig player_optimizer(const PlayerOptimizer& own, const OptimizerConfig& experiments) {
  return std::visit(
      [&](const auto& config) -> OptimizerConfig {
        if constexpr (std::is_same_v<std::decay_t<decltype(config)>, SameOptimizer>) {
          return experiments;
        } else {
          return config;
        }
      },
      own);
}

torch::Device resolve_device(const std::string& name) {
  const auto count = static_cast<int>(torch::cuda::is_available() ? torch::cuda::device_count() : 0);
  if (name == "cpu" || (name == "auto" && count == 0)) return torch::kCPU;
  const int index = name == "auto" ? 0 : cuda_index(name);
  if (index < 0) throw UsageError(fmt::format("device '{}': it takes auto, cpu, cuda or cuda:N", name));
  if (count == 0) {
    throw UsageError(
        fmt::format("device '{}': this program finds no CUDA device here; use --device cpu or auto", name));
  }
  if (index >= count) {
    throw UsageError(fmt::format("device '{}': there are {} CUDA devices, numbered from 0", name, count));
  }
  return {torch::kCUDA, static_cast<c10::DeviceIndex>(index)};
}

int set_up_compute(int64_t threads, bool deterministic) {
  keep_freed_pages();
  // Adam's moments of dead inputs decay into denormals, which cost the CPU a hundredfold. The flag belongs to a thread
  // and threads inherit it, so it is set before the pool starts.
  at::globalContext().setFlushDenormal(true);
  const int count =
      threads > 0 ? static_cast<int>(threads) : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  at::set_num_threads(count);
  at::parallel_for(0, count, 1, [](int64_t, int64_t) { at::globalContext().setFlushDenormal(true); });
  if (deterministic) setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);  // read at CUDA's first use
  at::globalContext().setDeterministicAlgorithms(deterministic, /*warn_only=*/false);
  // Filling fresh memory with NaN would cost half a millisecond a megabyte, on the CPU too; nothing reads it unwritten.
  at::globalContext().setDeterministicFillUninitializedMemory(false);
  // float32 means float32: cuDNN's default is to round the factors of its convolutions to TF32's ten bits.
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setFloat32MatmulPrecision("highest");
  at::globalContext().setDeterministicCuDNN(deterministic);
  at::globalContext().setBenchmarkCuDNN(!deterministic);
  return count;
}

}  // namespace genzoo
