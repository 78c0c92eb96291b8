#include "models/realnvp/realnvp.h"

#include <torch/optim.h>

#include <cmath>
#include <functional>
#include <memory>
#include <numbers>
#include <string>
#include <vector>

#include "core/error.h"
#include "models/realnvp/coupling.h"
#include "models/realnvp/normalization.h"
#include "tests/models/small_flow.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using namespace small_flow;

using Forward = std::function<Transformed(const Tensor&)>;
using Inverse = std::function<Tensor(const Tensor&)>;

/// log |det| (B) of the Jacobian that autograd finds, one row at a time.
Tensor jacobian_log_det(const Forward& forward, const Tensor& inputs) {
  std::vector<Tensor> log_dets;
  for (const Tensor& row : inputs.split(1)) {
    const Tensor x = row.detach().clone().requires_grad_();
    const Tensor y = forward(x).y.flatten();
    std::vector<Tensor> rows;
    for (int64_t i = 0; i < y.numel(); ++i) {
      rows.push_back(torch::autograd::grad({y[i]}, {x}, {}, /*retain_graph=*/true)[0].flatten());
    }
    log_dets.push_back(std::get<1>(torch::linalg_slogdet(torch::stack(rows))));
  }
  return torch::stack(log_dets);
}

/// The laws of every invertible map: x and y are arbitrary points of its two sides.
void check_flow(const Forward& forward, const Inverse& inverse, const Tensor& x, const Tensor& y) {
  const auto [image, log_det] = forward(x);
  CHECK_THAT(inverse(image), IsClose(x, 1e-8));
  CHECK_THAT(forward(inverse(y)).y, IsClose(y, 1e-8));
  CHECK_THAT(log_det, IsClose(jacobian_log_det(forward, x), 1e-8));
}

void check_layer(FlowLayer& layer, const Tensor& x, const Tensor& y) {
  layer.to(torch::kDouble);
  perturb(layer, 0.5, /*seed=*/3);
  layer.eval();
  check_flow([&](const Tensor& t) { return layer.forward(t); }, [&](const Tensor& t) { return layer.inverse(t); }, x,
             y);
}

void check_layer(FlowLayer& layer, at::IntArrayRef size) { check_layer(layer, doubles(size, 4), doubles(size, 5)); }

double bits_per_dim(RealNVP& model, const Tensor& x) {
  const EvalMode eval(*model);
  Rng rng = stream(6);
  return -model->log_prob(x, /*k=*/1, rng).mean().item<double>() /
         (std::numbers::ln2 * static_cast<double>(x[0].numel()));
}

}  // namespace

TEST_CASE("every layer of a flow is inverted exactly and knows its log-determinant", "[models][realnvp]") {
  Rng init = stream(7);
  const bool flip = GENERATE(false, true);
  const bool learned_scale = GENERATE(false, true);
  SECTION("coupling of vectors") {
    const std::vector<int64_t> event{5};
    Coupling layer(event, checkerboard_mask(event, flip), learned_scale, CouplingMLP(5, 8, 2, true, init).ptr());
    check_layer(*layer, {3, 5});
  }
  SECTION("coupling of images, channels") {
    const std::vector<int64_t> event{4, 3, 2};
    Coupling layer(event, channel_mask(event, flip), learned_scale, CouplingResNet(4, 6, 1, 1, true, init).ptr());
    check_layer(*layer, {2, 4, 3, 2});
  }
  SECTION("coupling of images, checkerboard") {
    const std::vector<int64_t> event{2, 3, 3};
    Coupling layer(event, checkerboard_mask(event, flip), learned_scale, CouplingResNet(2, 6, 2, 1, true, init).ptr());
    check_layer(*layer, {2, 2, 3, 3});
  }
  SECTION("coupling of images, checkerboard, folded network") {
    const std::vector<int64_t> event{1, 4, 2};
    Coupling layer(event, checkerboard_mask(event, flip), learned_scale, CouplingResNet(1, 6, 1, 2, true, init).ptr());
    check_layer(*layer, {2, 1, 4, 2});
  }
  SECTION("normalization") {
    check_layer(*ActNorm(at::IntArrayRef{3, 2, 2}), {2, 3, 2, 2});
    check_layer(*ActNorm(at::IntArrayRef{4}), {2, 4});
    check_layer(*FlowBatchNorm(at::IntArrayRef{3, 2, 2}), {2, 3, 2, 2});
    check_layer(*FlowBatchNorm(at::IntArrayRef{4}), {2, 4});
  }
  SECTION("squeeze") {
    const Tensor y = doubles({2, 8, 1, 2}, 5);
    check_layer(*Squeeze(), doubles({2, 2, 2, 4}, 4), y);
  }
  SECTION("logit") {
    Logit layer(256, 0.05);
    check_layer(*layer, 256 * doubles({2, 1, 2, 2}, 4).sigmoid(), doubles({2, 1, 2, 2}, 5));
  }
}

