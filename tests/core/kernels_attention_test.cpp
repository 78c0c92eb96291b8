// Causal attention of a head over a whole text, and its gradients.
#include "core/random.h"
#include "tests/core/kernel_tables.h"

namespace genzoo {
namespace {

Rng stream(uint64_t seed) { return Rng::for_batch(seed, Purpose::synthetic_data, 0); }

template <class T>
T* data(const Tensor& t) {
  return t.defined() ? t.mutable_data_ptr<T>() : nullptr;
}

/// One head of two that lie side by side: queries, keys, values and their gradients (T, 3, 2, D), y (T, 2, D). The
/// second head is sevens, and must stay so.
template <class T>
struct Head {
  static constexpr auto kType = c10::CppTypeToScalarType<T>::value;
  int64_t tokens, channels;
  float scale;
  Tensor qkv, dy, y, dqkv, log_sums, scratch, cos, sin;

  Head(int64_t tokens_, int64_t channels_, bool rotary)
      : tokens(tokens_), channels(channels_), scale(1 / std::sqrt(static_cast<float>(channels_))) {
    qkv = (2 * stream(1).normal({tokens, 3, 2, channels})).to(kType);
    dy = stream(2).normal({tokens, 2, channels}).to(kType);
    y = torch::full({tokens, 2, channels}, 7, kType);
    dqkv = torch::full({tokens, 3, 2, channels}, 7, kType);
    log_sums = torch::empty({tokens});
    if (rotary) {
      const Tensor angle = 3 * stream(3).uniform({tokens, channels / 2});
      cos = angle.cos();
      sin = angle.sin();
    }
  }

  void run(const Kernels& k, void (*forward)(const CausalHead<T>&),
           void (*backward)(const CausalHead<T>&, const CausalHeadGradients<T>&)) {
    const T* q = data<T>(qkv);
    const int64_t of_one = 2 * channels, room = k.causal_attention_scratch(tokens, channels, /*gradients=*/true);
    REQUIRE(room >= k.causal_attention_scratch(tokens, channels, /*gradients=*/false));
    scratch = torch::full({room + 1}, std::numeric_limits<float>::quiet_NaN());  // what it holds must not matter
    scratch[room] = 7;
    const CausalHead<T> head{q,
                             q + of_one,
                             q + 2 * of_one,
                             3 * of_one,
                             tokens,
                             channels,
                             scale,
                             data<float>(cos),
                             data<float>(sin),
                             data<T>(y),
                             of_one,
                             data<float>(log_sums),
                             data<float>(scratch)};
    forward(head);
    T* dq = data<T>(dqkv);
    backward(head, {data<T>(dy), dq, dq + of_one, dq + 2 * of_one});
    CHECK(scratch[room].item<float>() == 7);
    CHECK(y.select(1, 1).eq(7).all().item<bool>());
    CHECK(dqkv.select(2, 1).eq(7).all().item<bool>());
  }

