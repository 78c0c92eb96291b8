#include "trainers/optimizer.h"

#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include "core/error.h"
#include "core/random.h"
#include "models/layers.h"
#include "models/registry.h"
#include "tests/support.h"
#include "tests/trainers/tiny_experiment.h"
#include "trainers/ema.h"

namespace genzoo {
namespace {

/// Two matrices, two biases of odd sizes, so that slices need padding.
struct NetImpl final : torch::nn::Module {
  explicit NetImpl(Rng& init) {
    first = register_module("first", Linear(7, 5, init));
    second = register_module("second", Linear(5, 3, init));
  }
  Tensor forward(const Tensor& x) { return second->forward(first->forward(x).tanh()); }
  Linear first{nullptr}, second{nullptr};
};
TORCH_MODULE(Net);

Net make_net() {
  Rng init = Rng::for_batch(3, Purpose::initialization, 0);
  return Net(init);
}

Tensor objective(Net& net, int64_t step) {
  Rng rng = Rng::for_batch(1, Purpose::batch, static_cast<uint64_t>(step));
  return net->forward(rng.normal({16, 7})).square().mean();
}

/// LibTorch's own optimizer, with weight decay for matrices only, as the reference.
template <class Reference, class Options>
void same_as(const OptimizerConfig& config, Options decayed, Options plain) {
  Net ours = make_net(), theirs = make_net();
  Optimizer optimizer(*ours, config);
  std::vector<Tensor> matrices, vectors;
  for (auto& p : theirs->parameters()) (p.dim() >= 2 ? matrices : vectors).push_back(p);
  std::vector<torch::optim::OptimizerParamGroup> groups;
  groups.emplace_back(matrices, std::make_unique<Options>(decayed));
  groups.emplace_back(vectors, std::make_unique<Options>(plain));
  Reference reference(groups, plain);
  for (int64_t step = 0; step < 12; ++step) {
    optimizer.parameters().zero_gradients();
    objective(ours, step).backward();
    optimizer.step(base_lr(config));
    reference.zero_grad();
    objective(theirs, step).backward();
    reference.step();
  }
  const auto a = ours->named_parameters(), b = theirs->named_parameters();
  REQUIRE(a.size() == 4);
  for (const auto& item : a) {
    INFO(item.key());
    CHECK_THAT(item.value().detach(), IsClose(b[item.key()].detach(), 2e-6));
  }
}

TEST_CASE("the flat optimizers are LibTorch's", "[trainers][optimizer]") {
  SECTION("adamw") {
    AdamWConfig config;
    config.lr = 3e-2;
    config.weight_decay = 0.2;
    const auto options = torch::optim::AdamWOptions(config.lr).weight_decay(config.weight_decay);
    same_as<torch::optim::AdamW>(config, options, torch::optim::AdamWOptions(options).weight_decay(0));
  }
  SECTION("adam") {
    AdamConfig config;
    config.lr = 3e-2;
    config.beta1 = 0.5;
    const auto options = torch::optim::AdamOptions(config.lr).betas(std::make_tuple(0.5, 0.999));
    same_as<torch::optim::Adam>(config, options, options);
  }
  SECTION("sgd with momentum") {
    SGDConfig config;
    config.weight_decay = 0.1;
    const auto options = torch::optim::SGDOptions(config.lr).momentum(0.9).weight_decay(0.1);
    same_as<torch::optim::SGD>(config, options, torch::optim::SGDOptions(options).weight_decay(0));
  }
  SECTION("sgd without momentum") {
    SGDConfig config;
    config.momentum = 0;
    config.weight_decay = 0.1;
    const auto options = torch::optim::SGDOptions(config.lr).weight_decay(0.1);
    same_as<torch::optim::SGD>(config, options, torch::optim::SGDOptions(options).weight_decay(0));
  }
  SECTION("sgd with Nesterov's momentum") {
    SGDConfig config;
    config.nesterov = true;
    const auto options = torch::optim::SGDOptions(config.lr).momentum(0.9).nesterov(true);
    same_as<torch::optim::SGD>(config, options, options);
  }
}

TEST_CASE("LibTorch's operators read the rate that was set last", "[trainers][optimizer]") {
  // Other than float32 on the CPU they update, as on a GPU, from a rate that lies in a tensor.
  for (const bool sgd : {false, true}) {
    Net ours = make_net(), theirs = make_net();
    ours->to(torch::kDouble);
    theirs->to(torch::kDouble);
    Optimizer optimizer(*ours, sgd ? OptimizerConfig(SGDConfig{}) : OptimizerConfig(AdamConfig{}));
    std::unique_ptr<torch::optim::Optimizer> reference;
    if (sgd)
      reference = std::make_unique<torch::optim::SGD>(theirs->parameters(), torch::optim::SGDOptions(1).momentum(0.9));
    if (!sgd) reference = std::make_unique<torch::optim::Adam>(theirs->parameters(), torch::optim::AdamOptions(1));
    for (int64_t step = 0; step < 5; ++step) {
      const double rate = 1e-2 / static_cast<double>(step + 1);
      for (Net* net : {&ours, &theirs}) {
        Rng rng = Rng::for_batch(1, Purpose::batch, static_cast<uint64_t>(step));
        if (net == &ours) optimizer.parameters().zero_gradients();
        if (net == &theirs) reference->zero_grad();
        (*net)->forward(rng.normal({16, 7}).to(torch::kDouble)).square().mean().backward();
      }
      optimizer.set_rate(rate);
      optimizer.apply();
      reference->param_groups()[0].options().set_lr(rate);
      reference->step();
    }
    const auto a = ours->named_parameters(), b = theirs->named_parameters();
    for (const auto& item : a) {
      INFO(item.key());
      CHECK_THAT(item.value().detach(), IsClose(b[item.key()].detach(), 1e-9));
    }
  }
}

TEST_CASE("flat parameters keep values, views and gradients together", "[trainers][optimizer]") {
  Net net = make_net(), before = make_net();
  FlatParameters flat(*net);
  REQUIRE(flat.groups().size() == 2);  // matrices, which decay, and vectors
  for (const auto& item : net->named_parameters()) {
    CHECK(torch::equal(item.value(), before->named_parameters()[item.key()]));
    CHECK(reinterpret_cast<uintptr_t>(item.value().data_ptr()) % 64 ==
          reinterpret_cast<uintptr_t>(flat.groups()[0].values.data_ptr()) % 64);
  }
  flat.zero_gradients();
  objective(net, 0).backward();
  objective(before, 0).backward();
  double squares = 0;
  for (const auto& p : before->parameters()) squares += p.grad().square().sum().item<double>();
  CHECK(std::abs(flat.gradient_norm().item<double>() - std::sqrt(squares)) < 1e-6);
}

TEST_CASE("kernels keep their channels last in flat buffers, and so do activations and gradients",
          "[trainers][optimizer]") {
  for (const int64_t in : {1, 3}) {
    Rng init = Rng::for_batch(3, Purpose::initialization, 0);
    Conv2d layer(in, 6, ConvGeometry{.kernel = 3, .padding = 1}, init);
    const Tensor values = layer->weight.detach().clone();
    const FlatParameters flat(*layer);
    CHECK(torch::equal(layer->weight, values));
    for (const Tensor& t : {layer->weight, layer->weight.grad()})
      CHECK(t.strides() == torch::IntArrayRef({9 * in, 1, 3 * in, in}));
    const Tensor y = layer->forward(init.normal({2, in, 8, 8}));
    CHECK(y.suggest_memory_format() == at::MemoryFormat::ChannelsLast);
    y.square().sum().backward();
    CHECK(flat.gradient_norm().item<double>() > 0);
  }
}

TEST_CASE("clipping scales the gradient to the norm asked for, and leaves a smaller one alone",
          "[trainers][optimizer]") {
  Net net = make_net();
  Optimizer optimizer(*net, SGDConfig{});
  objective(net, 0).backward();
  const double norm = optimizer.parameters().gradient_norm().item<double>();
  CHECK(std::abs(optimizer.clip(norm * 2).item<double>() - norm) < 1e-6);
  CHECK(std::abs(optimizer.parameters().gradient_norm().item<double>() - norm) < 1e-6);
  optimizer.clip(norm / 4);
  CHECK(std::abs(optimizer.parameters().gradient_norm().item<double>() - norm / 4) < 1e-5);
}

TEST_CASE("an optimizer's state makes another one go on as it would", "[trainers][optimizer]") {
  Net net = make_net(), other = make_net();
  Optimizer optimizer(*net, AdamWConfig{});
  for (int64_t step = 0; step < 3; ++step) {
    optimizer.parameters().zero_gradients();
    objective(net, step).backward();
    optimizer.step(1e-2);
  }
  Optimizer second(*other, AdamWConfig{});
  {
    const torch::NoGradGuard no_grad;
    for (const auto& item : net->named_parameters()) other->named_parameters()[item.key()].copy_(item.value());
  }
  NamedTensors state = optimizer.state();
  for (auto& [name, tensor] : state) tensor = tensor.clone();
  second.load(state);
  for (auto* pair : {&net, &other}) {
    Optimizer& o = pair == &net ? optimizer : second;
    o.parameters().zero_gradients();
    objective(*pair, 3).backward();
    o.step(1e-2);
  }
  for (const auto& item : net->named_parameters()) {
    CHECK(torch::equal(item.value(), other->named_parameters()[item.key()]));
  }

  state.erase("first.weight.exp_avg");
  state["third.weight.exp_avg"] = torch::zeros({1});
  try {
    second.load(state);
    FAIL("a state with a missing tensor was loaded");
  } catch (const RunError& error) {
    const std::string message = error.what();
    CHECK(message.find("first.weight.exp_avg is missing") != std::string::npos);
    CHECK(message.find("third.weight.exp_avg is left over") != std::string::npos);
  }
}

TEST_CASE("weights decay, gains and biases do not, whatever their dimensions", "[trainers][optimizer]") {
  const auto config = tiny::experiment("{realnvp: {scales: 2, couplings: 1, hidden_dim: 4, blocks: 1}}", tiny::kNoise);
  const Dataset dataset = open_dataset(config.data, {});
  const AnyModel model = make_model(config.model, dataset.spec, 0);
  const FlatParameters flat(*model.module);
  for (const auto& slice : flat.slices()) {
    INFO(slice.name);
    const bool is_gain = slice.shape.size() == 1;
    CHECK(flat.groups()[slice.group].decays == (slice.name.ends_with("weight") && !is_gain));
  }
}

TEST_CASE("a velocity is state too", "[trainers][optimizer]") {
  Net net = make_net(), other = make_net();
  Optimizer optimizer(*net, SGDConfig{}), second(*other, SGDConfig{});
  objective(net, 0).backward();
  optimizer.step(0.1);
  second.load(optimizer.state());
  const NamedTensors loaded = second.state();
  for (const auto& [name, tensor] : optimizer.state()) {
    INFO(name);
    CHECK(torch::equal(loaded.at(name), tensor));
    CHECK(tensor.abs().max().item<double>() > 0);
  }
}

/// An update that leaves the weights where they are.
void stand_still(Optimizer& optimizer, Ema& ema, int64_t images, int64_t batch) {
  ema.begin_update(images, batch);
  optimizer.step(/*lr=*/0);
  ema.end_update();
}

TEST_CASE("the average has the half-life it says, in examples", "[trainers][optimizer]") {
  Net net = make_net();
  Optimizer optimizer(*net, AdamWConfig{});
  Ema ema(optimizer, *net, /*halflife_images=*/100);
  const Tensor weight = net->named_parameters()["first.weight"];
  const Tensor before = ema.state().at("first.weight").clone();
  {
    const torch::NoGradGuard no_grad;
    weight.add_(1.0);
  }
  // Late in training, when the young average's shorter half-life is over: 100 examples in two updates.
  stand_still(optimizer, ema, 1'000'000, 50);
  stand_still(optimizer, ema, 1'000'050, 50);
  CHECK_THAT(ema.state().at("first.weight"), IsClose(before + 0.5, 1e-6));

  const Tensor live = weight.detach().clone();
  {
    const Ema::Swap swap(ema);
    CHECK_THAT(weight.detach(), IsClose(before + 0.5, 1e-6));
  }
  CHECK(torch::equal(weight.detach(), live));
}

TEST_CASE("a young average follows closely", "[trainers][optimizer]") {
  Net net = make_net();
  Optimizer optimizer(*net, AdamWConfig{});
  Ema ema(optimizer, *net, /*halflife_images=*/1e9);
  const Tensor weight = net->named_parameters()["first.weight"];
  {
    const torch::NoGradGuard no_grad;
    weight.add_(1.0);
  }
  stand_still(optimizer, ema, 100, 100);  // half-life 5 examples: twenty of them have passed
  CHECK_THAT(ema.state().at("first.weight"), IsClose(weight.detach(), 1e-5));
}

TEST_CASE("the average that a step moves is the one that a pass after it would make", "[trainers][optimizer]") {
  for (const OptimizerConfig& config :
       {OptimizerConfig(AdamWConfig{}), OptimizerConfig(AdamConfig{}), OptimizerConfig(SGDConfig{})}) {
    INFO("optimizer " << config.index());
    Net net = make_net();
    Optimizer optimizer(*net, config);
    // Weights below and above a half: LibTorch then starts from the other end.
    for (const double weight : {0.1, 0.9, 1.0}) {
      const std::vector<Tensor> means = optimizer.parameters().copy_of_values();
      const std::vector<Tensor> before = optimizer.parameters().copy_of_values();
      optimizer.parameters().zero_gradients();
      objective(net, 0).backward();
      optimizer.average_next(means, weight);
      optimizer.step(0.1);
      const auto& groups = optimizer.parameters().groups();
      for (size_t g = 0; g < groups.size(); ++g) {
        CHECK_FALSE(torch::equal(groups[g].values, before[g]));
        CHECK_THAT(means[g], IsClose(before[g].lerp(groups[g].values, weight), 1e-6));
      }
      // Of that step alone.
      const Tensor mean = means[0].clone();
      optimizer.step(0.1);
      CHECK(torch::equal(means[0], mean));
    }
  }
}

}  // namespace
}  // namespace genzoo
