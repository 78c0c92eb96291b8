// Costs told before the first step, against numbers worked out by hand.
#include "trainers/estimate.h"

#include <ATen/Parallel.h>

#include <cmath>

#include "core/config.h"
#include "core/memory.h"
#include "models/registry.h"
#include "tests/support.h"
#include "tests/trainers/tiny_experiment.h"

namespace genzoo {
namespace {

double relative_error(double got, double expected) { return std::abs(got - expected) / expected; }

Dataset vectors(int64_t dims) {
  Dataset dataset;
  dataset.spec.dataset = "vectors";
  dataset.spec.shape = {dims};
  dataset.train.x = torch::zeros({64, dims});
  return dataset;
}

TEST_CASE("the cost of a linear VAE is that of its four products", "[trainers][estimate]") {
  constexpr double B = 16, D = 10, Z = 3;
  const char* model = "{vae: {latent_dim: 3, network: {mlp: {hidden: []}}, likelihood: gaussian}}";
  const CostEstimate cost = estimate_cost(tiny::experiment(model, tiny::kPoints), vectors(10));
  CHECK(cost.parameters == 10 * 6 + 6 + 3 * 20 + 20);
  // Encoder D -> 2 Z: forward and the weight's gradient. Decoder Z -> 2 D: the input's gradient as well.
  CHECK(cost.flops_per_step == 2 * B * D * (2 * Z) * 2 + 2 * B * Z * (2 * D) * 3);
  // Values, gradients, two moments, an average.
  CHECK(cost.weights_bytes == cost.parameters * 5 * 4);
  CHECK(cost.data_bytes == 64 * 10 * 4);
  CHECK(cost.activation_bytes > 0);
  const CostEstimate twice = estimate_cost(tiny::experiment(model, tiny::kPoints, {"train.accumulate=2"}), vectors(10));
  CHECK(twice.flops_per_step == 2 * cost.flops_per_step);
  CHECK(cost.describe().find("146") != std::string::npos);
}

TEST_CASE("the cost of nanoGPT's small model is that of its products and its attention", "[trainers][estimate]") {
  auto config =
      read_config<ExperimentConfig>(ConfigSource::from_file(GENZOO_SOURCE_DIR "/configs/nanogpt_shakespeare_cpu.yaml"));
  Dataset text;
  text.spec.dataset = "tiny_shakespeare";
  text.spec.kind = DataKind::tokens;
  text.spec.vocabulary = 65;
  text.spec.token_unit = "char";
  text.train.x = torch::arange(1000).remainder(65).to(torch::kByte);
  constexpr double B = 12, T = 64, C = 128, L = 4, V = 65;
  const double products = 3 * 2 * B * T * (12 * L * C * C + V * C);  // forward, and two gradients
  const double attention = (1 + 2.5) * 4 * B * T * T * C * L;
  // By whichever kernels the processor has for either.
  for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
    config.train.precision = precision;
    const CostEstimate cost = estimate_cost(config, text);
    CHECK(cost.parameters == 804096);  // nanoGPT counts 0.80M without the positions' 64 x 128, which are among these
    INFO(cost.flops_per_step << " FLOPs counted, " << products + attention << " expected");
    CHECK(relative_error(cost.flops_per_step, products + attention) < 1e-3);
  }
}

TEST_CASE("the cost of convolutions is that of every weight at every place", "[trainers][estimate]") {
  // The second pair of channels is what genzoo's own convolutions take.
  const auto [c1, c2] = GENERATE(std::pair(6.0, 10.0), std::pair(16.0, 32.0));
  constexpr double B = 16, H = 12, Z = 5;
  const auto config = tiny::experiment(
      fmt::format("{{vae: {{latent_dim: 5, network: {{conv: {{channels: [{}, {}], hidden: 12}}}}}}}}", c1, c2),
      tiny::kNoise);
  Dataset images;
  images.spec.dataset = "images";
  images.spec.kind = DataKind::images;
  images.spec.shape = {1, 28, 28};
  images.spec.levels = 256;
  images.train.x = torch::zeros({64, 1, 28, 28}, torch::kByte);
  const CostEstimate cost = estimate_cost(config, images);
  // Kernels of 4 x 4. First layer: 28 -> 14, no gradient of the pixels; second: 14 -> 7; the decoder in reverse, with
  // two maps, mean and scale, at the end.
  const double first = 16 * c1 * 14 * 14, second = 16 * c1 * c2 * 7 * 7, dense = 49 * c2 * H;
  const double encoder = 2 * first + 3 * (second + dense + H * 2 * Z);
  const double decoder = 3 * (Z * H + dense + second + 2 * first);
  const double expected = 2 * B * (encoder + decoder);
  INFO(cost.flops_per_step << " FLOPs counted, " << expected << " expected");
  CHECK(relative_error(cost.flops_per_step, expected) < 0.01);
}

TEST_CASE("the memory in all is that of its parts, and every worker has gradients of its own", "[trainers][estimate]") {
  const char* model = "{vae: {latent_dim: 3, network: {mlp: {hidden: []}}, likelihood: gaussian}}";
  const CostEstimate cost = estimate_cost(tiny::experiment(model, tiny::kPoints), vectors(10));
  if (peak_memory()) CHECK(cost.program_bytes > 10 << 20);  // LibTorch alone
  CHECK(cost.memory_bytes() >= cost.program_bytes + cost.weights_bytes + cost.activation_bytes + cost.data_bytes);
  const int threads = at::get_num_threads();
  at::set_num_threads(2);
  const CostEstimate shards = estimate_cost(tiny::experiment(model, tiny::kPoints, {"train.shards=4"}), vectors(10));
  at::set_num_threads(threads);
  CHECK(shards.weights_bytes == cost.weights_bytes + 2 * cost.parameters * 4);
  CHECK(shards.flops_per_step == cost.flops_per_step);
  const CostEstimate sgd =
      estimate_cost(tiny::experiment(model, tiny::kPoints, {"train.optimizer.sgd.lr=0.1"}), vectors(10));
  CHECK(sgd.weights_bytes == cost.weights_bytes - cost.parameters * 4);
}

TEST_CASE("without steps the cost is that of a token, of the weights alone", "[trainers][estimate]") {
  const auto config =
      tiny::experiment(tiny::kTransformer, tiny::kText, {"train.steps=0", "model.transformer.block_size=64"});
  const Dataset dataset = open_dataset(config.data, {});
  const CostEstimate cost = estimate_cost(config, dataset);
  CHECK(cost.weights_bytes == cost.parameters * 4);
  CHECK(tiny::contains(cost.describe(), "GFLOP a token"));
  // A token meets every weight once: of one block of 8 channels, and of the output. Attention, over few tokens, is
  // little beside them.
  const double products = 2.0 * (12 * 8 * 8 + 8 * static_cast<double>(dataset.spec.vocabulary));
  INFO(cost.flops_per_step << " FLOPs counted, " << products << " of products expected");
  CHECK(cost.flops_per_step >= products);
  CHECK(cost.flops_per_step <= 1.3 * products);
}

TEST_CASE("the cost of two players is that of both", "[trainers][estimate]") {
  const auto cost = [](int64_t n_critic) {
    const std::string model = fmt::format(
        "{{gan: {{latent_dim: 4, generator_width: 16, discriminator_width: 16, hidden_layers: 1, discriminator_norm: "
        "none, "
        "n_critic: {}}}}}",
        n_critic);
    return estimate_cost(tiny::experiment(model, tiny::kPoints), vectors(2)).flops_per_step;
  };
  // An update of the critic more: fakes, and the discriminator forward and backward over data and fakes.
  CHECK(cost(2) > 1.4 * cost(1));
  CHECK(cost(3) - cost(2) == cost(2) - cost(1));
}

TEST_CASE("a rehearsal refuses what the training would", "[trainers][estimate]") {
  const auto estimate = [](const char* model, const char* data, const char* set) {
    const auto config = tiny::experiment(model, data, {set});
    return tiny::message_of<UsageError>([&] { estimate_cost(config, open_dataset(config.data, {})); });
  };
  CHECK(tiny::contains(estimate(tiny::kFlow, tiny::kPoints, "train.optimizers.generator=adam"), "two players"));
  CHECK(tiny::contains(estimate(tiny::kGan, tiny::kNoise, "train.accumulate=2"), "two players"));
  CHECK(tiny::contains(estimate(tiny::kFlow, tiny::kPoints, "train.examples=129"), "has 128 to learn from"));
  CHECK(tiny::contains(estimate(tiny::kTransformer, tiny::kText, "train.examples=8"), "wanted at least 9"));
}

}  // namespace
}  // namespace genzoo
