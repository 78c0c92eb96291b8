#include <cmath>
#include <vector>

#include "core/error.h"
#include "models/decoding.h"
#include "tests/models/small_transformer.h"
#include "tests/support.h"

namespace genzoo {
namespace {

TEST_CASE("generation with cached keys and values equals generation without", "[models][transformer]") {
  for (const auto& [name, kind] : kinds_of_transformer()) {
    for (const int64_t context : {8, 5, 1}) {
      TransformerConfig config = kind;
      config.block_size = context;
      Transformer model = sharp_model(config);
      for (const int64_t prompt_size : {1, 6, 8, 13}) {
        for (const bool greedy : {false, true}) {
          CAPTURE(name, context, prompt_size, greedy);
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
  SelfAttention attention(AttentionConfig{.n_embd = 16, .n_head = 2, .n_kv_head = 2}, 0.5, init);
  attention->to(torch::kDouble);
  const torch::NoGradGuard no_grad;
  const Tensor x = init.normal({3, 8, 16}).to(torch::kDouble);
  const PositionTable positions = rotary_positions(8, 8, torch::kDouble);
  const Tensor whole = attention->forward(x, positions, {});
  LayerCache cache(3, 2, 8, 8, torch::kDouble);
  CHECK_THAT(attention->forward(x.slice(1, 0, 3), positions.slice(0, 3), {}, {.cache = &cache}),
             IsClose(whole.slice(1, 0, 3), 1e-12));
  for (int64_t t = 3; t < 8; ++t) {
    const Tensor one = attention->forward(x.slice(1, t, t + 1), positions.slice(t, 1), {}, {.cache = &cache});
    CHECK_THAT(one, IsClose(whole.slice(1, t, t + 1), 1e-12));
  }
  CHECK(cache.length == 8);
}

TEST_CASE("past the context, generation goes on from the later half of it", "[models][transformer]") {
  Transformer model = sharp_model(small_transformer());  // context 8
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
  Transformer model = sharp_model(small_transformer());
  check_own_streams(model, {.tokens = 20});
}

TEST_CASE("generated tokens have the model's frequencies", "[models][transformer]") {
  Transformer model = sharp_model(small_transformer(), text_spec(4));
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

TEST_CASE("rows of the embedding beyond the vocabulary are never generated", "[models][transformer]") {
  TransformerConfig config = small_transformer();
  config.vocab_size = kVocabulary + 5;
  Transformer model = sharp_model(config);
  const Tensor x = random_tokens({4, 3});
  CHECK(model->forward(x).size(2) == kVocabulary + 5);
  {
    // Even if they are by far the likeliest.
    const torch::NoGradGuard no_grad;
    Tensor rows = model->named_parameters()["token_embedding.weight"].narrow(0, kVocabulary, 5);
    rows.copy_(100 * rows);
  }
  for (const bool greedy : {false, true}) {
    GenerateOptions options;
    options.tokens = 20;
    options.greedy = greedy;
    Rng rng = draws();
    CHECK(model->generate(x, options, rng).max().item<int64_t>() < kVocabulary);
  }
  config.vocab_size = kVocabulary - 1;
  Rng init = draws();
  CHECK_THROWS_WITH(Transformer(config, text_spec(), init), Catch::Matchers::Contains("at least 11"));
}

TEST_CASE("generation refuses what cannot be", "[models][transformer]") {
  Transformer model = sharp_model(small_transformer());
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

TEST_CASE("prompts of unequal length are continued as each is alone", "[models][transformer]") {
  const std::vector<int64_t> lengths = {5, 2, 4};
  for (const auto& [name, kind] : kinds_of_transformer()) {
    TransformerConfig config = kind;
    config.block_size = 12;
    Transformer model = sharp_model(config);
    const Tensor prompts = random_tokens({3, 5});
    for (const int64_t tokens : {7, 20}) {  // within the context, and beyond it
      for (const bool cache : {true, false}) {
        CAPTURE(name, tokens, cache);
        GenerateOptions options{.tokens = tokens, .prompt_lengths = lengths, .cache = cache};
        Rng rng = Rng::for_rows(7, Purpose::sample, 0, 3);
        const Tensor texts = model->generate(prompts, options, rng);
        options.prompt_lengths.clear();
        for (int64_t i = 0; i < 3; ++i) {
          Rng one = Rng::for_rows(7, Purpose::sample, static_cast<uint64_t>(i), 1);
          const int64_t begin = 5 - lengths[static_cast<size_t>(i)];
          const Tensor alone = model->generate(prompts.narrow(0, i, 1).slice(1, begin), options, one);
          CHECK(texts[i].slice(0, begin).equal(alone[0]));
        }
      }
    }
  }
}

TEST_CASE("prompts of unequal length are continued together with weights in fewer bits", "[models][transformer]") {
  TransformerConfig config = small_transformer(RotaryPositions{});
  config.n_head = 4;
  config.n_kv_head = 2;
  Rng init = draws();
  Transformer model(config, text_spec(), init);
  model->eval();
  const Tensor prompts = random_tokens({2, 3});
  GenerateOptions options{.tokens = 5, .greedy = true, .prompt_lengths = {3, 1}, .weight_type = WeightType::bfloat16};
  Rng rng = draws();
  const Tensor texts = model->generate(prompts, options, rng);
  options.prompt_lengths.clear();
  CHECK(texts[0].equal(model->generate(prompts.narrow(0, 0, 1), options, rng)[0]));
  CHECK(texts[1].slice(0, 2).equal(model->generate(prompts.narrow(0, 1, 1).slice(1, 2), options, rng)[0]));
}

TEST_CASE("heads that share kept keys find their own", "[models][transformer]") {
  TransformerConfig config = small_transformer(RotaryPositions{});
  config.n_head = 4;
  config.n_kv_head = 2;
  config.block_size = 32;
  Rng init = draws();
  Transformer model(config, text_spec(), init);
  {
    const torch::NoGradGuard no_grad;
    for (Tensor& p : model->parameters()) {
      if (p.dim() == 2) p.mul_(10);
    }
  }
  model->eval();
  Rng rng = draws();
  const auto text = [&](bool cache) {
    return model->generate(random_tokens({2, 3}),
                           {.tokens = 24, .greedy = true, .cache = cache, .weight_type = WeightType::bfloat16}, rng);
  };
  CHECK(text(true).equal(text(false)));
}

TEST_CASE("a repetition penalty lowers the logits of what stands in the text", "[models][transformer]") {
  const Tensor logits = torch::tensor({{2.0F, -2.0F, 1.0F, -1.0F}, {2.0F, -2.0F, 1.0F, -1.0F}});
  const Tensor texts = torch::tensor({{3, 0, 0}, {3, 1, 1}});
  CHECK(penalize_repetition(logits, texts, {}, 2)
            .equal(torch::tensor({{1.0F, -2.0F, 1.0F, -2.0F}, {2.0F, -4.0F, 1.0F, -2.0F}})));
  // What stands before a text is no part of it.
  CHECK(penalize_repetition(logits, texts, torch::tensor({1, 3}), 2)
            .equal(torch::tensor({{1.0F, -2.0F, 1.0F, -1.0F}, {2.0F, -2.0F, 1.0F, -1.0F}})));
  CHECK(penalize_repetition(logits, texts, {}, 1).equal(logits));

  // While text is generated, all that stands there counts.
  Transformer model = sharp_model(small_transformer());
  Rng rng = draws();
  Tensor text = random_tokens({1, 2});
  const Tensor written = model->generate(text, {.tokens = 6, .greedy = true, .repetition_penalty = 5}, rng);
  const Tensor plain = model->generate(text, {.tokens = 6, .greedy = true}, rng);
  const torch::NoGradGuard no_grad;
  while (text.size(1) < 8) {
    const Tensor next = penalize_repetition(model->forward(text).select(1, -1), text, {}, 5).argmax(1, true);
    text = torch::cat({text, next}, 1);
  }
  CHECK(written.equal(text));
  CHECK_FALSE(written.equal(plain));
}

TEST_CASE("a text ends when nobody wants it to go on", "[models][transformer]") {
  Transformer model = sharp_model(small_transformer());
  const Tensor prompt = random_tokens({2, 3});
  Rng all_rng = Rng::for_rows(7, Purpose::sample, 0, 2), rng = Rng::for_rows(7, Purpose::sample, 0, 2);
  const Tensor all = model->generate(prompt, {.tokens = 10}, all_rng);
  std::vector<std::vector<int64_t>> told(2);
  GenerateOptions options{.tokens = 10};
  options.goes_on = [&](int64_t row, int64_t token) {
    told[static_cast<size_t>(row)].push_back(token);
    return told[static_cast<size_t>(row)].size() < (row == 0 ? 2U : 6U);
  };
  const Tensor texts = model->generate(prompt, options, rng);
  REQUIRE(texts.sizes() == at::IntArrayRef({2, 9}));
  CHECK(texts[1].equal(all[1].narrow(0, 0, 9)));
  CHECK(texts[0].narrow(0, 0, 5).equal(all[0].narrow(0, 0, 5)));
  CHECK(texts[0].slice(0, 5).eq(texts[0][4]).all().item<bool>());
  REQUIRE(told[0].size() == 2);
  REQUIRE(told[1].size() == 6);
  CHECK(told[1][5] == texts[1][8].item<int64_t>());
}

TEST_CASE("prompt lengths and penalties that cannot be are refused", "[models][transformer]") {
  Transformer model = sharp_model(small_transformer());
  Rng rng = draws();
  const auto refused = [&](const GenerateOptions& options, const char* why) {
    CHECK_THROWS_WITH(model->generate(random_tokens({2, 3}), options, rng), Catch::Matchers::Contains(why));
  };
  refused({.prompt_lengths = {3}}, "1 prompt lengths for 2 prompts");
  refused({.prompt_lengths = {3, 4}}, "a prompt of 4 tokens");
  refused({.prompt_lengths = {3, 0}}, "a prompt of 0 tokens");
  refused({.repetition_penalty = 0}, "repetition_penalty 0 must be positive");
  refused({.repetition_penalty = 1.2, .draft = {.model = model.ptr()}}, "with a draft");
}

}  // namespace
}  // namespace genzoo