  struct Expected {
    Tensor y, dqkv, log_sums;
  };
  /// In double precision.
  Expected expected() const {
    const Tensor x = qkv.select(2, 0).to(torch::kDouble).requires_grad_();
    const auto turned = [&](const Tensor& t) {
      if (!cos.defined()) return t;
      const auto halves = t.chunk(2, 1);
      return torch::cat({halves[0] * cos - halves[1] * sin, halves[0] * sin + halves[1] * cos}, 1);
    };
    const Tensor scores = scale * turned(x.select(1, 0)).matmul(turned(x.select(1, 1)).t());
    const Tensor future = torch::ones({tokens, tokens}, torch::kBool).triu(1);
    const Tensor visible = scores.masked_fill(future, -std::numeric_limits<double>::infinity());
    const Tensor wanted = visible.softmax(1).matmul(x.select(1, 2));
    const Tensor gradient = torch::autograd::grad({wanted}, {x}, {dy.select(1, 0).to(torch::kDouble)})[0];
    return {wanted, gradient, visible.logsumexp(1)};
  }
};

/// The largest difference in relation to the largest value that was wanted.
double relative_error(const Tensor& got, const Tensor& wanted) {
  return ((got.to(torch::kDouble) - wanted).abs().max() / wanted.abs().max().clamp_min(1e-12)).item<double>();
}

}  // namespace

TEST_CASE("causal attention and its gradients of every instruction set are those of double precision",
          "[core][kernels]") {
  for (const Kernels* k : tables()) {
    for (const int64_t channels : {1, 6, 16, 32, 48, 64, 102}) {
      for (const int64_t tokens : {1, 2, 17, 64, 65, 150}) {
        for (const bool rotary : {false, true}) {
          if (rotary && channels % 2 == 1) continue;
          INFO(k->name << ", " << tokens << " tokens, " << channels << " channels, rotary " << rotary);
          Head<float> head(tokens, channels, rotary);
          head.run(*k, k->causal_attention, k->causal_attention_backward);
          const auto wanted = head.expected();
          CHECK(relative_error(head.y.select(1, 0), wanted.y) < 5e-6);
          CHECK(relative_error(head.log_sums, wanted.log_sums) < 5e-6);
          CHECK(relative_error(head.dqkv.select(2, 0), wanted.dqkv) < 1e-5);
        }
      }
    }
  }
}

TEST_CASE("causal attention of bfloat16 is double precision's but for roundings", "[core][kernels]") {
  for (const Kernels* k : tables()) {
    for (const int64_t channels : {2, 7, 20, 64, 102}) {
      for (const int64_t tokens : {1, 2, 17, 64, 65, 150}) {
        for (const bool rotary : {false, true}) {
          if (rotary && channels % 2 == 1) continue;
          INFO(k->name << ", " << tokens << " tokens, " << channels << " channels, rotary " << rotary);
          Head<c10::BFloat16> head(tokens, channels, rotary);
          head.run(*k, k->causal_attention_16, k->causal_attention_backward_16);
          const auto wanted = head.expected();
          CHECK(relative_error(head.y.select(1, 0), wanted.y) < 4e-3);
          CHECK(relative_error(head.log_sums, wanted.log_sums) < 5e-6);
          CHECK(relative_error(head.dqkv.select(2, 0), wanted.dqkv) < 1e-2);
        }
      }
    }
  }
}

TEST_CASE("causal attention keeps NaN, and bears scores of any size", "[core][kernels]") {
  for (const Kernels* k : tables()) {
    CAPTURE(k->name);
    Head<float> odd(40, 8, /*rotary=*/false);
    odd.qkv[5][0][0][0] = std::numeric_limits<float>::quiet_NaN();  // of query 5
    odd.run(*k, k->causal_attention, k->causal_attention_backward);
    const Tensor nan = odd.y.select(1, 0).isnan().any(1);
    CHECK(nan[5].item<bool>());
    CHECK(nan.sum().item<int64_t>() == 1);
    CHECK(odd.dqkv.select(1, 2).select(1, 0).isnan().any(1).slice(0, 0, 6).all().item<bool>());  // of the values seen
    Head<c10::BFloat16> reduced(40, 8, /*rotary=*/false);
    reduced.qkv[5][0][0][0] = std::numeric_limits<float>::quiet_NaN();
    reduced.run(*k, k->causal_attention_16, k->causal_attention_backward_16);
    CHECK(reduced.y.select(1, 0).isnan().any(1).equal(nan));
    CHECK(reduced.dqkv.select(1, 2).select(1, 0).isnan().any(1).slice(0, 0, 6).all().item<bool>());
    Head<c10::BFloat16> unseen(40, 8, /*rotary=*/false);
    unseen.qkv[5][1][0][0] = std::numeric_limits<float>::quiet_NaN();  // of key 5, which later queries see
    unseen.run(*k, k->causal_attention_16, k->causal_attention_backward_16);
    CHECK(unseen.y.select(1, 0).isnan().any(1).equal(torch::arange(40) >= 5));
    Head<float> sharp(40, 8, /*rotary=*/false);
    sharp.qkv.select(1, 0).mul_(1e4F);
    sharp.run(*k, k->causal_attention, k->causal_attention_backward);
    CHECK(relative_error(sharp.y.select(1, 0), sharp.expected().y) < 1e-3);
    CHECK(sharp.dqkv.isfinite().all().item<bool>());
  }
}

}  // namespace genzoo
