#include "models/transformer/reduced_linear.h"

#include <ATen/ATen.h>

#include "models/fused_linear.h"
#include "tests/models/small_transformer.h"
#include "tests/support.h"

namespace genzoo {
namespace {

constexpr WeightType kReduced[] = {WeightType::bfloat16, WeightType::int8};

const char* name_of(WeightType type) { return kWeightTypeNames[static_cast<size_t>(type)]; }

TEST_CASE("reduced weights are as near as their type allows", "[models][transformer]") {
  Tensor w = draws().normal({300, 40});
  w[7].zero_();
  w[8].mul_(1e-30);
  w[9].mul_(1e30);
  const Tensor error8 = (ReducedLinear(w, {}, WeightType::int8).weight() - w).abs();
  CHECK((error8 <= w.abs().amax(1, /*keepdim=*/true) / 127 * 0.5001).all().item<bool>());
  const Tensor error16 = (ReducedLinear(w, {}, WeightType::bfloat16).weight() - w).abs();
  CHECK((error16 <= w.abs() * 0x1p-8).all().item<bool>());
  CHECK_THROWS_AS(ReducedLinear(w, {}, WeightType::float32), std::logic_error);
}

TEST_CASE("a reduced layer computes with its rounded weights, whatever the number of rows", "[models][transformer]") {
  for (const WeightType type : kReduced) {
    for (const bool with_bias : {false, true}) {
      for (const Activation activation : {Activation::none, Activation::relu, Activation::gelu}) {
        // Large enough for two threads to share it; a width that is no multiple of any vector.
        const Tensor w = draws(4).normal({300, 70}), b = with_bias ? draws(5).normal({300}) : Tensor();
        const ReducedLinear layer(w, b, type);
        for (const int64_t rows : {1, 5, 8, 21, 40}) {
          CAPTURE(name_of(type), with_bias, static_cast<int>(activation), rows);
          const Tensor x = draws(6).normal({1, rows, 70});
          const Tensor y = layer.forward(x, activation);
          CHECK(y.sizes() == at::IntArrayRef({1, rows, 300}));
          CHECK_THAT(y, IsClose(plain_linear(x, layer.weight(), b, activation), 1e-4));
          // Inputs that are not side by side.
          CHECK(layer.forward(x.transpose(1, 2).contiguous().transpose(1, 2), activation).equal(y));
        }
        const Tensor wide = draws(6).normal({3, 70}).to(torch::kDouble);
        const Tensor wide_bias = with_bias ? b.to(torch::kDouble) : b;
        const ReducedLinear wide_layer(w.to(torch::kDouble), wide_bias, type);
        CHECK_THAT(wide_layer.forward(wide, activation),
                   IsClose(plain_linear(wide, wide_layer.weight(), wide_bias, activation), 1e-12));
      }
    }
  }
}

TEST_CASE("a transformer with reduced weights is the one whose layers hold the rounded weights",
          "[models][transformer]") {
  for (const bool tied : {true, false}) {
    for (const WeightType type : kReduced) {
      CAPTURE(tied, name_of(type));
      TransformerConfig config = small_transformer();
      config.tie_weights = tied;
      Transformer model = sharp_model(config), rounded = sharp_model(config);
      const torch::NoGradGuard no_grad;
      for (auto& item : rounded->named_parameters()) {
        // The embedding is looked up, not multiplied with, but where it is the output layer too.
        const bool of_layer = item.value().dim() == 2 && item.key().find("embedding") == std::string::npos;
        if (of_layer) item.value().copy_(ReducedLinear(item.value(), {}, type).weight());
      }
      const Tensor x = random_tokens({3, 8});
      const Tensor reduced = model->forward(x, type);
      if (!tied) CHECK_THAT(reduced, IsClose(rounded->forward(x), 1e-9));
      CHECK_FALSE(at::allclose(reduced, model->forward(x), 1e-6));
      CHECK(at::allclose(reduced, model->forward(x), 0, 0.1 * model->forward(x).abs().max().item<double>()));
    }
  }
}

TEST_CASE("generation with reduced weights is the same with and without cached keys and values",
          "[models][transformer]") {
  for (const WeightType type : kReduced) {
    for (const bool greedy : {false, true}) {
      CAPTURE(name_of(type), greedy);
      Transformer model = sharp_model(small_transformer());
      const Tensor prompt = random_tokens({3, 6});
      Rng rng = draws(), same = draws();
      GenerateOptions options{.tokens = 21, .greedy = greedy, .weight_type = type};
      const Tensor cached = model->generate(prompt, options, rng);
      options.cache = false;
      CHECK(cached.equal(model->generate(prompt, options, same)));
      // By hand, from logits of the whole text: context 8, the first window holds 6 tokens of prompt and 2 more.
      if (greedy) CHECK(cached.select(1, 8).equal(model->forward(cached.slice(1, 0, 8), type).select(1, -1).argmax(1)));
    }
  }
}

TEST_CASE("reduced weights follow the weights they are copies of", "[models][transformer]") {
  Transformer model = sharp_model(small_transformer());
  const Tensor x = random_tokens({2, 8});
  const torch::NoGradGuard no_grad;
  Tensor weight = model->named_parameters()["blocks.0.mlp_in.weight"];
  const auto logits = [&] { return model->forward(x, WeightType::int8); };
  const auto unseen = [&] {
    weight.mutable_data_ptr<double>()[0] += 5;
  };  // as optimizers write: behind LibTorch's back

  model->eval();
  const Tensor before = logits();
  CHECK(logits().equal(before));
  weight.add_(1);
  const Tensor after = logits();
  CHECK_FALSE(after.equal(before));

  model->train();
  unseen();
  model->eval();
  const Tensor trained = logits();
  CHECK_FALSE(trained.equal(after));

  model->train();
  logits();
  unseen();
  CHECK_FALSE(logits().equal(trained));
}

}  // namespace
}  // namespace genzoo