TEST_CASE("the masks are those of the paper", "[models][realnvp]") {
  CHECK_THAT(checkerboard_mask({5, 2, 3}, false), IsClose(torch::tensor({{0., 1., 0.}, {1., 0., 1.}}), 0));
  CHECK_THAT(checkerboard_mask({5, 2, 3}, true), IsClose(torch::tensor({{1., 0., 1.}, {0., 1., 0.}}), 0));
  CHECK_THAT(checkerboard_mask({3}, false), IsClose(torch::tensor({0., 1., 0.}), 0));
  CHECK_THAT(channel_mask({4, 2, 2}, true), IsClose(torch::tensor({0., 0., 1., 1.}).view({4, 1, 1}), 0));

  // Figure 3: a squeeze numbers the pixels of each block, and the halves of its channels are not a checkerboard.
  const Tensor x = torch::arange(4.).view({1, 1, 2, 2});
  CHECK_THAT(Squeeze()->forward(x).y, IsClose(torch::arange(4.).view({1, 4, 1, 1}), 0));
}

TEST_CASE("a whole flow is inverted exactly and knows its log-determinant", "[models][realnvp]") {
  const auto normalization =
      GENERATE(FlowNormalization::actnorm, FlowNormalization::batch_norm, FlowNormalization::none);
  const auto check = [&](RealNVP model, const Tensor& x, int64_t dims) {
    check_flow([&](const Tensor& t) { return model->forward(t); }, [&](const Tensor& t) { return model->inverse(t); },
               x, doubles({x.size(0), dims}, 5));
  };
  SECTION("vectors") { check(perturbed(tiny(normalization), vectors(3)), doubles({3, 3}, 4), 3); }
  SECTION("images of three scales") {
    auto config = tiny(normalization);
    config.scales = 3;
    config.couplings = 1;
    check(perturbed(config, images({1, 4, 8}), 0.1), 256 * doubles({2, 1, 4, 8}, 4).sigmoid(), 32);
  }
  SECTION("whole numbers") {
    check(perturbed(tiny(normalization), whole_numbers(3, 4)), 4 * doubles({3, 3}, 4).sigmoid(), 3);
  }
  SECTION("images as vectors") {
    auto config = tiny(normalization);
    config.architecture = FlowArchitecture::flat;
    config.learned_scale = false;
    check(perturbed(config, images({1, 2, 3}), 0.1), 256 * doubles({2, 1, 2, 3}, 4).sigmoid(), 6);
  }
  SECTION("images in color") {
    check(perturbed(tiny(normalization), images({3, 2, 2}), 0.1), 256 * doubles({2, 3, 2, 2}, 4).sigmoid(), 12);
  }
}

TEST_CASE("couplings alternate, so everything depends on everything", "[models][realnvp]") {
  RealNVP model = perturbed({.couplings = 3, .hidden_dim = 8}, vectors(4), /*size=*/0.5);
  const Tensor x = doubles({1, 4}, 4).requires_grad_();
  const Tensor z = model->forward(x).y;
  for (int64_t i = 0; i < 4; ++i) {
    const Tensor slopes = torch::autograd::grad({z[0][i]}, {x}, {}, /*retain_graph=*/true)[0];
    CHECK(slopes.abs().min().item<double>() > 0);
  }
}

