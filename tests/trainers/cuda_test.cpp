// What only a GPU can show; without one these are skipped.
#include <ATen/Context.h>
#include <torch/cuda.h>
#if defined(GENZOO_CUDA)
#include <c10/cuda/CUDAFunctions.h>
#endif

#include "models/registry.h"
#include "tests/support.h"
#include "tests/trainers/tiny_experiment.h"
#include "trainers/checkpoint.h"
#include "trainers/samples.h"
#include "trainers/text_generation.h"
#include "trainers/trainer.h"

namespace genzoo {
namespace {

using tiny::experiment;
using tiny::train;

struct Family {
  const char* model;
  const char* data;
};
constexpr Family kFamilies[] = {{tiny::kFlow, tiny::kPoints},
                                {"{realnvp: {scales: 2, couplings: 2, hidden_dim: 8, blocks: 1}}", tiny::kNoise},
                                {tiny::kVae, tiny::kPoints},
                                {"{vae: {network: {conv: {channels: [4, 8], hidden: 16}}}}", tiny::kNoise},
                                {tiny::kGan, tiny::kNoise},
                                {tiny::kTransformer, tiny::kText},
                                {tiny::kPixelTransformer, tiny::kNoise}};

TEST_CASE("on a GPU: the same run twice, and resumed, is the same checkpoint", "[trainers][cuda]") {
  if (!torch::cuda::is_available()) SKIP("no CUDA device");
  for (const auto& [model, data] : kFamilies) {
    INFO(model);
    const TempDir folder;
    const RunFolder once(folder / "once"), twice(folder / "twice"), resumed(folder / "resumed");
    train(experiment(model, data, {"device=cuda"}), once.path());
    train(experiment(model, data, {"device=cuda"}), twice.path());
    CHECK(tiny::same_bytes(once.checkpoint(6), twice.checkpoint(6)));
    train(experiment(model, data, {"device=cuda", "train.steps=4"}), resumed.path());
    train(experiment(model, data, {"device=cuda"}), resumed.path(), /*resume=*/true);
    CHECK(tiny::same_bytes(once.checkpoint(6), resumed.checkpoint(6)));
  }
}

TEST_CASE("on a GPU: what a trained model does agrees with the CPU", "[trainers][cuda]") {
  if (!torch::cuda::is_available()) SKIP("no CUDA device");
  for (const auto& [family, data] : kFamilies) {
    INFO(family);
    const TempDir folder;
    const RunFolder run(folder / "run");
    const auto config = experiment(family, data);
    train(config, run.path());
    const LoadedModel cpu = load_model(run.path(), Which::newest, Weights::ema_if_any, "cpu");
    const LoadedModel gpu = load_model(run.path(), Which::newest, Weights::ema_if_any, "cuda");
    const Abilities &here = cpu.model.can, &there = gpu.model.can;
    const Dataset dataset = open_dataset(config.data, {});
    const Tensor x = EvaluationSource(dataset, Split::test, 16, here.context, 16, torch::kCPU).batch(0).x;
    const EvalMode one(*cpu.model.module), other(*gpu.model.module);
    const torch::NoGradGuard no_grad;
    if (here.encode) {
      CHECK_THAT(there.encode(x.cuda()), IsClose(here.encode(x), 1e-4));
      const Tensor z = here.encode(x);
      CHECK_THAT(there.decode(z.cuda()), IsClose(here.decode(z), 1.0));  // of pixels: one level
    }
    if (here.token_log_prob) {
      const Tensor y = at::roll(x, -1, 1);
      CHECK_THAT(there.token_log_prob(x.cuda(), y.cuda()), IsClose(here.token_log_prob(x, y), 1e-4));
      CHECK(generate_texts(gpu.model, gpu.spec, {.options = {.tokens = 12}}, gpu.device).size() == 1);
    } else if (here.log_prob && *here.likelihood.kind == LikelihoodKind::exact) {
      Rng unused = Rng::for_batch(0, Purpose::score, 0),
          unused_there = Rng::for_batch(0, Purpose::score, 0, 0, gpu.device);
      CHECK_THAT(there.log_prob(x.cuda(), 1, unused_there), IsClose(here.log_prob(x, 1, unused), 1e-3));
    }
    if (here.sample) CHECK(draw_samples(gpu.model, 3, 0, Purpose::sample, {}, gpu.device).size(0) == 3);
  }
}

TEST_CASE("on a GPU: bfloat16 trains to finite numbers", "[trainers][cuda]") {
  if (!torch::cuda::is_available()) SKIP("no CUDA device");
  for (const auto& [model, data] : kFamilies) {
    INFO(model);
    const TempDir folder;
    CHECK(train(experiment(model, data, {"device=cuda", "train.precision=bfloat16"}), folder / "run").step == 6);
  }
}

/// The losses of the first updates.
std::vector<double> losses(const ExperimentConfig& config, int64_t updates) {
  const Dataset dataset = open_dataset(config.data, {});
  Trainer trainer(config, dataset, RunFolder(std::filesystem::path()));
  std::vector<double> all;
  for (int64_t i = 0; i < updates; ++i) all.push_back(trainer.update().item<double>());
  return all;
}

TEST_CASE("on a GPU: without draws in the loss, training is the CPU's", "[trainers][cuda]") {
  if (!torch::cuda::is_available()) SKIP("no CUDA device");
  const char* transformer = "{transformer: {n_layer: 2, n_head: 2, n_embd: 16, block_size: 8, dropout: 0.0}}";
  for (const auto& [model, data] : {Family{tiny::kFlow, tiny::kPoints}, Family{transformer, tiny::kText}}) {
    INFO(model);
    const auto here = losses(experiment(model, data), 6), there = losses(experiment(model, data, {"device=cuda"}), 6);
    for (size_t i = 0; i < here.size(); ++i) CHECK(there[i] == Approx(here[i]).margin(1e-4));
  }
}

TEST_CASE("on a GPU: recorded updates learn the same tensors, resumed ones too", "[trainers][cuda]") {
  if (!torch::cuda::is_available()) SKIP("no CUDA device");
  const auto tensors_of = [](const RunFolder& run) { return read_checkpoint(run.checkpoint(8)).tensors; };
  for (const char* precision : {"train.precision=float32", "train.precision=bfloat16"}) {
    for (const auto& [model, data] : kFamilies) {
      INFO(model << " " << precision);
      const TempDir folder;
      const RunFolder plain(folder / "plain"), recorded(folder / "recorded"), resumed(folder / "resumed");
      // A step whose numbers are logged is not recorded.
      std::vector<std::string> sets{"device=cuda", precision, "train.steps=8", "train.every.log=100"};
      train(experiment(model, data, sets), plain.path());
      sets.emplace_back("train.cuda_graph=true");
      train(experiment(model, data, sets), recorded.path());
      sets[2] = "train.steps=4";
      train(experiment(model, data, sets), resumed.path());
      sets[2] = "train.steps=8";
      train(experiment(model, data, sets), resumed.path(), /*resume=*/true);
      const NamedTensors wanted = tensors_of(plain), got = tensors_of(recorded), later = tensors_of(resumed);
      REQUIRE(got.size() == wanted.size());
      for (const auto& [name, tensor] : wanted) {
        INFO(name);
        CHECK(torch::equal(got.at(name), tensor));
        CHECK(torch::equal(later.at(name), tensor));
      }
    }
  }
}

TEST_CASE("on a GPU: attention in bfloat16 is flash attention", "[trainers][cuda]") {
  if (!torch::cuda::is_available()) SKIP("no CUDA device");
  at::Context& context = at::globalContext();
  context.setSDPUseMath(false);  // then an attention that flash cannot compute is an error
  context.setSDPUseMemEfficient(false);
  context.setSDPUseCuDNN(false);
  for (const char* positions : {"learned", "rotary"}) {
    const std::string model =
        fmt::format("{{transformer: {{n_layer: 1, n_head: 2, n_embd: 32, block_size: 16, positions: {}}}}}", positions);
    INFO(model);
    CHECK_NOTHROW(losses(experiment(model, tiny::kText, {"device=cuda", "train.precision=bfloat16"}), 1));
  }
  context.setSDPUseMath(true);
  context.setSDPUseMemEfficient(true);
  context.setSDPUseCuDNN(true);
}

#if defined(GENZOO_CUDA)
/// While it lives, LibTorch throws where it would wait for the device.
class NoWaiting final {
 public:
  NoWaiting() { c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_ERROR); }
  ~NoWaiting() { c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_DISABLED); }
  NoWaiting(const NoWaiting&) = delete;
  NoWaiting& operator=(const NoWaiting&) = delete;
};

TEST_CASE("on a GPU: between log lines nothing waits for the device", "[trainers][cuda]") {
  if (!torch::cuda::is_available()) SKIP("no CUDA device");
  for (const char* graph : {"train.cuda_graph=false", "train.cuda_graph=true"}) {
    for (const auto& [model, data] : kFamilies) {
      INFO(model << " " << graph);
      const ExperimentConfig config = experiment(model, data, {"device=cuda", graph});
      const Dataset dataset = open_dataset(config.data, {});
      Trainer trainer(config, dataset, RunFolder(std::filesystem::path()));
      for (int i = 0; i < 3; ++i) trainer.update();  // the first take memory, and record
      const NoWaiting asynchronous;
      CHECK_NOTHROW([&] {
        for (int i = 0; i < 10; ++i) trainer.update();  // beyond the end of an epoch
      }());
    }
  }
}
#endif

}  // namespace
}  // namespace genzoo
