#include "models/transformer/transformer.h"

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/random.h"
#include "models/transformer/decoding.h"
#include "tests/support.h"

namespace genzoo {
namespace {

constexpr int64_t kVocabulary = 11;
constexpr std::array kPositionKinds = {Positions::learned, Positions::sinusoidal, Positions::rotary};

DataSpec text_spec(int64_t vocabulary = kVocabulary) {
  DataSpec spec;
  spec.dataset = "letters";
  spec.kind = DataKind::tokens;
  spec.vocabulary = vocabulary;
  spec.token_unit = "char";
  return spec;
}

TransformerConfig tiny(Positions positions = Positions::learned) {
  return {.n_layer = 2, .n_head = 2, .n_embd = 16, .block_size = 8, .positions = positions};
}

/// A model in double with weights ten times those of a fresh one, so that attention is far from uniform and mistakes
/// show.
Transformer sharp_model(const TransformerConfig& config, const DataSpec& spec = text_spec(), uint64_t seed = 1) {
  Rng init = Rng::for_batch(seed, Purpose::initialization, 0);
  Transformer model(config, spec, init);
  const torch::NoGradGuard no_grad;
  for (Tensor& p : model->parameters()) p.dim() == 2 ? p.mul_(10) : p.add_(init.normal(p.sizes()), 0.1);
  model->to(torch::kDouble);
  return model;
}

Rng draws(uint64_t seed = 2) { return Rng::for_batch(seed, Purpose::loss, 0); }

Tensor random_tokens(at::IntArrayRef size, int64_t vocabulary = kVocabulary) {
  return Rng::for_batch(3, Purpose::batch, 0).integers(vocabulary, size);
}

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
  for (const Positions kind : kPositionKinds) {
    DYNAMIC_SECTION(kPositionNames[static_cast<int>(kind)]) {
      Transformer model = sharp_model(tiny(kind));
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
  for (const Positions kind : kPositionKinds) {
    CAPTURE(kPositionNames[static_cast<int>(kind)]);
    TransformerConfig config = tiny(kind);
    config.n_layer = 1;  // a second layer would tell the order even without positions: the causal mask does
    Transformer model = sharp_model(config);
    const torch::NoGradGuard no_grad;
    const Tensor there = model->forward(torch::tensor({{1, 2, 3, 4}})).select(1, -1);
    const Tensor back = model->forward(torch::tensor({{3, 2, 1, 4}})).select(1, -1);
    CHECK((there - back).abs().max().item<double>() > 1e-3);
  }
}

TEST_CASE("tied embeddings are one tensor that learns from both of its uses", "[models][transformer]") {
  TransformerConfig config = tiny();
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
  for (const Positions kind : kPositionKinds) {
    for (const bool plain : {false, true}) {
      TransformerConfig config = tiny(kind);
      config.bias = config.tie_weights = !plain;
      config.dropout = plain ? 0.1 : 0.0;
      Transformer model = sharp_model(config);
      Rng rng = draws();
      model->loss({random_tokens({8, 8}), random_tokens({8, 8}).flip(1)}, rng, 0).total.backward();
      for (const auto& item : model->named_parameters()) {
        INFO(kPositionNames[static_cast<int>(kind)] << ", " << item.key());
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
  CHECK_THROWS_AS(TransformerImpl(tiny(), images, init), UsageError);
  Transformer model = sharp_model(tiny());
  CHECK_THROWS_AS(model->forward(random_tokens({1, 9})), UsageError);
}

// --- Likelihood ----------------------------------------------------------------------------------------------------

TEST_CASE("a transformer's probabilities of all texts sum to one", "[models][transformer]") {
  for (const Positions kind : kPositionKinds) {
    Transformer model = sharp_model(tiny(kind), text_spec(4));
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
  TransformerConfig config = tiny();
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

// --- Dropout -------------------------------------------------------------------------------------------------------

TEST_CASE("attention written out equals LibTorch's", "[models][transformer]") {
  Rng rng = draws();
  const Tensor q = rng.normal({2, 3, 7, 4}).to(torch::kDouble), k = rng.normal({2, 3, 7, 4}).to(torch::kDouble);
  const Tensor v = rng.normal({2, 3, 7, 4}).to(torch::kDouble);
  // Too rare to hit any of the 294 weights, but it takes the path that draws.
  const Dropout almost_none{1e-12, &rng};
  REQUIRE(almost_none.active());
  CHECK_THAT(attend(q, k, v, true, almost_none), IsClose(attend(q, k, v, true, {}), 1e-6));
  CHECK_THAT(attend(q, k, v, false, almost_none), IsClose(attend(q, k, v, false, {}), 1e-6));
  CHECK((attend(q, k, v, false, {}) - attend(q, k, v, true, {})).abs().max().item<double>() > 0.1);
}

TEST_CASE("attention with dropout has the mean of attention without", "[models][transformer]") {
  Rng rng = draws();
  const Tensor q = rng.normal({1, 2, 5, 4}), k = rng.normal({1, 2, 5, 4}), v = rng.normal({1, 2, 5, 4});
  const int64_t n = 20000;
  const auto many = [n](const Tensor& t) { return t.expand({n, -1, -1, -1}); };
  const Tensor y = attend(many(q), many(k), many(v), true, {0.3, &rng});
  const Tensor error = (y.mean(0, true) - attend(q, k, v, true, {})).abs();
  const Tensor stderr_of_mean = y.std(0, true, true) / std::sqrt(static_cast<double>(n));
  CHECK(stderr_of_mean.min().item<double>() > 0);
  CHECK((error / stderr_of_mean).max().item<double>() < 5);
}

TEST_CASE("a transformer's dropout is in training only, and from the stream it is given", "[models][transformer]") {
  TransformerConfig config = tiny();
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

// --- Generation ----------------------------------------------------------------------------------------------------

TEST_CASE("generation with cached keys and values equals generation without", "[models][transformer]") {
  for (const Positions kind : kPositionKinds) {
    for (const int64_t context : {8, 5, 1}) {
      TransformerConfig config = tiny(kind);
      config.block_size = context;
      Transformer model = sharp_model(config);
      for (const int64_t prompt_size : {1, 6, 8, 13}) {
        for (const bool greedy : {false, true}) {
          CAPTURE(kPositionNames[static_cast<int>(kind)], context, prompt_size, greedy);
          const Tensor prompt = random_tokens({3, prompt_size});
          Rng rng = draws(), same = draws();
          const Tensor cached = model->generate(prompt, {.tokens = 21, .greedy = greedy}, rng);
          const Tensor plain = model->generate(prompt, {.tokens = 21, .greedy = greedy, .cache = false}, same);
          CHECK(cached.sizes() == at::IntArrayRef({3, prompt_size + 21}));
          CHECK(cached.slice(1, 0, prompt_size).equal(prompt));
          CHECK(cached.equal(plain));
        }
      }
    }
  }
}

TEST_CASE("logits over cached keys and values are those over the whole text", "[models][transformer]") {
  Rng init = draws();
  CausalSelfAttention attention(16, 2, true, 0.5, init);
  attention->to(torch::kDouble);
  const torch::NoGradGuard no_grad;
  const Tensor x = init.normal({3, 8, 16}).to(torch::kDouble);
  const PositionTable positions = rotary_positions(8, 8, torch::kDouble);
  const Tensor whole = attention->forward(x, positions, {});
  LayerCache cache(3, 2, 8, 8, torch::kDouble);
  CHECK_THAT(attention->forward(x.slice(1, 0, 3), positions.slice(0, 3), {}, &cache),
             IsClose(whole.slice(1, 0, 3), 1e-12));
  for (int64_t t = 3; t < 8; ++t) {
    const Tensor one = attention->forward(x.slice(1, t, t + 1), positions.slice(t, 1), {}, &cache);
    CHECK_THAT(one, IsClose(whole.slice(1, t, t + 1), 1e-12));
  }
  CHECK(cache.length == 8);
}

TEST_CASE("past the context, generation goes on from the later half of it", "[models][transformer]") {
  Transformer model = sharp_model(tiny());  // context 8
  const Tensor prompt = random_tokens({2, 11});
  Rng rng = draws();
  const GenerateOptions options{.tokens = 7, .greedy = true};
  const Tensor text = model->generate(prompt, options, rng);
  const torch::NoGradGuard no_grad;
  // Windows by hand: 3 ... 10 is full; 3 ... 11 would be 9, so 8 ... 11, which grows to 8 ... 15; then 13 ... 16.
  const std::array<int64_t, 7> begin = {3, 8, 8, 8, 8, 8, 13};
  for (int64_t i = 0; i < 7; ++i) {
    const int64_t n = 11 + i;
    const Tensor next = model->forward(text.slice(1, begin[static_cast<size_t>(i)], n)).select(1, -1).argmax(1);
    CAPTURE(i);
    CHECK(text.select(1, n).equal(next));
  }
}

TEST_CASE("a generated text depends on its own stream only", "[models][transformer]") {
  Transformer model = sharp_model(tiny());
  const Tensor prompt = random_tokens({1, 3});
  const GenerateOptions options{.tokens = 20};
  Rng five = Rng::for_rows(7, Purpose::sample, 0, 5);
  const Tensor texts = model->generate(prompt.expand({5, -1}), options, five);
  for (int64_t i = 0; i < 5; ++i) {
    Rng one = Rng::for_rows(7, Purpose::sample, static_cast<uint64_t>(i), 1);
    CHECK(model->generate(prompt, options, one).equal(texts.slice(0, i, i + 1)));
  }
  CHECK_FALSE(texts[0].equal(texts[1]));
}

TEST_CASE("generated tokens have the model's frequencies", "[models][transformer]") {
  Transformer model = sharp_model(tiny(), text_spec(4));
  const int64_t n = 20000;
  const Tensor prompt = torch::tensor({{2, 1}});
  Rng rng = draws();
  const Tensor drawn = model->generate(prompt.expand({n, -1}), {.tokens = 1}, rng).select(1, 2);
  const torch::NoGradGuard no_grad;
  const Tensor p = model->forward(prompt).select(1, -1).softmax(-1)[0];
  const Tensor frequency = torch::one_hot(drawn, 4).to(torch::kDouble).mean(0);
  CHECK(((frequency - p).abs() / (p * (1 - p) / static_cast<double>(n)).sqrt()).max().item<double>() < 4.5);
}

TEST_CASE("temperature, top_k, top_p and greedy restrict the next token as defined", "[models][transformer]") {
  const Tensor p = torch::tensor({{0.1, 0.4, 0.05, 0.25, 0.2}}, torch::kDouble);
  const auto restricted = [&](const GenerateOptions& o) { return next_token_probabilities(p.log() + 3, o); };
  const auto is = [](std::vector<double> expected) {
    const Tensor e = torch::tensor(expected, torch::kDouble).unsqueeze(0);
    return IsClose(e / e.sum(), 1e-12);
  };
  CHECK_THAT(restricted({}), IsClose(p, 1e-12));
  CHECK_THAT(restricted({.top_k = 2}), is({0, 0.4, 0, 0.25, 0}));
  CHECK_THAT(restricted({.top_k = 5}), IsClose(p, 1e-12));
  CHECK_THAT(restricted({.top_p = 0.6}), is({0, 0.4, 0, 0.25, 0}));  // 0.4 is not enough, 0.65 is
  CHECK_THAT(restricted({.top_p = 0.7}), is({0, 0.4, 0, 0.25, 0.2}));
  CHECK_THAT(restricted({.top_p = 1e-9}), is({0, 1, 0, 0, 0}));             // never none
  CHECK_THAT(restricted({.top_k = 2, .top_p = 0.6}), is({0, 1, 0, 0, 0}));  // 0.4 of the 0.65 kept by top_k is 0.62
  CHECK_THAT(restricted({.temperature = 0.5}), is({0.01, 0.16, 0.0025, 0.0625, 0.04}));
  CHECK_THAT(restricted({.temperature = 1e-30}), is({0, 1, 0, 0, 0}));
  CHECK_THAT(restricted({.greedy = true}), is({0, 1, 0, 0, 0}));
  const Tensor ties = torch::zeros({2, 4});
  CHECK_THAT(next_token_probabilities(ties, {.top_k = 2}),
             IsClose(torch::tensor({{.5, .5, 0., 0.}, {.5, .5, 0., 0.}})));
}

TEST_CASE("generation refuses what cannot be", "[models][transformer]") {
  Transformer model = sharp_model(tiny());
  Rng rng = draws();
  const Tensor prompt = random_tokens({1, 3});
  CHECK_THROWS_AS(model->generate(prompt.slice(1, 0, 0), {}, rng), UsageError);
  CHECK_THROWS_AS(model->generate(torch::tensor({{kVocabulary}}), {}, rng), UsageError);
  CHECK_THROWS_AS(model->generate(prompt, {.temperature = 0}, rng), UsageError);
  CHECK_THROWS_AS(model->generate(prompt, {.top_k = -1}, rng), UsageError);
  CHECK_THROWS_AS(model->generate(prompt, {.top_p = 0}, rng), UsageError);
  CHECK_THROWS_AS(model->generate(prompt, {.tokens = -1}, rng), UsageError);
  CHECK(model->generate(prompt, {.tokens = 0}, rng).equal(prompt));
}

// --- Types ---------------------------------------------------------------------------------------------------------

TEST_CASE("a transformer in bfloat16 keeps its likelihood in float32", "[models][transformer]") {
  Transformer model = sharp_model(tiny(Positions::rotary));
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