TEST_CASE("an untrained flow is the identity, of images after the logit", "[models][realnvp]") {
  Rng init = stream(8);
  SECTION("vectors") {
    RealNVP model(tiny(), vectors(3), init);
    model->eval();
    const Tensor x = stream(4).normal({5, 3});
    const auto [z, log_det] = model->forward(x);
    CHECK_THAT(z, IsClose(x, 1e-6));
    CHECK_THAT(log_det, IsClose(torch::zeros({5}), 1e-6));
  }
  SECTION("images") {
    RealNVP model(tiny(), images({1, 4, 4}), init);
    model->eval();
    const Tensor x = 256 * stream(4).uniform({5, 1, 4, 4});
    const auto [z, log_det] = model->forward(x);
    const auto [y, logit_log_det] = Logit(256, RealNVPConfig{}.alpha)->forward(x);
    // The lower row of each 2 x 2 block left after the first scale, the left pixels before the right ones.
    CHECK_THAT(z.select(1, 0), IsClose(y.select(2, 1).select(2, 0).squeeze(1), 1e-6));
    CHECK_THAT(std::get<0>(z.sort(1)), IsClose(std::get<0>(y.flatten(1).sort(1)), 1e-6));
    CHECK_THAT(log_det, IsClose(logit_log_det, 1e-4));
  }
}

TEST_CASE("the density of vectors integrates to one", "[models][realnvp]") {
  RealNVP model = perturbed({.couplings = 4, .hidden_dim = 8}, vectors(2));
  const EvalMode eval(*model);
  const double spacing = 0.04;
  const Tensor axis = torch::arange(-10.0, 10.0, spacing, torch::kDouble);
  Rng unused = stream(0);
  const Tensor density = model->log_prob(torch::cartesian_prod({axis, axis}), 1, unused).exp();
  CHECK(density.sum().item<double>() * spacing * spacing == Approx(1).margin(1e-4));
  CHECK(density.max().item<double>() > 0.2);  // and is not that of the standard normal, 0.159 at most
}

TEST_CASE("the likelihood of one pixel is the mass of its cell, bounded from below", "[models][realnvp]") {
  RealNVP model = perturbed({.couplings = 2, .scales = 1, .hidden_dim = 4}, images({1, 1, 1}));
  const EvalMode eval(*model);
  // One pixel: the flow is a monotone function f, and the mass of the cell [i, i + 1) is Phi(f(i + 1)) - Phi(f(i)).
  const Tensor edges = torch::arange(257, torch::kDouble).view({257, 1, 1, 1});
  const Tensor phi = 0.5 * (1 + (model->forward(edges).y.flatten() / std::numbers::sqrt2).erf());
  const Tensor mass = (phi.slice(0, 1) - phi.slice(0, 0, 256)).abs();
  const Tensor pixels = torch::arange(256, torch::kByte).view({256, 1, 1, 1});

  Rng rng = stream(9);
  Tensor bound = torch::zeros({256}, torch::kDouble);
  const int64_t draws = 20;
  for (int64_t i = 0; i < draws; ++i) bound += model->log_prob(pixels, 1, rng) / draws;
  CHECK((bound - mass.log()).max().item<double>() < 1e-2);  // Jensen's inequality, but for the draws' noise
  CHECK(bound.exp().sum().item<double>() <= 1);

  const Tensor tight = model->log_prob(pixels, /*k=*/200, rng);
  CHECK_THAT(tight, IsClose(mass.log(), 0.05));
}

TEST_CASE("more dequantizations tighten the bound", "[models][realnvp]") {
  RealNVP model = perturbed(tiny(), images({1, 4, 4}, /*levels=*/4));
  const EvalMode eval(*model);
  const Tensor x = stream(20).integers(4, {64, 1, 4, 4}).to(torch::kByte);
  Rng one = stream(21), many = stream(22);
  const double loose = model->log_prob(x, /*k=*/1, one).mean().item<double>();
  const double tight = model->log_prob(x, /*k=*/32, many).mean().item<double>();
  CHECK(tight > loose + 0.1);
}

