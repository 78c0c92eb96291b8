#include <ATen/Version.h>

#include <limits>

#include "core/random.h"
#include "tests/core/kernel_tables.h"

namespace genzoo {
namespace {

Rng stream(uint64_t seed) { return Rng::for_batch(seed, Purpose::synthetic_data, 0); }

constexpr int64_t kSizes[] = {0, 1, 7, 16, 33, 129, 5000};

}  // namespace

TEST_CASE("the kernels chosen are those LibTorch chose", "[core][kernels]") {
  const std::string capability = at::get_cpu_capability();
  INFO(capability);
  const std::string wanted = capability == "AVX512" ? "avx512" : capability == "AVX2" ? "avx2" : "plain";
  CHECK(kernels().name == wanted);
}

TEST_CASE("sums of every instruction set are those of double precision", "[core][kernels]") {
  for (const Kernels* k : tables()) {
    for (const int64_t n : kSizes) {
      INFO(k->name << " " << n);
      const Tensor x = stream(1).normal({n}), y = stream(2).normal({n});
      const Tensor wide = x.to(torch::kDouble);
      CHECK(k->sum_of_squares(x.const_data_ptr<float>(), n) ==
            Approx(wide.square().sum().item<double>()).epsilon(1e-6));
      CHECK(k->sum(x.const_data_ptr<float>(), n) == Approx(wide.sum().item<double>()).margin(1e-3));
      Tensor sum = x.clone();
      auto* values = sum.mutable_data_ptr<float>();
      k->add(values, values, y.const_data_ptr<float>(), n);
      CHECK(torch::equal(sum, x + y));
      k->add(values, x.const_data_ptr<float>(), x.const_data_ptr<float>(), n);
      CHECK(torch::equal(sum, x + x));
    }
  }
}

TEST_CASE("a product is added to what was there, or takes its place", "[core][kernels]") {
  for (const Kernels* k : tables()) {
    for (const int64_t columns : {1, 16, 37}) {
      INFO(k->name << " " << columns);
      const int64_t rows = 5;
      const Tensor z = stream(1).normal({rows, columns + 3}), part = z.narrow(1, 0, columns);
      const Tensor old = stream(2).normal({rows, columns + 1});
      const auto combined = [&](const Tensor& from, float alpha, float beta) {
        Tensor y = from.clone();
        k->combine(y.mutable_data_ptr<float>(), columns + 1, z.const_data_ptr<float>(), columns + 3, alpha, beta, rows,
                   columns);
        CHECK(y.select(1, columns).equal(from.select(1, columns)));
        return y.narrow(1, 0, columns);
      };
      CHECK_THAT(combined(old, 0.5F, 2.0F), IsClose(0.5 * part + 2 * old.narrow(1, 0, columns), 1e-6));
      const Tensor nothing = torch::full_like(old, 7.0);
      nothing.narrow(1, 0, columns).fill_(std::numeric_limits<float>::quiet_NaN());
      CHECK(combined(nothing, 1.0F, 0.0F).equal(part));
    }
  }
}

TEST_CASE("a transpose is one, whatever the size", "[core][kernels]") {
  for (const Kernels* k : tables()) {
    for (const int64_t rows : {1, 16, 33, 130}) {
      for (const int64_t columns : {1, 15, 64, 100}) {
        INFO(k->name << " " << rows << " x " << columns);
        const Tensor w = stream(1).normal({rows, columns + 3}), out = torch::zeros({columns + 1, rows});
        k->transpose(w.const_data_ptr<float>(), columns + 3, rows, columns, out.mutable_data_ptr<float>());
        CHECK(out.narrow(0, 0, columns).equal(w.narrow(1, 0, columns).t()));
        CHECK(out.select(0, columns).equal(torch::zeros({rows})));
      }
    }
  }
}

TEST_CASE("Adam of every instruction set is LibTorch's", "[core][kernels]") {
  for (const Kernels* k : tables()) {
    for (const int64_t n : kSizes) {
      INFO(k->name << " " << n);
      const double scale = 0.3, lr = 1e-2, decay = 0.1;
      const float steps = 5;
      Tensor p = stream(1).normal({n}), m = 0.1 * stream(2).normal({n}), v = stream(3).uniform({n});
      Tensor p2 = p.clone(), m2 = m.clone(), v2 = v.clone();
      const Tensor g = stream(4).normal({n}), mean = stream(5).normal({n}), mean2 = mean.clone();
      k->adam(p.mutable_data_ptr<float>(), g.const_data_ptr<float>(), m.mutable_data_ptr<float>(),
              v.mutable_data_ptr<float>(), mean.mutable_data_ptr<float>(), n,
              {.lr = 1e-2F,
               .beta1 = 0.9F,
               .beta2 = 0.99F,
               .eps = 1e-8F,
               .weight_decay = 0.1F,
               .bias_correction1 = 1 - std::pow(0.9F, steps),
               .bias_correction2 = 1 - std::pow(0.99F, steps),
               .gradient_scale = 0.3F,
               .average_weight = 0.2F});
      at::_fused_adamw_({p2}, {g * scale}, {m2}, {v2}, {}, {torch::tensor(steps)}, lr, 0.9, 0.99, decay, 1e-8,
                        /*amsgrad=*/false, /*maximize=*/false);
      CHECK_THAT(p, IsClose(p2, 1e-6));
      CHECK_THAT(m, IsClose(m2, 1e-6));
      CHECK_THAT(v, IsClose(v2, 1e-6));
      CHECK_THAT(mean, IsClose(mean2.lerp(p, 0.2), 1e-6));
    }
  }
}

TEST_CASE("activations of every instruction set, whole and in parts, are LibTorch's", "[core][kernels]") {
  for (const Kernels* k : tables()) {
    for (const int64_t columns : {1, 16, 37}) {
      INFO(k->name << " " << columns);
      const int64_t rows = 9, left = columns / 2;
      const Tensor z = 3 * stream(1).normal({rows, columns}), b = stream(2).normal({columns});
      const Tensor dy = stream(3).normal({rows, columns});
      const auto in_parts = [&](const auto& f) {  // as two threads would
        f(0, left);
        f(left, columns - left);
      };
      Tensor x = (z + b).requires_grad_();

      Tensor y = z.clone(), dz = torch::empty_like(z), db = torch::ones({columns});
      in_parts([&](int64_t at, int64_t n) {
        auto* part = y.mutable_data_ptr<float>() + at;
        k->bias_relu(part, columns, part, columns, b.const_data_ptr<float>() + at, rows, n);
      });
      CHECK(torch::equal(y, x.detach().relu()));
      in_parts([&](int64_t at, int64_t n) {
        k->relu_backward(dz.mutable_data_ptr<float>() + at, dy.const_data_ptr<float>() + at,
                         y.const_data_ptr<float>() + at, db.mutable_data_ptr<float>() + at, columns, rows, n);
      });
      CHECK(torch::equal(dz, torch::autograd::grad({x.relu()}, {x}, {dy})[0]));
      CHECK_THAT(db, IsClose(1 + dz.sum(0), 1e-5));

      Tensor g = z.clone(), slope = torch::empty_like(z);
      db = torch::ones({columns});
      in_parts([&](int64_t at, int64_t n) {
        k->bias_gelu(g.mutable_data_ptr<float>() + at, slope.mutable_data_ptr<float>() + at, columns,
                     z.const_data_ptr<float>() + at, columns, b.const_data_ptr<float>() + at, rows, n);
      });
      CHECK_THAT(g, IsClose(at::gelu(x.detach(), "tanh"), 3e-6));
      in_parts([&](int64_t at, int64_t n) {
        k->slope_backward(dz.mutable_data_ptr<float>() + at, dy.const_data_ptr<float>() + at,
                          slope.const_data_ptr<float>() + at, db.mutable_data_ptr<float>() + at, columns, rows, n);
      });
      CHECK_THAT(dz, IsClose(torch::autograd::grad({at::gelu(x, "tanh")}, {x}, {dy})[0], 1e-5));
      CHECK_THAT(db, IsClose(1 + dz.sum(0), 1e-5));
    }
  }
}

TEST_CASE("GELU is zero, and not NaN, far below zero, and the identity far above", "[core][kernels]") {
  for (const Kernels* k : tables()) {
    INFO(k->name);
    Tensor z = torch::tensor({-1e4F, -50.0F, 0.0F, 50.0F, 1e4F}), slope = torch::empty({5});
    auto* values = z.mutable_data_ptr<float>();
    k->bias_gelu(values, slope.mutable_data_ptr<float>(), 5, values, 5, nullptr, 1, 5);
    CHECK_THAT(z, IsClose(torch::tensor({0.0F, 0.0F, 0.0F, 50.0F, 1e4F}), 1e-6));
    CHECK_THAT(slope, IsClose(torch::tensor({0.0F, 0.0F, 0.5F, 1.0F, 1.0F}), 1e-6));
  }
}

TEST_CASE("products of few rows with weights, reduced or not, of every instruction set are those of double precision",
          "[core][kernels]") {
  constexpr double kRounding = 0x1p-24;  // of one float32 operation
  for (const Kernels* k : tables()) {
    for (const int64_t inputs : {1, 31, 32, 100, 768}) {
      for (const int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 19}) {
        CAPTURE(k->name, inputs, rows);
        const int64_t outputs = 21;
        const Tensor x = stream(1).normal({rows, inputs}), bias = stream(2).normal({outputs});
        const Tensor halves = stream(3).normal({outputs, inputs}).to(torch::kBFloat16);
        const Tensor bytes = (stream(4).integers(255, {outputs, inputs}) - 127).to(torch::kChar);
        const Tensor scale = stream(5).uniform({outputs}) + 0.1;
        const auto in_parts = [&](const auto& f) {  // as two threads would: f(y, first output, outputs)
          Tensor parts = torch::full({rows, outputs}, 7.0F), whole = torch::full({rows, outputs}, 7.0F);
          f(parts, 0, 8);
          f(parts, 8, outputs - 8);
          f(whole, 0, outputs);
          CHECK(parts.equal(whole));
          return whole;
        };
        const auto product = [&](const Tensor& y, int64_t first, int64_t count) {
          return FewRows{x.const_data_ptr<float>(),           rows,    inputs,
                         y.mutable_data_ptr<float>() + first, outputs, count,
                         bias.const_data_ptr<float>() + first};
        };
        const auto is_near = [&](const Tensor& y, const Tensor& weight) {
          const Tensor w = weight.to(torch::kDouble), b = bias.to(torch::kDouble);
          const Tensor wide = x.to(torch::kDouble).matmul(w.t()) + b;
          const Tensor terms = x.to(torch::kDouble).abs().matmul(w.abs().t()) + b.abs();
          const double operations = static_cast<double>(inputs) + 2;
          return ((y - wide).abs() <= operations * kRounding * terms).all().item<bool>();
        };
        const Tensor floats = stream(6).normal({outputs, inputs});
        CHECK(is_near(in_parts([&](const Tensor& y, int64_t first, int64_t count) {
                        k->product_float32(floats.const_data_ptr<float>() + first * inputs, product(y, first, count));
                      }),
                      floats));
        CHECK(is_near(in_parts([&](const Tensor& y, int64_t first, int64_t count) {
                        k->product_bfloat16(static_cast<const uint16_t*>(halves.const_data_ptr()) + first * inputs,
                                            product(y, first, count));
                      }),
                      halves));
        CHECK(is_near(in_parts([&](const Tensor& y, int64_t first, int64_t count) {
                        k->product_int8(bytes.const_data_ptr<int8_t>() + first * inputs,
                                        scale.const_data_ptr<float>() + first, product(y, first, count));
                      }),
                      bytes.to(torch::kDouble) * scale.to(torch::kDouble).unsqueeze(1)));
      }
    }
  }
}

