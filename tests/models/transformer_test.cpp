#include "models/transformer/transformer.h"

#include <cmath>
#include <string>
#include <vector>

#include "core/error.h"
#include "tests/models/small_transformer.h"
#include "tests/support.h"

namespace genzoo {
namespace {

int64_t count_parameters(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const Tensor& p : module.parameters()) count += p.numel();
  return count;
}

Transformer nanogpt(int64_t layers, int64_t heads, int64_t width, int64_t context) {
  Rng init = Rng::for_batch(0, Purpose::initialization, 0);
  const TransformerConfig config{
      .n_layer = layers, .n_head = heads, .n_embd = width, .block_size = context, .bias = false};
  return Transformer(config, text_spec(65), init);
}

// --- Architecture --------------------------------------------------------------------------------------------------

TEST_CASE("a transformer has as many parameters as nanoGPT's of the same shape", "[models][transformer]") {
  CHECK(count_parameters(*nanogpt(4, 4, 128, 64)) == 804'096);
  CHECK(count_parameters(*nanogpt(6, 6, 384, 256)) == 10'745'088);
}

TEST_CASE("a fresh transformer predicts all tokens alike", "[models][transformer]") {
  Transformer model = nanogpt(4, 4, 128, 64);
  Rng rng = draws();
  const Batch batch{random_tokens({4, 64}, 65), random_tokens({4, 64}, 65).flip(1)};
  CHECK(model->loss(batch, rng, 0).total.item<double>() == Approx(std::log(65.0)).margin(0.05));
}

TEST_CASE("a transformer is initialized as GPT-2", "[models][transformer]") {
  Transformer model = nanogpt(4, 4, 128, 64);
  for (const auto& item : model->named_parameters()) {
    INFO(item.key());
    if (item.value().dim() == 1) {
      CHECK(item.value().eq(1).all().item<bool>());
      continue;
    }
    const bool residual =
        item.key().find("projection") != std::string::npos || item.key().find("mlp_out") != std::string::npos;
    CHECK(item.value().std().item<double>() == Approx(residual ? 0.02 / std::sqrt(8.0) : 0.02).epsilon(0.05));
    CHECK(std::abs(item.value().mean().item<double>()) < 0.002);
  }
  Rng init = draws();
  CHECK(gpt2_linear(3, 5, /*with_bias=*/true, 0.02, init)->bias.eq(0).all().item<bool>());
}

TEST_CASE("a transformer is causal", "[models][transformer]") {
  for (const auto& [name, kind] : kinds_of_transformer()) {
    DYNAMIC_SECTION(name) {
      Transformer model = sharp_model(kind);
      const torch::NoGradGuard no_grad;
      const Tensor x = random_tokens({2, 8});
      const Tensor before = model->forward(x);
      for (int64_t t = 0; t < 8; ++t) {
        Tensor changed = x.clone();
        changed.select(1, t).add_(1).remainder_(kVocabulary);
        const Tensor difference = (model->forward(changed) - before).abs().amax(-1);  // (B, T)
        CAPTURE(t);
        if (t > 0) CHECK(difference.slice(1, 0, t).max().item<double>() == 0);
        CHECK(difference.slice(1, t, 8).min().item<double>() > 1e-9);  // and what it may see, it sees
      }
    }
  }
}

TEST_CASE("the order of tokens matters under every kind of positions", "[models][transformer]") {
  for (const auto& [name, kind] : kinds_of_transformer()) {
    CAPTURE(name);
    TransformerConfig config = kind;
    config.n_layer = 1;  // a second layer would tell the order even without positions: the causal mask does
    Transformer model = sharp_model(config);
    const torch::NoGradGuard no_grad;
    const Tensor there = model->forward(torch::tensor({{1, 2, 3, 4}})).select(1, -1);
    const Tensor back = model->forward(torch::tensor({{3, 2, 1, 4}})).select(1, -1);
    CHECK((there - back).abs().max().item<double>() > 1e-3);
  }
}

TEST_CASE("tied embeddings are one tensor that learns from both of its uses", "[models][transformer]") {
  TransformerConfig config = small_transformer();
  Transformer tied = sharp_model(config);
  config.tie_weights = false;
  Transformer untied = sharp_model(config);
  CHECK(count_parameters(*untied) == count_parameters(*tied) + kVocabulary * config.n_embd);
  CHECK(tied->named_parameters().size() + 1 == untied->named_parameters().size());
  {
    const torch::NoGradGuard no_grad;
    auto target = untied->named_parameters();
    for (const auto& item : tied->named_parameters()) target[item.key()].copy_(item.value());
    target["head.weight"].copy_(tied->named_parameters()["token_embedding.weight"]);
  }
  Rng rng = draws();
  const Batch batch{random_tokens({2, 8}), random_tokens({2, 8}).flip(1)};
  const Tensor a = tied->loss(batch, rng, 0).total, b = untied->loss(batch, rng, 0).total;
  a.backward();
  b.backward();
  CHECK_THAT(a, IsClose(b, 1e-12));
  const auto grads = untied->named_parameters();
  CHECK_THAT(tied->named_parameters()["token_embedding.weight"].grad(),
             IsClose(grads["token_embedding.weight"].grad() + grads["head.weight"].grad(), 1e-12));
}

TEST_CASE("gradients reach every parameter of a transformer", "[models][transformer]") {
  for (const auto& [name, kind] : kinds_of_transformer()) {
    for (const bool plain : {false, true}) {
      TransformerConfig config = kind;
      config.bias = config.tie_weights = !plain;
      config.dropout = plain ? 0.1 : 0.0;
      Transformer model = sharp_model(config);
      Rng rng = draws();
      model->loss({random_tokens({8, 8}), random_tokens({8, 8}).flip(1)}, rng, 0).total.backward();
      for (const auto& item : model->named_parameters()) {
        INFO(name << ", " << item.key());
        REQUIRE(item.value().grad().defined());
        CHECK(item.value().grad().abs().max().item<double>() > 1e-9);
      }
    }
  }
}

TEST_CASE("a transformer refuses what it cannot model", "[models][transformer]") {
  Rng init = draws();
  DataSpec images;
  images.dataset = "fashion_mnist";
  images.kind = DataKind::images;
  images.shape = {1, 28, 28};
  CHECK_THROWS_AS(TransformerImpl(small_transformer(), images, init), UsageError);
  Transformer model = sharp_model(small_transformer());
  CHECK_THROWS_AS(model->forward(random_tokens({1, 9})), UsageError);
}

// --- Likelihood ----------------------------------------------------------------------------------------------------

TEST_CASE("a transformer's probabilities of all texts sum to one", "[models][transformer]") {
  for (const auto& [name, kind] : kinds_of_transformer()) {
    Transformer model = sharp_model(kind, text_spec(4));
    const torch::NoGradGuard no_grad;
    const Tensor v = torch::arange(4);
    const Tensor texts = torch::cartesian_prod({v, v, v});                           // all 64 of three tokens
    const Tensor x = torch::cat({torch::full({64, 1}, 2, torch::kLong), texts}, 1);  // after a given first one
    Rng rng = draws();
    const Tensor log_p = model->log_prob(x, 1, rng);
    CHECK(log_p.sizes() == at::IntArrayRef({64}));
    CHECK(log_p.exp().sum().item<double>() == Approx(1.0).epsilon(1e-12));
    CHECK(log_p.std().item<double>() > 0.1);  // and they differ
  }
}

TEST_CASE("loss, token_log_prob and log_prob are one likelihood", "[models][transformer]") {
  TransformerConfig config = small_transformer();
  config.dropout = 0.5;
  Transformer model = sharp_model(config);
  Rng rng = draws();
  const Tensor text = random_tokens({3, 9});
  const Tensor x = text.slice(1, 0, 8), y = text.slice(1, 1, 9);
  const Tensor per_token = model->token_log_prob(x, y);
  CHECK(per_token.sizes() == at::IntArrayRef({3, 8}));
  CHECK_THAT(per_token, IsClose(model->forward(x).log_softmax(-1).gather(-1, y.unsqueeze(-1)).squeeze(-1), 1e-12));
  CHECK_THAT(model->log_prob(text, 1, rng), IsClose(per_token.sum(1), 1e-12));
  CHECK_THAT(model->log_prob(text.slice(1, 0, 1), 1, rng), IsClose(torch::zeros({3})));
  model->eval();
  CHECK_THAT(model->loss({x, y}, rng, 0).total, IsClose(-per_token.mean(), 1e-12));
}

// --- Positions -----------------------------------------------------------------------------------------------------

TEST_CASE("sinusoidal positions are the paper's", "[models][transformer]") {
  const Tensor table = sinusoidal_positions(20, 6, torch::kDouble);
  REQUIRE(table.sizes() == at::IntArrayRef({20, 6}));
  for (const int64_t t : {0, 1, 7, 19}) {
    for (int64_t i = 0; i < 3; ++i) {
      const double angle = static_cast<double>(t) / std::pow(10000.0, 2.0 * static_cast<double>(i) / 6.0);
      CHECK(table[t][2 * i].item<double>() == Approx(std::sin(angle)).margin(1e-12));
      CHECK(table[t][2 * i + 1].item<double>() == Approx(std::cos(angle)).margin(1e-12));
    }
  }
}

TEST_CASE("rotary scores depend on the distance of two tokens only", "[models][transformer]") {
  const int64_t T = 12, D = 8;
  Rng rng = draws();
  const PositionTable positions = rotary_positions(T, D, torch::kDouble);
  // The same query and the same key at every position.
  const Tensor q = rng.normal({1, 1, 1, D}).to(torch::kDouble).expand({1, T, 1, D});
  const Tensor k = rng.normal({1, 1, 1, D}).to(torch::kDouble).expand({1, T, 1, D});
  const Tensor turned_q = rotate(q, positions).view({T, D}), turned_k = rotate(k, positions).view({T, D});
  const Tensor scores = turned_q.matmul(turned_k.t());  // (T, T)
  for (int64_t distance = 0; distance < T; ++distance) {
    const Tensor diagonal = scores.diagonal(-distance);
    CHECK_THAT(diagonal, IsClose(diagonal[0].expand_as(diagonal), 1e-12));
  }
  CHECK((scores[1][0] - scores[2][0]).abs().item<double>() > 1e-3);  // on which they do depend
  CHECK_THAT(turned_q.norm(2, 1), IsClose(q.view({T, D}).norm(2, 1), 1e-12));
  CHECK_THAT(turned_q[0], IsClose(q[0][0][0], 0));
  // Pair (i, i + D / 2) turns by t / 10000^(2i / D): a quarter of a turn takes (1, 0) to (0, 1).
  const Tensor unit = rotate(torch::eye(D, torch::kDouble)[1].expand({1, T, 1, D}), positions).view({T, D});
  CHECK(unit[5][1].item<double>() == Approx(std::cos(5 / std::pow(10000.0, 0.25))));
  CHECK(unit[5][5].item<double>() == Approx(std::sin(5 / std::pow(10000.0, 0.25))));
}

TEST_CASE("of a head's channels the share that is rotary is turned, as if the head had no others",
          "[models][transformer]") {
  const int64_t T = 9, D = 8;
  const PositionTable part = rotary_positions(T, D, torch::kDouble, {.theta = 100, .share = 0.5});
  const PositionTable whole = rotary_positions(T, D / 2, torch::kDouble, {.theta = 100});
  const Tensor x = draws().normal({1, T, 1, D}).to(torch::kDouble);
  const Tensor y = rotate(x, part);
  const Tensor turned = torch::tensor({0, 1, 4, 5}), still = torch::tensor({2, 3, 6, 7});
  CHECK_THAT(y.index_select(3, turned), IsClose(rotate(x.index_select(3, turned), whole), 1e-15));
  CHECK(y.index_select(3, still).equal(x.index_select(3, still)));
}

TEST_CASE("angles are stretched for a longer context as it is asked", "[models][transformer]") {
  const int64_t T = 40, D = 8;
  const auto angle = [&](const RotaryPositions& config) {
    const PositionTable table = rotary_positions(T, D, torch::kDouble, config);
    return at::atan2(table.sin, table.cos)[1].squeeze(0);  // of position 1, (D / 2)
  };
  const Tensor plain = angle({});
  CHECK_THAT(angle({.scaling = LinearAngles{.factor = 4}}), IsClose(plain / 4, 1e-15));
  // Waves of 6.3, 63, 628 and 6283 tokens; in a context of 256 they fit 41, 4.1, 0.41 and 0.04 times.
  const Tensor stretched = angle({.scaling = Llama3Angles{.factor = 8, .trained_context = 256}});
  const Tensor wanted = plain * torch::tensor({1.0, 1.0, 1.0 / 8, 1.0 / 8}, torch::kDouble);
  CHECK_THAT(stretched, IsClose(wanted, 1e-15));
  const double between = angle({.scaling = Llama3Angles{.factor = 8, .trained_context = 128}})[1].item<double>();
  const double kept = (128 / (20 * M_PI) - 1) / 3;  // a wave that fits 2.04 times
  CHECK(between == Approx(0.1 * (kept + (1 - kept) / 8)));
}

TEST_CASE("ALiBi's slopes are the paper's", "[models][transformer]") {
  const auto slopes = [](int64_t heads) { return alibi_positions(heads, torch::kDouble).slopes; };
  CHECK(slopes(8).equal(at::exp2(-at::arange(1, 9, torch::kDouble))));
  CHECK(slopes(16)[0].item<double>() == Approx(std::sqrt(0.5)));
  // Twelve heads: those of eight, and every other one of sixteen.
  CHECK_THAT(
      slopes(12),
      IsClose(at::exp2(-torch::tensor({1., 2., 3., 4., 5., 6., 7., 8., .5, 1.5, 2.5, 3.5}, at::kDouble)), 1e-15));
}

TEST_CASE("ALiBi lowers a score by slope times distance, and nothing else", "[models][transformer]") {
  const Tensor q = draws().normal({1, 2, 3, 4}).to(torch::kDouble),
               k = draws(5).normal({1, 2, 5, 4}).to(torch::kDouble);
  const Tensor slopes = torch::tensor({0.5, 0.25}, torch::kDouble);
  Tensor scores = q.matmul(k.transpose(2, 3)) / 2;
  for (int64_t h = 0; h < 2; ++h) {
    for (int64_t t = 0; t < 3; ++t) {
      for (int64_t s = 0; s < 5; ++s) {
        if (s > t + 2)
          scores[0][h][t][s].fill_(-INFINITY);
        else
          scores[0][h][t][s] -= slopes[h] * (t + 2 - s);
      }
    }
  }
  const Tensor wanted = scores.softmax(-1);
  CHECK_THAT(attention_weights(q, k, {.slopes = slopes}), IsClose(wanted, 1e-12));
  const Tensor v = draws(6).normal({1, 2, 5, 4}).to(torch::kDouble);
  CHECK_THAT(attend(q, k, v, {.slopes = slopes}, {}), IsClose(wanted.matmul(v), 1e-12));
}

// --- Heads ----------------------------------------------------------------------------------------------------------

TEST_CASE("heads that share keys and values are heads with copies of them", "[models][transformer]") {
  const Tensor q = draws().normal({2, 6, 5, 4}).to(torch::kDouble);
  const Tensor k = draws(5).normal({2, 2, 5, 4}).to(torch::kDouble),
               v = draws(6).normal({2, 2, 5, 4}).to(torch::kDouble);
  const auto copies = [](const Tensor& t) { return t.index_select(1, torch::tensor({0, 0, 0, 1, 1, 1})); };
  Rng rng = draws();
  for (const Sight& sight : {Sight{}, Sight{.causal = false}}) {
    const Tensor wanted = attend(q, copies(k), copies(v), sight, {});
    CHECK_THAT(attend(q, k, v, sight, {}), IsClose(wanted, 1e-12));
    CHECK_THAT(attend_by_steps(q, k, v, sight, {}), IsClose(wanted, 1e-12));
  }
  // Of the last token alone, as while text is generated.
  const Tensor last = q.slice(2, 4);
  CHECK_THAT(attend(last, k, v, {.causal = false}, {}), IsClose(attend(q, k, v, {}, {}).slice(2, 4), 1e-12));
}

TEST_CASE("a parallel block reads one stream twice", "[models][transformer]") {
  TransformerConfig config = small_transformer();
  config.n_layer = 1;
  Transformer serial = sharp_model(config);
  config.residual = Residual::parallel;
  Transformer parallel = sharp_model(config);
  const torch::NoGradGuard no_grad;
  const Tensor x = random_tokens({2, 8});
  CHECK((serial->forward(x) - parallel->forward(x)).abs().max().item<double>() > 1e-3);
  // Attention that adds nothing leaves the MLP the same input in both.
  for (auto* model : {&serial, &parallel}) {
    auto weights = (*model)->named_parameters();
    weights["blocks.0.attention.projection.weight"].zero_();
    weights["blocks.0.attention.projection.bias"].zero_();
  }
  CHECK_THAT(serial->forward(x), IsClose(parallel->forward(x), 1e-12));
}

TEST_CASE("RMS normalization divides by the root of the mean of squares", "[models][transformer]") {
  RMSNorm norm(3, 1e-6);
  const Tensor y = norm->forward(torch::tensor({{1.0F, 2.0F, 2.0F}}));
  CHECK_THAT(y, IsClose(torch::tensor({{1.0F, 2.0F, 2.0F}}) / std::sqrt(3.0 + 1e-6), 1e-6));
  const NormalizedSum both = norm->after_sum(torch::ones({1, 3}), torch::tensor({{0.0F, 1.0F, 1.0F}}));
  CHECK_THAT(both.normalized, IsClose(y, 1e-6));
  CHECK(both.sum.equal(torch::tensor({{1.0F, 2.0F, 2.0F}})));
}

// --- Dropout -------------------------------------------------------------------------------------------------------

TEST_CASE("attention written out equals LibTorch's", "[models][transformer]") {
  Rng rng = draws();
  const Tensor q = rng.normal({2, 3, 7, 4}).to(torch::kDouble), k = rng.normal({2, 3, 7, 4}).to(torch::kDouble);
  const Tensor v = rng.normal({2, 3, 7, 4}).to(torch::kDouble);
  // Too rare to hit any of the 294 weights, but it takes the path that draws.
  const Dropout almost_none{1e-12, &rng};
  REQUIRE(almost_none.active());
  CHECK_THAT(attend(q, k, v, {.causal = true}, almost_none), IsClose(attend(q, k, v, {.causal = true}, {}), 1e-6));
  CHECK_THAT(attend(q, k, v, {.causal = false}, almost_none), IsClose(attend(q, k, v, {.causal = false}, {}), 1e-6));
  CHECK((attend(q, k, v, {.causal = false}, {}) - attend(q, k, v, {.causal = true}, {})).abs().max().item<double>() >
        0.1);
}

TEST_CASE("attention with dropout has the mean of attention without", "[models][transformer]") {
  Rng rng = draws();
  const Tensor q = rng.normal({1, 2, 5, 4}), k = rng.normal({1, 2, 5, 4}), v = rng.normal({1, 2, 5, 4});
  const int64_t n = 20000;
  const auto many = [n](const Tensor& t) { return t.expand({n, -1, -1, -1}); };
  const Tensor y = attend(many(q), many(k), many(v), {.causal = true}, {0.3, &rng});
  const Tensor error = (y.mean(0, true) - attend(q, k, v, {.causal = true}, {})).abs();
  const Tensor stderr_of_mean = y.std(0, true, true) / std::sqrt(static_cast<double>(n));
  CHECK(stderr_of_mean.min().item<double>() > 0);
  CHECK((error / stderr_of_mean).max().item<double>() < 5);
}

TEST_CASE("a transformer's dropout is in training only, and from the stream it is given", "[models][transformer]") {
  TransformerConfig config = small_transformer();
  config.dropout = 0.2;
  Transformer model = sharp_model(config);
  const torch::NoGradGuard no_grad;
  const Batch batch{random_tokens({4, 8}), random_tokens({4, 8}).flip(1)};
  const auto loss = [&](uint64_t seed) {
    Rng rng = draws(seed);
    return model->loss(batch, rng, 0).total.item<double>();
  };
  const auto default_state = [] { return at::globalContext().defaultGenerator(torch::kCPU).get_state(); };
  const Tensor state = default_state();
  const double first = loss(1);
  CHECK(loss(1) == first);
  CHECK(loss(2) != first);
  const Tensor in_training = model->token_log_prob(batch.x, batch.y);
  model->eval();
  CHECK(loss(1) == loss(2));
  CHECK(loss(1) != first);
  CHECK_THAT(in_training, IsClose(model->token_log_prob(batch.x, batch.y), 0));
  CHECK(default_state().equal(state));
}

// --- Types ---------------------------------------------------------------------------------------------------------

TEST_CASE("a transformer in bfloat16 keeps its likelihood in float32", "[models][transformer]") {
  Transformer model = sharp_model(small_transformer(RotaryPositions{}));
  const torch::NoGradGuard no_grad;
  const Tensor x = random_tokens({2, 8});
  const Tensor exact = model->forward(x);
  model->to(torch::kBFloat16);
  const Tensor rounded = model->forward(x);
  CHECK(rounded.scalar_type() == torch::kFloat);
  CHECK((rounded - exact).abs().max().item<double>() < 0.1 * exact.abs().max().item<double>());
  Rng rng = draws();
  CHECK(model->generate(x, {.tokens = 12, .greedy = true}, rng).size(1) == 20);
  CHECK(attention_dtype(torch::kHalf, torch::kCPU) == torch::kFloat);
  CHECK(attention_dtype(torch::kBFloat16, torch::Device("cuda")) == torch::kBFloat16);
  CHECK(attention_dtype(torch::kDouble, torch::kCPU) == torch::kDouble);
}

}  // namespace
}  // namespace genzoo