TEST_CASE("uniform noise costs at least 8 bits per dimension, trained or not", "[models][realnvp]") {
  const auto normalization =
      GENERATE(FlowNormalization::actnorm, FlowNormalization::batch_norm, FlowNormalization::none);
  const auto spec = images({1, 4, 4});
  const auto noise = [](int64_t count, uint64_t seed) {
    return (256 * stream(seed).uniform({count, 1, 4, 4})).to(torch::kByte);
  };
  const Tensor train = noise(1024, 10), test = noise(1024, 11);
  Rng init = stream(12);
  RealNVP model(tiny(normalization), spec, init);
  const double before = bits_per_dim(model, test);
  CHECK(before >= 8);

  torch::optim::Adam optimizer(model->parameters(), torch::optim::AdamOptions(5e-3));
  for (int64_t step = 0; step < 50; ++step) {
    Rng rng = Rng::for_batch(0, Purpose::loss, static_cast<uint64_t>(step));
    optimizer.zero_grad();
    model->loss({train.slice(0, step % 8 * 128, step % 8 * 128 + 128), {}}, rng, step).total.backward();
    optimizer.step();
  }
  const double after = bits_per_dim(model, test);
  CHECK(after >= 8);
  CHECK(after < before);
  CHECK(after < 8.5);
}

TEST_CASE("activation normalization takes the statistics of its first training batch", "[models][realnvp]") {
  ActNorm layer(at::IntArrayRef{3, 4, 4});
  const Tensor x = 5 + 3 * stream(13).normal({8, 3, 4, 4});
  layer->eval();
  CHECK_THAT(layer->forward(x).y, IsClose(x, 0));
  layer->train();
  const Tensor y = layer->forward(x).y;
  CHECK_THAT(y.mean({0, 2, 3}), IsClose(torch::zeros({3}), 1e-5));
  CHECK_THAT(y.var({0, 2, 3}, /*unbiased=*/false), IsClose(torch::ones({3}), 1e-4));
  CHECK(layer->initialized.item<int64_t>() == 1);
  const Tensor mean = layer->mean.clone(), log_std = layer->log_std.clone();
  layer->forward(2 * x - 1);
  CHECK_THAT(layer->mean, IsClose(mean, 0));
  CHECK_THAT(layer->log_std, IsClose(log_std, 0));
}

TEST_CASE("batch normalization normalizes by the batch in training, by running averages afterwards",
          "[models][realnvp]") {
  FlowBatchNorm layer(at::IntArrayRef{3, 4, 4});
  const Tensor x = 5 + 3 * stream(14).normal({8, 3, 4, 4});
  const auto [y, log_det] = layer->forward(x);
  CHECK_THAT(y.mean({0, 2, 3}), IsClose(torch::zeros({3}), 1e-5));
  CHECK_THAT(y.var({0, 2, 3}, /*unbiased=*/false), IsClose(torch::ones({3}), 1e-4));
  const Tensor mean = x.mean({0, 2, 3}), variance = x.var({0, 2, 3}, /*unbiased=*/false);
  CHECK_THAT(layer->running_mean.flatten(), IsClose(0.1 * mean, 1e-5));
  CHECK_THAT(layer->running_var.flatten(), IsClose(0.9 + 0.1 * variance, 1e-5));

  // With the batch's statistics as running averages, eval mode is the same map with the same log-determinant.
  layer->running_mean.copy_(mean.view({3, 1, 1}));
  layer->running_var.copy_(variance.view({3, 1, 1}));
  layer->eval();
  const auto [expected, expected_log_det] = layer->forward(x);
  CHECK_THAT(y, IsClose(expected, 1e-5));
  CHECK_THAT(log_det, IsClose(expected_log_det, 1e-3));
}

