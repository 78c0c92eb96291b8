// Loops over whole rows: layer normalization, cross-entropy.
#include "core/random.h"
#include "tests/core/kernel_tables.h"

namespace genzoo {
namespace {

Rng stream(uint64_t seed) { return Rng::for_batch(seed, Purpose::synthetic_data, 0); }

constexpr int64_t kSizes[] = {2, 7, 16, 33, 129};

float* data(const Tensor& t) { return t.mutable_data_ptr<float>(); }

}  // namespace

TEST_CASE("layer normalization of every instruction set is LibTorch's", "[core][kernels]") {
  for (const Kernels* k : tables()) {
    for (const int64_t columns : kSizes) {
      INFO(k->name << " " << columns);
      const int64_t rows = 4;
      const Tensor x = 3 * stream(1).normal({rows, columns}) + 7, update = stream(2).normal({rows, columns});
      const Tensor weight = stream(3).normal({columns}), bias = stream(4).normal({columns});
      const Tensor sum = torch::empty_like(x), y = torch::empty_like(x), mean = torch::empty({rows});
      const Tensor inverse_std = torch::empty({rows});
      const LayerNormRows r{data(weight), data(bias), 1e-5F, data(mean), data(inverse_std)};
      k->layer_norm(data(x), data(update), data(sum), data(y), r, rows, columns);
      CHECK(sum.equal(x + update));
      Tensor s = (x + update).requires_grad_(), w = weight.clone().requires_grad_(), b = bias.clone().requires_grad_();
      const Tensor wanted = at::layer_norm(s, {columns}, w, b, 1e-5);
      CHECK_THAT(y, IsClose(wanted, 2e-4));  // seven plus noise: the mean takes digits
      CHECK_THAT(mean, IsClose(s.mean(1), 1e-5));

      const Tensor dy = stream(5).normal({rows, columns}), dsum = stream(6).normal({rows, columns});
      const Tensor dx = torch::empty_like(x), dw = torch::ones({columns}), db = torch::ones({columns});
      k->layer_norm_backward(data(dy), data(dsum), data(sum), data(dx), data(dw), data(db), r, rows, columns);
      const auto gradients = torch::autograd::grad({wanted}, {s, w, b}, {dy});
      CHECK_THAT(dx, IsClose(gradients[0] + dsum, 2e-4));
      CHECK_THAT(dw, IsClose(1 + gradients[1], 1e-3));
      CHECK_THAT(db, IsClose(1 + gradients[2], 1e-5));

      const Tensor y16 = torch::empty({rows, columns}, torch::kBFloat16);
      k->layer_norm_16(data(x), data(update), data(sum), y16.mutable_data_ptr<c10::BFloat16>(), r, rows, columns);
      CHECK(y16.equal(y.to(torch::kBFloat16)));
      const Tensor dy16 = dy.to(torch::kBFloat16), dx16 = torch::empty_like(x);
      k->layer_norm_backward_16(dy16.const_data_ptr<c10::BFloat16>(), nullptr, data(sum), data(dx16), nullptr, nullptr,
                                r, rows, columns);
      k->layer_norm_backward(data(dy16.to(torch::kFloat)), nullptr, data(sum), data(dx), nullptr, nullptr, r, rows,
                             columns);
      CHECK_THAT(dx16, IsClose(dx, 1e-5));
    }
  }
}

TEST_CASE("cross-entropy and its gradient of every instruction set are LibTorch's", "[core][kernels]") {
  for (const Kernels* k : tables()) {
    for (const int64_t classes : {int64_t{1}, int64_t{3}, int64_t{16}, int64_t{65}, int64_t{9001}}) {
      INFO(k->name << " " << classes);
      const int64_t rows = 3;
      const Tensor z = (5 * stream(1).normal({rows, classes})).requires_grad_();
      const Tensor target = torch::tensor({int64_t{0}, classes / 2, classes - 1});
      const auto* hits = target.const_data_ptr<int64_t>();
      const Tensor wanted = at::cross_entropy_loss(z, target, {}, at::Reduction::None);
      const Tensor dz = torch::autograd::grad({wanted.sum()}, {z})[0];
      const Tensor losses = torch::empty({rows}), in_place = z.detach().clone();
      k->cross_entropy(data(in_place), data(in_place), hits, data(losses), rows, classes);
      CHECK_THAT(losses, IsClose(wanted, 2e-5));
      CHECK_THAT(in_place, IsClose(dz, 1e-6));
      const Tensor gradient = torch::empty({rows, classes}, torch::kBFloat16), scratch = z.detach().clone();
      k->cross_entropy_16(data(scratch), gradient.mutable_data_ptr<c10::BFloat16>(), hits, data(losses), rows, classes);
      CHECK(gradient.equal(in_place.to(torch::kBFloat16)));
      const Tensor again = z.detach().clone(), alone = torch::empty({rows});
      k->cross_entropy(data(again), nullptr, hits, data(alone), rows, classes);
      CHECK(alone.equal(losses));
    }
  }
}

TEST_CASE("the log-probability of bits and its slope are LibTorch's, for any logit", "[core][kernels]") {
  for (const Kernels* k : tables()) {
    for (const int64_t columns : kSizes) {
      INFO(k->name << " " << columns);
      const int64_t rows = 3;
      const Tensor l = 4 * stream(1).normal({rows, columns}), x = stream(2).uniform({rows, columns});
      l[0][0] = 200;
      l[1][1] = -200;
      const Tensor slope = torch::empty_like(l), log_prob = torch::empty({rows});
      k->bernoulli(data(l), data(x), data(slope), data(log_prob), rows, columns);
      const Tensor wide = l.to(torch::kDouble), target = x.to(torch::kDouble);
      const Tensor wanted = -at::binary_cross_entropy_with_logits(wide, target, {}, {}, at::Reduction::None).sum(1);
      CHECK(((log_prob - wanted).abs() / wanted.abs().clamp_min(1)).max().item<double>() < 1e-5);
      CHECK_THAT(slope, IsClose(target - wide.sigmoid(), 1e-6));
      const Tensor alone = torch::empty({rows});
      k->bernoulli(data(l), data(x), nullptr, data(alone), rows, columns);
      CHECK(alone.equal(log_prob));
    }
  }
}

TEST_CASE("a NaN among the logits is one in the loss", "[core][kernels]") {
  for (const Kernels* k : tables()) {
    const Tensor z = torch::zeros({1, 40});
    z[0][21] = std::numeric_limits<float>::quiet_NaN();
    const Tensor target = torch::zeros({1}, torch::kLong), loss = torch::zeros({1});
    k->cross_entropy(data(z), nullptr, target.const_data_ptr<int64_t>(), data(loss), 1, 40);
    CHECK(loss.isnan().all().item<bool>());
  }
}

}  // namespace genzoo
