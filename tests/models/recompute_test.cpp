// Blocks computed again in the backward pass: the same numbers as kept ones, to the last bit, from less memory.
#include "models/transformer/recompute.h"

#include <torch/autograd.h>

#include <optional>
#include <string>
#include <vector>

#include "models/leaf_gradients.h"
#include "models/transformer/pixel_transformer.h"
#include "tests/models/small_transformer.h"
#include "tests/support.h"
#include "tests/trainers/tiny_experiment.h"
#include "trainers/estimate.h"
#include "trainers/precision.h"

namespace genzoo {
namespace {

constexpr double kDropout = 0.2;

/// How a pass is made.
struct Pass {
  torch::ScalarType dtype = torch::kFloat;
  Precision precision = Precision::float32;
  bool collected = false;  ///< layers write gradients where they belong
  bool backward_in_autocast = false;
};

/// What a pass leaves.
struct Left {
  Tensor loss;
  std::vector<Tensor> gradients;
  Tensor next_draw;  ///< of the stream that dropout was drawn from
};

Transformer text_model(bool recompute, double dropout,
                       TransformerConfig config = small_transformer(RotaryPositions{})) {
  config.n_layer = 3;
  config.dropout = dropout;
  config.recompute = recompute;
  Rng init = Rng::for_batch(1, Purpose::initialization, 0);
  return Transformer(config, text_spec(), init);
}

Batch text_batch() { return {random_tokens({4, 7}), random_tokens({4, 7}).flip(1)}; }

PixelTransformer pixel_model(bool recompute, double dropout) {
  DataSpec spec;
  spec.dataset = "pictures";
  spec.kind = DataKind::images;
  spec.shape = {1, 3, 4};
  spec.levels = 5;
  Rng init = Rng::for_batch(1, Purpose::initialization, 0);
  return PixelTransformer(
      PixelTransformerConfig{.n_layer = 3, .n_head = 2, .n_embd = 16, .dropout = dropout, .recompute = recompute}, spec,
      init);
}

Batch pixel_batch() { return {Rng::for_batch(3, Purpose::batch, 0).integers(5, {4, 1, 3, 4}).to(torch::kByte), {}}; }

template <class Holder>
Left left_by(Holder model, const Batch& batch, const Pass& pass) {
  model->to(pass.dtype);
  model->train();
  const std::vector<Tensor> parameters = model->parameters();
  for (Tensor p : parameters) p.mutable_grad() = at::full_like(p, 99);
  LeafGradients gradients(parameters);
  gradients.start();
  Rng rng = draws();
  Left left;
  {
    std::optional<LeafGradients::Scope> scope;
    if (pass.collected) scope.emplace(gradients);
    std::optional<Autocast> autocast(std::in_place, torch::kCPU, pass.precision);
    const Tensor loss = model->loss(batch, rng, 0).total;
    if (!pass.backward_in_autocast) autocast.reset();
    left.next_draw = rng.uniform({2});
    loss.backward();
    left.loss = loss.detach();
  }
  gradients.finish();
  for (const Tensor& p : parameters) left.gradients.push_back(p.grad());
  return left;
}

void check_same(const Left& kept, const Left& recomputed) {
  CHECK(recomputed.loss.equal(kept.loss));
  CHECK(recomputed.next_draw.equal(kept.next_draw));
  REQUIRE(recomputed.gradients.size() == kept.gradients.size());
  for (size_t i = 0; i < kept.gradients.size(); ++i) {
    CAPTURE(i);
    CHECK(kept.gradients[i].abs().max().item<double>() > 0);
    CHECK(recomputed.gradients[i].equal(kept.gradients[i]));
  }
}

/// All bytes of a model after a training of six steps.
std::vector<Tensor> trained(bool recompute, const std::string& precision, int shards) {
  const ExperimentConfig config = tiny::experiment(
      fmt::format("{{transformer: {{n_layer: 3, n_head: 2, n_embd: 8, block_size: 8, dropout: 0.2, recompute: {}}}}}",
                  recompute),
      tiny::kText, {"train.precision=" + precision, fmt::format("train.shards={}", shards)});
  Trainer trainer(config, open_dataset(config.data, {}), RunFolder(std::filesystem::path()));
  for (int step = 0; step < 6; ++step) trainer.update();
  std::vector<Tensor> parameters;
  for (const Tensor& p : trainer.model().module->parameters()) parameters.push_back(p.detach().clone());
  return parameters;
}

/// Peak bytes of a pass of so many layers, without what there is per parameter.
double activation_bytes(int layers, bool recompute) {
  const ExperimentConfig config = tiny::experiment(
      fmt::format("{{transformer: {{n_layer: {}, n_head: 2, n_embd: 64, block_size: 64, recompute: {}}}}}", layers,
                  recompute),
      tiny::kText);
  return static_cast<double>(estimate_cost(config, open_dataset(config.data, {})).activation_bytes);
}

}  // namespace

TEST_CASE("recomputed blocks give loss, gradients and draws of kept ones to the last bit", "[models][recompute]") {
  const Pass passes[] = {{},
                         {.collected = true},
                         {.dtype = torch::kDouble},
                         {.precision = Precision::bfloat16},
                         {.precision = Precision::bfloat16, .collected = true},
                         {.precision = Precision::bfloat16, .collected = true, .backward_in_autocast = true}};
  for (size_t i = 0; i < std::size(passes); ++i) {
    for (const double dropout : {0.0, kDropout}) {
      CAPTURE(i, dropout);
      for (const auto& [name, config] : kinds_of_transformer()) {
        CAPTURE(name);
        check_same(left_by(text_model(false, dropout, config), text_batch(), passes[i]),
                   left_by(text_model(true, dropout, config), text_batch(), passes[i]));
      }
      check_same(left_by(pixel_model(false, dropout), pixel_batch(), passes[i]),
                 left_by(pixel_model(true, dropout), pixel_batch(), passes[i]));
    }
  }
}

TEST_CASE("a graph of recomputed blocks may be run backward twice", "[models][recompute]") {
  Transformer model = text_model(true, kDropout);
  Rng rng = draws();
  const Tensor loss = model->loss(text_batch(), rng, 0).total;
  const auto once = torch::autograd::grad({loss}, model->parameters(), {}, /*retain_graph=*/true);
  const auto again = torch::autograd::grad({loss}, model->parameters());
  for (size_t i = 0; i < once.size(); ++i) CHECK(once[i].equal(again[i]));
}

TEST_CASE("gradients of recomputed blocks have gradients", "[models][recompute]") {
  // Through attention with dropout: LibTorch's own has none.
  std::vector<Tensor> of_gradients[2];
  for (const bool recompute : {false, true}) {
    Transformer model = text_model(recompute, kDropout);
    model->to(torch::kDouble);
    Rng rng = draws();
    const Tensor loss = model->loss(text_batch(), rng, 0).total;
    const auto first = torch::autograd::grad({loss}, model->parameters(), {}, /*retain_graph=*/true,
                                             /*create_graph=*/true);
    Tensor norm = at::zeros({}, torch::kDouble);
    for (const Tensor& g : first) norm = norm + g.square().sum();
    of_gradients[recompute] = torch::autograd::grad({norm}, model->parameters());
  }
  for (size_t i = 0; i < of_gradients[0].size(); ++i) {
    const double size = of_gradients[0][i].abs().max().item<double>();
    CHECK(size > 0);
    CHECK((of_gradients[1][i] - of_gradients[0][i]).abs().max().item<double>() < 1e-10 * size);
  }
}

TEST_CASE("frozen weights have no part in recomputed blocks' gradients", "[models][recompute]") {
  std::vector<Tensor> gradients[2];
  for (const bool recompute : {false, true}) {
    Transformer model = text_model(recompute, /*dropout=*/0);
    const std::vector<Tensor> parameters = model->parameters();
    for (size_t i = 0; i < parameters.size(); i += 2) parameters[i].set_requires_grad(false);
    Rng rng = draws();
    model->loss(text_batch(), rng, 0).total.backward();
    for (const Tensor& p : parameters) gradients[recompute].push_back(p.grad());
  }
  for (size_t i = 0; i < gradients[0].size(); ++i) {
    CHECK(gradients[1][i].defined() == (i % 2 == 1));
    if (i % 2 == 1) CHECK(gradients[1][i].equal(gradients[0][i]));
  }
}

TEST_CASE("of a recomputed block only a part may learn", "[models][recompute]") {
  Left left[2];
  for (const bool recompute : {false, true}) {
    Transformer model = text_model(recompute, /*dropout=*/0);
    // Of the first block the MLP alone, so that its stream's sum leads to nothing that learns.
    for (auto& item : model->named_parameters()) {
      const bool learns = item.key().starts_with("blocks.") && !item.key().starts_with("blocks.0.attention");
      item.value().set_requires_grad(learns);
    }
    Rng rng = draws();
    model->loss(text_batch(), rng, 0).total.backward();
    for (const auto& item : model->named_parameters()) {
      if (item.value().requires_grad()) left[recompute].gradients.push_back(item.value().grad());
    }
  }
  REQUIRE(left[0].gradients.size() > 10);
  for (size_t i = 0; i < left[0].gradients.size(); ++i) CHECK(left[1].gradients[i].equal(left[0].gradients[i]));
}

TEST_CASE("weights that change before the backward pass are noticed", "[models][recompute]") {
  Transformer model = text_model(true, /*dropout=*/0);
  Rng rng = draws();
  const Tensor loss = model->loss(text_batch(), rng, 0).total;
  {
    const torch::NoGradGuard no_grad;
    for (auto& item : model->named_parameters()) {
      if (item.key().starts_with("blocks.")) item.value().mul_(2);
    }
  }
  CHECK_THROWS(loss.backward());
}

TEST_CASE("a training with recomputed blocks ends with the bytes of one without, in shards too",
          "[models][recompute]") {
  for (const char* precision : {"float32", "bfloat16"}) {
    for (const int shards : {1, 2, 4}) {
      CAPTURE(precision, shards);
      const std::vector<Tensor> kept = trained(false, precision, shards), again = trained(true, precision, shards);
      for (size_t i = 0; i < kept.size(); ++i) CHECK(again[i].equal(kept[i]));
    }
  }
}

TEST_CASE("a block more costs its input when blocks are recomputed, and all its activations when kept",
          "[models][recompute]") {
  constexpr double kInput = 16 * 64 * 64 * sizeof(float);  // (B, T, C)
  const double kept = (activation_bytes(10, false) - activation_bytes(2, false)) / 8;
  const double recomputed = (activation_bytes(10, true) - activation_bytes(2, true)) / 8;
  INFO("bytes a layer: " << kept << " kept, " << recomputed << " recomputed; its input has " << kInput);
  CHECK(recomputed < 1.3 * kInput);
  CHECK(kept > 10 * kInput);
  // And of all there is, one block's activations and two inputs.
  CHECK(activation_bytes(2, true) < activation_bytes(2, false));
}

}  // namespace genzoo