TEST_CASE("encoding and decoding images is an exact round trip", "[models][realnvp]") {
  const double alpha = GENERATE(1e-6, 1e-3, 0.05);
  const int64_t levels = GENERATE(2, 256);
  RealNVP model = perturbed({.couplings = 3, .hidden_dim = 8, .alpha = alpha}, images({1, 8, 8}, levels), 0.1);
  model->to(torch::kFloat);
  const EvalMode eval(*model);
  Tensor x = stream(15).integers(levels, {16, 1, 8, 8}).to(torch::kByte);
  x[0].zero_();
  x[1].fill_(levels - 1);
  const Tensor z = model->encode_latent(x);
  CHECK(z.sizes() == at::IntArrayRef({16, 64}));
  CHECK(at::equal(model->decode_latent(z), x));
}

TEST_CASE("a sample is the decoded noise of its own stream", "[models][realnvp]") {
  const auto rows = [](uint64_t first, int64_t count) { return Rng::for_rows(3, Purpose::sample, first, count); };
  SECTION("vectors") {
    RealNVP model = perturbed(tiny(), vectors(3));
    const EvalMode eval(*model);
    Rng four = rows(0, 4), two = rows(2, 2), again = rows(0, 4);
    const Tensor x = model->sample(4, four, {.temperature = 0.7});
    CHECK(x.scalar_type() == torch::kFloat);
    CHECK_THAT(model->encode_latent(x), IsClose(0.7 * again.normal({4, 3}), 1e-5));
    CHECK_THAT(model->sample(2, two, {.temperature = 0.7}), IsClose(x.slice(0, 2), 1e-6));
  }
  SECTION("images") {
    RealNVP model = perturbed(tiny(), images({1, 4, 4}), 0.1);
    const EvalMode eval(*model);
    Rng four = rows(0, 4), two = rows(2, 2);
    const Tensor x = model->sample(4, four, {});
    CHECK(x.scalar_type() == torch::kByte);
    CHECK(at::equal(model->sample(2, two, {}), x.slice(0, 2)));
    Rng score_four = rows(0, 4), score_two = rows(2, 2);
    const Tensor log_prob = model->log_prob(x, /*k=*/3, score_four);
    CHECK(log_prob.sizes() == at::IntArrayRef({4}));
    CHECK_THAT(model->log_prob(x.slice(0, 2), /*k=*/3, score_two), IsClose(log_prob.slice(0, 2), 1e-9));
  }
}

TEST_CASE("every parameter of a flow receives a gradient", "[models][realnvp]") {
  const auto check = [](RealNVP model, const Tensor& x) {
    model->train();
    Rng rng = stream(16);
    model->loss({x, {}}, rng, /*step=*/0).total.backward();
    for (const auto& parameter : model->named_parameters()) {
      INFO(parameter.key());
      REQUIRE(parameter.value().grad().defined());
      CHECK(parameter.value().grad().abs().sum().item<double>() > 0);
    }
  };
  check(perturbed(tiny(), vectors(3)), stream(17).normal({6, 3}));
  check(perturbed(tiny(), images({1, 4, 4})), stream(17).integers(256, {6, 1, 4, 4}).to(torch::kByte));
}

TEST_CASE("data that a flow cannot model are refused in words", "[models][realnvp]") {
  const auto message = [](const RealNVPConfig& config, const DataSpec& spec) -> std::string {
    Rng init = stream(18);
    try {
      RealNVP model(config, spec, init);
    } catch (const UsageError& error) {
      return error.what();
    }
    return "";
  };
  CHECK(message({}, vectors(1)).find("at least 2 dimensions") != std::string::npos);
  CHECK(message({.scales = 4}, images({1, 28, 28})).find("set scales to at most 3") != std::string::npos);
  CHECK(message({.scales = 3}, images({1, 28, 28})) == "");
  DataSpec tokens;
  tokens.kind = DataKind::tokens;
  tokens.vocabulary = 5;
  CHECK(message({}, tokens).find("images or vectors") != std::string::npos);
}

TEST_CASE("what a flow claims of its likelihood", "[models][realnvp]") {
  Rng init = stream(19);
  CHECK(RealNVP(tiny(), vectors(2), init)->likelihood().kind == LikelihoodKind::exact);
  CHECK(RealNVP(tiny(), images({1, 4, 4}), init)->likelihood().kind == LikelihoodKind::lower_bound);
}

}  // namespace genzoo
