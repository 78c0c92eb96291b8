#include "models/fused_linear.h"

#include "core/bfloat16.h"
#include "core/random.h"
#include "models/leaf_gradients.h"
#include "tests/models/relative_error.h"
#include "tests/support.h"
#include "trainers/precision.h"

namespace genzoo {
namespace {

Rng stream(uint64_t seed) { return Rng::for_batch(seed, Purpose::initialization, 0); }

constexpr Activation kActivations[] = {Activation::none, Activation::relu, Activation::gelu};

/// Inputs and parameters of one layer, leaves that want gradients.
struct Layer {
  Tensor x, weight, bias;
  Layer(std::vector<int64_t> size, int64_t out, bool with_bias, at::ScalarType dtype = torch::kFloat) {
    const int64_t in = size.back();
    x = stream(1).normal(size).to(dtype).requires_grad_();
    weight = (stream(2).normal({out, in}) / std::sqrt(static_cast<double>(in))).to(dtype).requires_grad_();
    if (with_bias) bias = stream(3).normal({out}).to(dtype).requires_grad_();
  }
  std::vector<Tensor> leaves() const {
    return bias.defined() ? std::vector<Tensor>{x, weight, bias} : std::vector<Tensor>{x, weight};
  }
};

}  // namespace

TEST_CASE("a fused linear layer and its gradients are the plain one's", "[models][fused]") {
  for (const Activation activation : kActivations) {
    for (const bool with_bias : {false, true}) {
      for (const auto& size : {std::vector<int64_t>{5, 7}, {3, 4, 33}, {64, 130}, {200, 150}}) {
        INFO(static_cast<int>(activation) << " bias " << with_bias << " size " << size);
        const Layer layer(size, 37, with_bias);
        const Tensor fused = fused_linear(layer.x, layer.weight, layer.bias, activation);
        const Tensor plain = plain_linear(layer.x, layer.weight, layer.bias, activation);
        CHECK(fused.sizes() == plain.sizes());
        CHECK(relative_error(fused, plain) < 1e-5);
        const Tensor dy = stream(4).normal(plain.sizes());
        const auto got = torch::autograd::grad({fused}, layer.leaves(), {dy});
        const auto wanted = torch::autograd::grad({plain}, layer.leaves(), {dy});
        for (size_t i = 0; i < got.size(); ++i) CHECK(relative_error(got[i], wanted[i]) < 1e-5);
        const torch::NoGradGuard no_grad;
        CHECK(relative_error(fused_linear(layer.x, layer.weight, layer.bias, activation), plain) < 1e-5);
      }
    }
  }
}

TEST_CASE("gradients that are not wanted are not computed", "[models][fused]") {
  Layer layer({4, 6}, 5, true);
  const Tensor x = layer.x.detach();
  const Tensor y = fused_linear(x, layer.weight, layer.bias, Activation::relu);
  y.sum().backward();
  CHECK(layer.weight.grad().defined());
  CHECK_FALSE(x.grad().defined());
  const Tensor frozen = layer.weight.detach();
  const auto dx = torch::autograd::grad({fused_linear(layer.x, frozen, layer.bias.detach()).sum()}, {layer.x})[0];
  CHECK_THAT(dx, IsClose(frozen.sum(0).expand({4, 6}), 1e-5));
}

TEST_CASE("in place, gradients are added to those there are", "[models][fused]") {
  const bool large = GENERATE(false, true);  // products by blocks, where there are any
  for (const Activation activation : kActivations) {
    CAPTURE(large, static_cast<int>(activation));
    Layer layer(large ? std::vector<int64_t>{200, 150} : std::vector<int64_t>{8, 12}, large ? 37 : 20, true);
    const auto loss = [&] {
      const Tensor h = fused_linear(layer.x, layer.weight, layer.bias, activation);
      return (h.square().mean() + fused_linear(layer.x, layer.weight, layer.bias, activation).mean());  // used twice
    };
    const auto wanted = torch::autograd::grad({loss()}, {layer.weight, layer.bias});
    layer.weight.mutable_grad() = torch::ones_like(layer.weight);
    layer.bias.mutable_grad() = torch::ones_like(layer.bias);
    const Tensor weight_gradient = layer.weight.grad(), bias_gradient = layer.bias.grad();
    LeafGradients gradients({layer.weight, layer.bias});
    CHECK(LeafGradients::at(layer.weight) == nullptr);
    {
      const LeafGradients::Scope scope(gradients);
      CHECK(LeafGradients::at(layer.weight) != nullptr);
      loss().backward();
    }
    CHECK(LeafGradients::at(layer.weight) == nullptr);
    CHECK(weight_gradient.is_same(layer.weight.grad()));
    CHECK(relative_error(weight_gradient, 1 + wanted[0]) < 1e-5);
    CHECK(relative_error(bias_gradient, 1 + wanted[1]) < 1e-5);
    if (!large) {
      CHECK_THAT(weight_gradient, IsClose(1 + wanted[0], 1e-5));
      CHECK_THAT(bias_gradient, IsClose(1 + wanted[1], 1e-5));
    }
    CHECK(layer.x.grad().defined());
  }
}

TEST_CASE("gradients of gradients are the plain layer's", "[models][fused]") {
  for (const Activation activation : kActivations) {
    INFO(static_cast<int>(activation));
    const Layer layer({6, 9}, 11, true);
    const auto penalty = [&](const auto& linear) {
      const Tensor y = linear(layer.x, layer.weight, layer.bias).square().sum();
      const Tensor dx = torch::autograd::grad({y}, {layer.x}, {}, /*retain_graph=*/true, /*create_graph=*/true)[0];
      return torch::autograd::grad({dx.square().sum()}, {layer.x, layer.weight, layer.bias});
    };
    const auto fused = [&](auto&... t) { return fused_linear(t..., activation); };
    const auto plain = [&](auto&... t) { return plain_linear(t..., activation); };
    const auto got = penalty(fused), wanted = penalty(plain);
    for (size_t i = 0; i < got.size(); ++i) CHECK(relative_error(got[i], wanted[i]) < 1e-4);
  }
}

TEST_CASE("in double the layer's gradients are its slopes", "[models][fused]") {
  for (const Activation activation : kActivations) {
    const Layer layer({3, 4}, 5, true, torch::kDouble);
    const Tensor direction = stream(5).normal({3, 4}).to(torch::kDouble);
    const auto value = [&](double h) {
      return fused_linear(layer.x + h * direction, layer.weight, layer.bias, activation).square().sum();
    };
    const Tensor dx = torch::autograd::grad({value(0)}, {layer.x})[0];
    const double slope = (value(1e-6) - value(-1e-6)).item<double>() / 2e-6;
    CHECK((dx * direction).sum().item<double>() == Approx(slope).epsilon(1e-6));
  }
}

TEST_CASE("in bfloat16 a layer is the plain one of rounded factors", "[models][fused]") {
  if (!has_bfloat16_products()) SKIP("this processor has no products of bfloat16 matrices");
  const auto rounded = [](const Tensor& t) { return t.to(torch::kBFloat16).to(torch::kFloat); };
  for (const Activation activation : kActivations) {
    for (const bool with_bias : {false, true}) {
      for (const auto& size : {std::vector<int64_t>{5, 7}, {3, 4, 33}, {64, 130}}) {
        INFO(static_cast<int>(activation) << " bias " << with_bias << " size " << size);
        const Layer layer(size, 37, with_bias);
        // The same products, exact in float32: what differs is the rounding of results and of their gradients.
        const Tensor x = rounded(layer.x).detach().requires_grad_();
        const Tensor w = rounded(layer.weight).detach().requires_grad_();
        const Tensor plain = plain_linear(x, w, layer.bias, activation);
        const Tensor dy = rounded(stream(4).normal(plain.sizes()));
        std::vector<Tensor> of{x, w};
        if (with_bias) of.push_back(layer.bias);
        const auto wanted = torch::autograd::grad({plain}, of, {dy}, /*retain_graph=*/true);
        for (const Result result : {Result::as_products, Result::float32}) {
          if (result == Result::float32 && activation != Activation::none) continue;
          const Autocast autocast(torch::kCPU, Precision::bfloat16);
          const Tensor fused = fused_linear(layer.x, layer.weight, layer.bias, activation, result);
          CHECK(fused.scalar_type() == (result == Result::float32 ? torch::kFloat : torch::kBFloat16));
          CHECK(relative_error(fused.to(torch::kFloat), plain) < (result == Result::float32 ? 1e-5 : 4e-3));
          const auto got = torch::autograd::grad({fused}, layer.leaves(), {dy.to(fused.scalar_type())});
          for (size_t i = 0; i < got.size(); ++i) {
            CHECK(got[i].scalar_type() == torch::kFloat);
            CHECK(relative_error(got[i], wanted[i]) < (activation == Activation::none ? 1e-5 : 1e-2));
          }
        }
      }
    }
  }
}

TEST_CASE("a layer with an activation refuses to keep its sums unrounded", "[models][fused]") {
  const Layer layer({2, 4}, 3, true);
  CHECK_THROWS(fused_linear(layer.x, layer.weight, layer.bias, Activation::relu, Result::float32));
}

TEST_CASE("in bfloat16 gradients of gradients are there, too", "[models][fused]") {
  const Layer layer({6, 9}, 11, true);
  const auto penalty = [&](bool reduced) {
    Tensor y;
    {
      const Autocast autocast(torch::kCPU, reduced ? Precision::bfloat16 : Precision::float32);
      y = fused_linear(layer.x, layer.weight, layer.bias, Activation::gelu).to(torch::kFloat).square().sum();
    }
    const Tensor dx = torch::autograd::grad({y}, {layer.x}, {}, /*retain_graph=*/true, /*create_graph=*/true)[0];
    return torch::autograd::grad({dx.square().sum()}, {layer.x, layer.weight, layer.bias});
  };
  const auto got = penalty(true), wanted = penalty(false);
  for (size_t i = 0; i < got.size(); ++i) CHECK(relative_error(got[i], wanted[i]) < 0.05);
}

TEST_CASE("a layer of no rows, and one under autocast, are the plain one", "[models][fused]") {
  const Layer layer({0, 4}, 5, true);
  CHECK(fused_linear(layer.x, layer.weight, layer.bias, Activation::gelu).sizes() == torch::IntArrayRef({0, 5}));
}

}  // namespace genzoo
