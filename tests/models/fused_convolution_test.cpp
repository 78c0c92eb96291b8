#include "models/fused_convolution.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/function.h>

#include "core/random.h"
#include "core/workers.h"
#include "models/leaf_gradients.h"
#include "tests/core/kernel_tables.h"
#include "tests/models/relative_error.h"
#include "tests/support.h"
#include "trainers/precision.h"

namespace genzoo {
namespace {

Rng stream(uint64_t seed) { return Rng::for_batch(seed, Purpose::initialization, 0); }

Tensor channels_last(const Tensor& t) {
  return at::empty(t.sizes(), t.options().memory_format(at::MemoryFormat::ChannelsLast)).copy_(t);
}

struct Convolution {
  Direction direction;
  Tensor x, weight, bias;

  /// Of images (batch, in, rows, columns).
  Convolution(Direction direction_, std::vector<int64_t> size, int64_t out, bool with_bias = true)
      : direction(direction_) {
    const int64_t in = size[1];
    const bool coarse = direction == Direction::to_coarse;
    x = channels_last(stream(1).normal(size)).requires_grad_();
    weight = channels_last(0.1 * stream(2).normal({coarse ? out : in, coarse ? in : out, 4, 4})).requires_grad_();
    if (with_bias) bias = stream(3).normal({out}).requires_grad_();
  }
  std::vector<Tensor> leaves() const { return bias.defined() ? std::vector{x, weight, bias} : std::vector{x, weight}; }
  Tensor fused(double slope) const { return fused_convolution(x, weight, bias, direction, slope); }
  Tensor plain(double slope) const { return plain_convolution(x, weight, bias, direction, slope); }
  Tensor dy() const { return channels_last(stream(4).normal(plain(1).sizes())); }
};

bool is_fused(const Tensor& y) { return y.grad_fn() && y.grad_fn()->name().find("Fused") != std::string::npos; }

bool has_kernels(Precision precision) {
  return precision == Precision::float32 ? ConvolutionPass<float>::fits(16, 16)
                                         : ConvolutionPass<c10::BFloat16>::fits(16, 16);
}

constexpr double kSlopes[] = {0, 0.2, 1};
constexpr Direction kDirections[] = {Direction::to_coarse, Direction::to_fine};

/// Fine sides, even and odd; fine channels, whole blocks and fewer than one; channels.
struct Sizes {
  int64_t batch, rows, columns, fine_channels, channels;
};
const Sizes kSizes[] = {{1, 2, 2, 16, 16},  {3, 4, 6, 16, 48},   {7, 14, 14, 32, 64}, {5, 9, 5, 48, 16},
                        {2, 3, 16, 16, 32}, {33, 10, 6, 16, 16}, {4, 12, 14, 1, 32},  {3, 7, 5, 3, 16},
                        {2, 2, 3, 5, 16},   {1, 20, 22, 15, 16}};

Convolution of(const Sizes& s, Direction direction) {
  if (direction == Direction::to_coarse) return {direction, {s.batch, s.fine_channels, s.rows, s.columns}, s.channels};
  return {direction, {s.batch, s.channels, (s.rows + 1) / 2, (s.columns + 1) / 2}, s.fine_channels};
}

void check_agreement(const Convolution& layer, double slope) {
  const Tensor fused = layer.fused(slope), plain = layer.plain(slope);
  CHECK(is_fused(fused));
  CHECK(fused.sizes() == plain.sizes());
  CHECK(relative_error(fused, plain) < 1e-5);
  const Tensor dy = layer.dy();
  const auto got = torch::autograd::grad({fused}, layer.leaves(), {dy});
  // An output so close to zero that rounding decides its sign has either slope: the fused one's is taken.
  Tensor dz = slope == 1 ? dy : torch::where(fused > 0, dy, dy * slope);
  const auto wanted = torch::autograd::grad({layer.plain(1)}, layer.leaves(), {dz});
  for (size_t i = 0; i < got.size(); ++i) CHECK(relative_error(got[i], wanted[i]) < 1e-5);
}

/// `layer` with values 0 and +-1, of which every product, sum and transform is exact; images in bfloat16.
Convolution of_ones(const Sizes& s, Direction direction) {
  Convolution layer = of(s, direction);
  layer.x = layer.x.detach().round().clamp(-1, 1).to(torch::kBFloat16).requires_grad_();
  layer.weight = (10 * layer.weight.detach()).round().clamp(-1, 1).requires_grad_();
  layer.bias = layer.bias.detach().round().requires_grad_();
  return layer;
}

bool has_kernels() { return kernels().has_block_products; }

}  // namespace

TEST_CASE("a fused convolution and its gradients are the plain one's", "[models][fused][convolution]") {
  if (!has_kernels()) SKIP("this processor has no kernels for it");
  for (const Direction direction : kDirections) {
    for (const Sizes& s : kSizes) {
      for (const double slope : kSlopes) {
        INFO((direction == Direction::to_fine) << " slope " << slope << " size " << s.batch << " " << s.rows << " "
                                               << s.columns << " " << s.fine_channels << " " << s.channels);
        check_agreement(of(s, direction), slope);
      }
    }
    check_agreement({direction, {6, 32, 8, 8}, 16, /*with_bias=*/false}, 0.2);
  }
}

TEST_CASE("the convolutions of every instruction set agree", "[models][fused][convolution]") {
  for (const Kernels* k : tables()) {
    for (const Direction direction : kDirections) {
      for (const Sizes& s : kSizes) {
        INFO(k->name << " " << (direction == Direction::to_fine) << " " << s.rows << " " << s.columns << " "
                     << s.fine_channels);
        const Convolution layer = of(s, direction);
        const bool fine = direction == Direction::to_fine;
        const Tensor wanted = layer.plain(0.2), y = channels_last(torch::empty_like(wanted));
        const Tensor &small = fine ? layer.x : y, &large = fine ? y : layer.x;
        const ConvolutionPass<float> pass(
            {large.size(2), large.size(3), large.size(1), small.size(2), small.size(3), small.size(1)}, s.batch, *k);
        const auto data = [](const Tensor& t) { return t.mutable_data_ptr<float>(); };
        const Tensor x = layer.x.detach(), weight = layer.weight.detach(), bias = layer.bias.detach();
        const ConvolutionPass<float>::Layer with{direction, data(weight), data(bias), 0.2F};
        pass.forward(with, data(x), data(y));
        CHECK(relative_error(y, wanted) < 1e-5);
        const Tensor dy = layer.dy(), dz = torch::where(y > 0, dy, 0.2 * dy);
        const auto gradients = torch::autograd::grad({layer.plain(1)}, layer.leaves(), {dz});
        const Tensor dx = torch::empty_like(x), dw = torch::ones_like(weight), db = torch::ones_like(bias);
        pass.backward(with, data(x), data(y), data(dy), {data(dx), data(dw), /*weight_share=*/1, data(db)});
        CHECK(relative_error(dx, gradients[0]) < 1e-5);
        CHECK(relative_error(dw - 1, gradients[1]) < 2e-5);
        CHECK(relative_error(db - 1, gradients[2]) < 2e-5);
      }
    }
  }
}

TEST_CASE("the convolutions in bfloat16 of every instruction set round their results only",
          "[models][fused][convolution]") {
  for (const Kernels* k : tables_16()) {
    for (const Direction direction : kDirections) {
      for (const Sizes& s : kSizes) {
        INFO(k->name << " " << (direction == Direction::to_fine) << " " << s.rows << " " << s.columns << " "
                     << s.fine_channels);
        const Convolution layer = of_ones(s, direction);
        const bool fine = direction == Direction::to_fine;
        const Tensor weight = layer.weight, bias = layer.bias, x = layer.x.detach();
        const Tensor wide = x.to(torch::kFloat).requires_grad_();
        const Tensor z = plain_convolution(wide, weight, bias, direction, 1);
        const Tensor y = channels_last(torch::empty_like(z, torch::kBFloat16));
        const Tensor &small = fine ? x : y, &large = fine ? y : x;
        using Pass = ConvolutionPass<c10::BFloat16>;
        const Pass pass({large.size(2), large.size(3), large.size(1), small.size(2), small.size(3), small.size(1)},
                        s.batch, *k);
        const auto data = [](const Tensor& t) { return t.mutable_data_ptr<float>(); };
        const auto data16 = [](const Tensor& t) { return t.mutable_data_ptr<c10::BFloat16>(); };
        const Pass::Layer with{direction, data(weight), data(bias), 0.5F};
        pass.forward(with, data16(x), data16(y));
        CHECK(y.equal(torch::where(z > 0, z, 0.5 * z).to(torch::kBFloat16)));
        const Tensor dy = channels_last(stream(4).normal(z.sizes()).round().clamp(-1, 1).to(torch::kBFloat16));
        const Tensor dz = torch::where(y > 0, dy, 0.5 * dy).to(torch::kFloat);
        const auto wanted = torch::autograd::grad({z}, {wide, weight, bias}, {dz});
        const Tensor dx = torch::empty_like(x), dw = torch::ones_like(weight), db = torch::ones_like(bias);
        pass.backward(with, data16(x), data16(y), data16(dy), {data16(dx), data(dw), /*weight_share=*/1, data(db)});
        CHECK(dx.equal(wanted[0].to(torch::kBFloat16)));
        CHECK(dw.equal(wanted[1] + 1));
        CHECK(db.equal(wanted[2] + 1));
        pass.backward({direction, data(weight), data(bias), 1}, data16(x), nullptr, data16(dz.to(torch::kBFloat16)),
                      {nullptr, data(dw), /*weight_share=*/0, data(db)});
        CHECK(dw.equal(wanted[1]));
        CHECK(db.equal(2 * wanted[2] + 1));
      }
    }
  }
}

// Transforms that sum several values before they are rounded cost up to 2.6 times LibTorch's error, whose results are
// rounded after the products only.
TEST_CASE("a convolution under autocast is in bfloat16, and errs less than three times as much as LibTorch's",
          "[models][fused][convolution]") {
  if (!ConvolutionPass<c10::BFloat16>::fits(16, 16)) SKIP("this processor has no kernels for it");
  const auto error = [](const Tensor& got, const Tensor& wanted) {
    return (got.to(torch::kDouble) - wanted).square().mean().sqrt().item<double>();
  };
  for (const Direction direction : kDirections) {
    for (const Sizes& s : {Sizes{7, 14, 14, 32, 64}, Sizes{16, 16, 16, 64, 128}, Sizes{4, 12, 14, 1, 32}}) {
      INFO((direction == Direction::to_fine) << " " << s.rows << " " << s.fine_channels);
      const Convolution layer = of(s, direction);
      const Tensor dy = layer.dy().to(torch::kBFloat16);
      const auto exact = [](const Tensor& t) { return t.detach().to(torch::kDouble).requires_grad_(); };
      const std::vector<Tensor> of{exact(layer.x.to(torch::kBFloat16)), exact(layer.weight), exact(layer.bias)};
      const Tensor wanted = plain_convolution(of[0], of[1], of[2], direction, 1);
      const auto gradients = torch::autograd::grad({wanted}, of, {dy.to(torch::kDouble)});
      Tensor fused, plain;
      {
        const Autocast autocast(torch::kCPU, Precision::bfloat16);
        fused = layer.fused(1);
        plain = layer.plain(1);
      }
      CHECK(is_fused(fused));
      CHECK(fused.scalar_type() == torch::kBFloat16);
      CHECK(error(fused, wanted) < 3 * error(plain, wanted));
      const auto got = torch::autograd::grad({fused}, layer.leaves(), {dy});
      const auto rounded = torch::autograd::grad({plain}, layer.leaves(), {dy});
      for (size_t i = 0; i < got.size(); ++i) {
        INFO("gradient " << i);
        CHECK(got[i].scalar_type() == torch::kFloat);
        CHECK(error(got[i], gradients[i]) < 3 * error(rounded[i], gradients[i]));
      }
    }
  }
}

TEST_CASE("a convolution takes images in any layout", "[models][fused][convolution]") {
  if (!has_kernels()) SKIP("this processor has no kernels for it");
  for (const Direction direction : kDirections) {
    Convolution layer(direction, {3, 16, 6, 4}, 32);
    layer.x = layer.x.detach().contiguous().requires_grad_();
    layer.weight = layer.weight.detach().contiguous().requires_grad_();
    const Tensor dy = layer.dy().contiguous();
    const auto got = torch::autograd::grad({layer.fused(0)}, layer.leaves(), {dy});
    const auto wanted = torch::autograd::grad({layer.plain(0)}, layer.leaves(), {dy});
    for (size_t i = 0; i < got.size(); ++i) CHECK(relative_error(got[i], wanted[i]) < 1e-5);
  }
}

TEST_CASE("a convolution computes the gradients that are asked for", "[models][fused][convolution]") {
  for (const Direction direction : kDirections) {
    const Convolution layer(direction, {3, 16, 6, 6}, 16);
    const Tensor dy = layer.dy();
    const auto wanted = torch::autograd::grad({layer.plain(0.2)}, layer.leaves(), {dy});
    const auto leaves = layer.leaves();
    for (size_t i = 0; i < leaves.size(); ++i) {
      std::vector<Tensor> copies;
      for (size_t j = 0; j < leaves.size(); ++j) copies.push_back(leaves[j].detach().requires_grad_(j == i));
      const Tensor y = fused_convolution(copies[0], copies[1], copies[2], direction, 0.2);
      y.backward(dy);
      CHECK(relative_error(copies[i].grad(), wanted[i]) < 1e-5);
      for (size_t j = 0; j < leaves.size(); ++j) CHECK((j == i || !copies[j].grad().defined()));
    }
    const torch::NoGradGuard no_grad;
    CHECK(relative_error(layer.fused(0.2), layer.plain(0.2)) < 1e-5);
  }
}

TEST_CASE("a convolution adds its gradients in place when asked to", "[models][fused][convolution]") {
  for (const Direction direction : kDirections) {
    const Convolution layer(direction, {3, 16, 6, 6}, 32);
    const Tensor dy = layer.dy();
    const auto wanted = torch::autograd::grad({layer.plain(0.2)}, layer.leaves(), {dy});
    std::vector<Tensor> leaves = layer.leaves();
    for (Tensor& leaf : leaves) leaf.mutable_grad() = torch::ones_like(leaf);
    LeafGradients gradients({layer.weight, layer.bias});
    gradients.start();
    for (const int times : {1, 2}) {
      const LeafGradients::Scope scope(gradients);
      layer.fused(0.2).backward(dy);
      CHECK_THAT(layer.weight.grad(), IsClose(times * wanted[1], 1e-3));
      CHECK_THAT(layer.bias.grad(), IsClose(times * wanted[2], 1e-3));
    }
    CHECK_THAT(layer.x.grad(), IsClose(1 + 2 * wanted[0], 1e-4));
  }
}

TEST_CASE("a convolution has gradients of gradients", "[models][fused][convolution]") {
  for (const Direction direction : kDirections) {
    for (const double slope : kSlopes) {
      const Convolution layer(direction, {2, 16, 4, 6}, 16);
      const auto penalty = [&](const Tensor& y) {
        const Tensor dx = torch::autograd::grad({y.square().sum()}, {layer.x}, {}, /*retain_graph=*/true,
                                                /*create_graph=*/true)[0];
        return torch::autograd::grad({dx.square().sum()}, {layer.x, layer.weight});
      };
      const auto got = penalty(layer.fused(slope)), wanted = penalty(layer.plain(slope));
      for (size_t i = 0; i < got.size(); ++i) CHECK(relative_error(got[i], wanted[i]) < 1e-4);
    }
  }
}

TEST_CASE("a convolution under autocast has gradients of gradients", "[models][fused][convolution]") {
  for (const Direction direction : kDirections) {
    const Convolution layer(direction, {2, 16, 4, 6}, 16);
    const auto penalty = [&](Precision precision) {
      Tensor y;
      {
        const Autocast autocast(torch::kCPU, precision);
        const Tensor made = layer.fused(0.2);
        CHECK(is_fused(made) == (has_kernels(precision)));
        y = made.to(torch::kFloat);
      }
      const Tensor dx = torch::autograd::grad({y.square().sum()}, {layer.x}, {}, /*retain_graph=*/true,
                                              /*create_graph=*/true)[0];
      return torch::autograd::grad({dx.square().sum()}, layer.leaves());
    };
    const auto got = penalty(Precision::bfloat16), wanted = penalty(Precision::float32);
    for (size_t i = 0; i < got.size(); ++i) CHECK(relative_error(got[i], wanted[i]) < 0.05);
  }
}

TEST_CASE("the number of threads does not change what a convolution computes", "[models][fused][convolution]") {
  const int threads = at::get_num_threads();
  at::set_num_threads(4);
  for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
    const Autocast autocast(torch::kCPU, precision);
    for (const Direction direction : kDirections) {
      const Convolution layer(direction, {37, 16, 8, 8}, 32);
      const Tensor y = layer.fused(0.2), dy = layer.dy().to(y.scalar_type());
      CHECK(is_fused(y) == (has_kernels(precision)));
      const auto gradients = torch::autograd::grad({y}, layer.leaves(), {dy});
      const auto again = torch::autograd::grad({layer.fused(0.2)}, layer.leaves(), {dy});
      for (size_t i = 0; i < gradients.size(); ++i) CHECK(again[i].equal(gradients[i]));
      const OneThread alone;
      const Tensor same = layer.fused(0.2);
      CHECK(same.equal(y));
      CHECK(torch::autograd::grad({same}, {layer.x}, {dy})[0].equal(gradients[0]));
    }
  }
  at::set_num_threads(threads);
}