TEST_CASE("a row's product with reduced weights does not depend on the rows beside it", "[core][kernels]") {
  for (const Kernels* k : tables()) {
    INFO(k->name);
    const int64_t inputs = 100, outputs = 21, rows = 8;
    const Tensor x = stream(1).normal({rows, inputs});
    const Tensor weight = stream(3).normal({outputs, inputs}).to(torch::kBFloat16);
    const auto product = [&](int64_t first, int64_t count) {
      Tensor y = torch::empty({count, outputs});
      k->product_bfloat16(static_cast<const uint16_t*>(weight.const_data_ptr()),
                          {x.const_data_ptr<float>() + first * inputs, count, inputs, y.mutable_data_ptr<float>(),
                           outputs, outputs, nullptr});
      return y;
    };
    const Tensor together = product(0, rows);
    for (int64_t r = 0; r < rows; ++r) CHECK(product(r, 1).equal(together.narrow(0, r, 1)));
  }
}

TEST_CASE("attention over kept keys and values of every instruction set is that of double precision",
          "[core][kernels]") {
  for (const Kernels* k : tables()) {
    for (const int64_t channels : {3, 16, 64, 100}) {
      for (const auto& [length, queries] : {std::pair<int64_t, int64_t>{1, 1}, {5, 5}, {40, 1}, {77, 4}}) {
        CAPTURE(k->name, channels, length, queries);
        const Tensor q = stream(1).normal({queries, 2 * channels});  // every other row is another head's
        const Tensor keys = stream(2).normal({length, channels}), values = stream(3).normal({length, channels});
        Tensor y = torch::full({queries, 2 * channels}, 7.0F);
        std::vector<float> weights(static_cast<size_t>(length));
        const float scale = 0.7F;
        k->attend({.q = q.const_data_ptr<float>(),
                   .queries = queries,
                   .stride = 2 * channels,
                   .keys = keys.const_data_ptr<float>(),
                   .values = values.const_data_ptr<float>(),
                   .length = length,
                   .channels = channels,
                   .scale = scale,
                   .y = y.mutable_data_ptr<float>(),
                   .y_stride = 2 * channels,
                   .weights = weights.data()});
        const auto wide = [](const Tensor& t) { return t.to(torch::kDouble); };
        const Tensor scores = scale * wide(q.narrow(1, 0, channels)).matmul(wide(keys).t());
        const Tensor hidden = torch::ones({queries, length}, torch::kBool).tril(length - queries).logical_not();
        const Tensor expected = scores.masked_fill(hidden, -1e300).softmax(1).matmul(wide(values));
        CHECK_THAT(y.narrow(1, 0, channels), IsClose(expected.to(torch::kFloat), 1e-5));
        CHECK(y.narrow(1, channels, channels).eq(7).all().item<bool>());
      }
    }
  }
}

}  // namespace genzoo
