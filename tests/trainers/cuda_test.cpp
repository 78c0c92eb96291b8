// What only a GPU can show; without one these are skipped.
#include <torch/cuda.h>

#include "models/registry.h"
#include "tests/support.h"
#include "tests/trainers/tiny_experiment.h"
#include "trainers/samples.h"

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
      CHECK(generate_texts(gpu.model, gpu.spec, "", 1, {.tokens = 12}, 0, Purpose::sample, gpu.device).size() == 1);
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

}  // namespace
}  // namespace genzoo