TEST_CASE("what the kernels do not fit is convolved by LibTorch", "[models][fused][convolution]") {
  const Convolution odd_channels(Direction::to_coarse, {2, 24, 6, 6}, 16);
  CHECK_FALSE(is_fused(odd_channels.fused(1)));
  const Convolution odd_outputs(Direction::to_coarse, {2, 16, 6, 6}, 20);
  CHECK_FALSE(is_fused(odd_outputs.fused(1)));
  const Convolution layer(Direction::to_fine, {2, 16, 6, 6}, 16);
  const Tensor twice = fused_convolution(layer.x.to(torch::kDouble), layer.weight.to(torch::kDouble),
                                         layer.bias.to(torch::kDouble), Direction::to_fine, 0);
  CHECK(twice.scalar_type() == torch::kDouble);
  CHECK(relative_error(twice.to(torch::kFloat), layer.plain(0)) < 1e-5);
  CHECK_THROWS(fused_convolution(layer.x, torch::ones({32, 16, 4, 4}), {}, Direction::to_fine, 1));
  const Tensor reduced =
      fused_convolution(layer.x.to(torch::kBFloat16), layer.weight.to(torch::kBFloat16), {}, Direction::to_fine, 1);
  CHECK_FALSE(is_fused(reduced));
}

}  // namespace genzoo
