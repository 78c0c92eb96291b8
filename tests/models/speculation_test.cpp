// Speculative sampling: the text is the larger model's, whatever the draft.
#include <cmath>
#include <map>
#include <vector>

#include "core/error.h"
#include "models/decoding.h"
#include "tests/models/small_transformer.h"
#include "tests/support.h"

namespace genzoo {
namespace {

/// A smaller model that agrees with sharp_model() no more than by chance.
Transformer other_model(int64_t vocabulary = kVocabulary, int64_t context = 8) {
  TransformerConfig config = small_transformer(RotaryPositions{});
  config.n_layer = 1;
  config.n_embd = 8;
  config.block_size = context;
  return sharp_model(config, text_spec(vocabulary), /*seed=*/9);
}

/// Probability of each continuation of prompt (1, P) by `tokens` tokens, by the model itself.
std::map<std::vector<int64_t>, double> enumerate(Transformer& model, const Tensor& prompt,
                                                 const GenerateOptions& options, int64_t vocabulary) {
  std::map<std::vector<int64_t>, double> all{{{}, 1.0}};
  for (int64_t t = 0; t < options.tokens; ++t) {
    std::map<std::vector<int64_t>, double> longer;
    for (const auto& [sequence, probability] : all) {
      const Tensor text = at::cat({prompt, torch::tensor(sequence, torch::kLong).unsqueeze(0)}, 1);
      const Tensor p = next_token_probabilities(model->forward(text).select(1, -1), options)[0];
      for (int64_t v = 0; v < vocabulary; ++v) {
        std::vector<int64_t> next = sequence;
        next.push_back(v);
        longer[next] = probability * p[v].item<double>();
      }
    }
    all = std::move(longer);
  }
  return all;
}

TEST_CASE("text drawn with a draft has the distribution of the model alone", "[models][transformer][speculation]") {
  constexpr int64_t V = 3, kTexts = 4000;
  Transformer model = sharp_model(small_transformer(), text_spec(V)), draft = other_model(V);
  const torch::NoGradGuard no_grad;
  const Tensor prompt = torch::tensor({{2, 1}});
  for (GenerateOptions options :
       {GenerateOptions{.tokens = 3, .temperature = 1.5}, GenerateOptions{.tokens = 3, .temperature = 2, .top_k = 2},
        GenerateOptions{.tokens = 3, .temperature = 1.5, .top_p = 0.9}}) {
    CAPTURE(options.temperature, options.top_k, options.top_p);
    const auto expected = enumerate(model, prompt, options, V);
    const auto of_draft = enumerate(draft, prompt, options, V);
    double distance = 0;  // in total variation
    for (const auto& [sequence, p] : expected) distance += 0.5 * std::abs(p - of_draft.at(sequence));
    REQUIRE(distance > 0.2);

    SpeculationCounts counts;
    options.draft = {draft.ptr(), 2, &counts};
    Rng rng = draws();
    const Tensor texts = model->generate(prompt.expand({kTexts, -1}), options, rng).slice(1, 2).contiguous();
    std::map<std::vector<int64_t>, double> seen;
    for (int64_t i = 0; i < kTexts; ++i) {
      const auto* row = texts.const_data_ptr<int64_t>() + 3 * i;
      seen[{row, row + 3}] += 1;
    }
    double chi_square = 0, kinds = 0;  // of all texts expected five times or more; the others together are one kind
    double rare_seen = 0, rare_expected = 0;
    for (const auto& [sequence, p] : expected) {
      if (p == 0) CHECK(seen[sequence] == 0);
      if (p * kTexts < 5) {
        rare_seen += seen[sequence];
        rare_expected += p * kTexts;
        continue;
      }
      chi_square += std::pow(seen[sequence] - p * kTexts, 2) / (p * kTexts);
      kinds += 1;
    }
    if (rare_expected > 5) {
      chi_square += std::pow(rare_seen - rare_expected, 2) / rare_expected;
      kinds += 1;
    }
    CAPTURE(chi_square, kinds, counts.accepted, counts.proposed);
    CHECK(kinds >= 4);
    CHECK(chi_square < kinds - 1 + 5 * std::sqrt(2 * (kinds - 1)));
    // Some are accepted and some are not, so that both ways are tested.
    CHECK(counts.accepted > counts.proposed / 10);
    CHECK(counts.accepted < counts.proposed * 9 / 10);
    CHECK(counts.passes + counts.accepted == 3 * kTexts);
  }
}

TEST_CASE("greedy text with a draft is the greedy text of the model alone", "[models][transformer][speculation]") {
  for (const auto& [name, kind] : kinds_of_transformer()) {
    for (const int64_t context : {8, 5, 1}) {
      TransformerConfig config = kind;
      config.block_size = context;
      Transformer model = sharp_model(config);
      for (const int64_t draft_context : {8, 3}) {
        Transformer draft = other_model(kVocabulary, draft_context);
        for (const int64_t prompt_size : {1, 6, 13}) {
          for (const int64_t ahead : {1, 4, 20}) {
            CAPTURE(name, context, draft_context, prompt_size, ahead);
            const Tensor prompt = random_tokens({2, prompt_size});
            Rng rng = draws();
            GenerateOptions options{.tokens = 21, .greedy = true};
            const Tensor alone = model->generate(prompt, options, rng);
            options.draft = {draft.ptr(), ahead};
            CHECK(model->generate(prompt, options, rng).equal(alone));
            options.cache = false;
            CHECK(model->generate(prompt, options, rng).equal(alone));
          }
        }
      }
    }
  }
}

TEST_CASE("a model accepts all of its own proposals", "[models][transformer][speculation]") {
  TransformerConfig config = small_transformer();
  config.block_size = 32;
  Transformer model = sharp_model(config);
  for (const WeightType type : {WeightType::float32, WeightType::int8}) {
    SpeculationCounts counts;
    Rng rng = draws();
    model->generate(random_tokens({1, 4}), {.tokens = 21, .weight_type = type, .draft = {model.ptr(), 4, &counts}},
                    rng);
    // 4 proposals and one token more in each pass, and the last token by itself.
    CHECK(counts.passes == 5);
    CHECK(counts.proposed == 16);
    CHECK(counts.accepted == 16);
  }
}

TEST_CASE("a text drawn with a draft depends on its own stream only", "[models][transformer][speculation]") {
  Transformer model = sharp_model(small_transformer()), draft = other_model();
  check_own_streams(model, {.tokens = 20, .draft = {draft.ptr(), 3}});
}

TEST_CASE("several tokens after cached ones see what they would in the whole text", "[models][transformer]") {
  Rng init = draws();
  SelfAttention attention(AttentionConfig{.n_embd = 16, .n_head = 2, .n_kv_head = 2}, 0.5, init);
  const torch::NoGradGuard no_grad;
  for (const auto type : {torch::kDouble, torch::kFloat}) {
    for (const bool reduced : {false, true}) {
      CAPTURE(type, reduced);
      attention->to(type);
      ReducedBlock layers;
      attention->reduce_into(layers, WeightType::int8);
      const ReducedBlock* block = reduced ? &layers : nullptr;
      const Tensor x = init.normal({3, 9, 16}).to(type);
      const PositionTable positions = rotary_positions(9, 8, type);
      const Tensor whole = attention->forward(x, positions, {}, {.reduced = block});
      LayerCache cache(3, 2, 9, 8, type);
      const double rounding = type == torch::kDouble ? 1e-12 : 1e-5;
      for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 3}, {3, 4}, {4, 9}}) {
        const Tensor part = attention->forward(x.slice(1, begin, end), positions.slice(begin, end - begin), {},
                                               {.cache = &cache, .reduced = block});
        CHECK_THAT(part, IsClose(whole.slice(1, begin, end), rounding));
      }
    }
  }
}

TEST_CASE("generation refuses a draft that cannot be", "[models][transformer][speculation]") {
  Transformer model = sharp_model(small_transformer());
  Rng rng = draws();
  const Tensor prompt = random_tokens({1, 3});
  const auto with = [&](const Draft& draft) { return model->generate(prompt, {.draft = draft}, rng); };
  CHECK_THROWS_WITH(with({other_model(5).ptr(), 4}),
                    Catch::Matchers::Contains("knows 5 tokens, this model 11; give a draft with the same tokenizer"));
  CHECK_THROWS_WITH(with({Linear(2, 2, rng).ptr(), 4}), Catch::Matchers::Contains("no transformer of text"));
  CHECK_THROWS_AS(with({other_model().ptr(), 0}), UsageError);
}

}  // namespace
}  // namespace genzoo
