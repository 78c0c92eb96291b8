// What evaluate and score say of models of pairs.
#include <cmath>
#include <numbers>

#include "core/error.h"
#include "data/pair_tasks.h"
#include "data/pairs.h"
#include "evaluation/evaluate.h"
#include "evaluation/likelihood.h"
#include "evaluation/measured_translation.h"
#include "evaluation/shared_data.h"
#include "evaluation/translation_metrics.h"
#include "tests/evaluation/tiny_models.h"
#include "tests/support.h"
#include "trainers/translations.h"

namespace genzoo {
namespace {

using tiny::contains;
using tiny::loaded;
using tiny::message_of;

constexpr const char* kTranslator =
    "{encoder_decoder: {n_layer: 1, n_head: 2, n_embd: 8, n_inner: 16, label_smoothing: 0.2}}";

/// More pairs to validate than a batch of evaluation holds, with targets of one to eight letters.
Dataset reversed_letters() {
  ReverseConfig config;
  config.length = 8;
  config.alphabet = 3;
  config.examples = 260;
  config.validation = 0.5;
  return open(config, DataPlaces{});
}

Metric only(const Evaluation& evaluation, const std::string& name, const std::string& unit) {
  std::vector<Metric> found;
  for (const Metric& m : evaluation.metrics) {
    if (m.name == name && m.unit == unit) found.push_back(m);
  }
  INFO(name << ", " << unit);
  REQUIRE(found.size() == 1);
  return found[0];
}

bool near(double a, double b) { return std::abs(a - b) <= 1e-5 * std::max(1.0, std::abs(b)); }

/// log p of each token of the validation's targets, those behind an end 0: (N, T); and whether it is the likeliest.
std::pair<Tensor, Tensor> by_hand(const LoadedModel& m, const Dataset& set) {
  const torch::NoGradGuard no_grad;
  const Tensor x = set.validation.x.to(torch::kLong), y = set.validation.y.to(torch::kLong);
  const Tensor log_p = m.model.can.pair_logits(x, y).to(torch::kDouble).log_softmax(-1);
  const Tensor counts = up_to_end(y, set.spec.end_token);
  return {log_p.gather(-1, y.unsqueeze(-1)).squeeze(-1) * counts, log_p.argmax(-1).eq(y).logical_and(counts)};
}

}  // namespace

TEST_CASE("targets are counted in nats and bits a token with their ends, and in bits a byte without",
          "[evaluation][translation]") {
  const Dataset set = reversed_letters();
  const LoadedModel m = loaded(kTranslator, set.spec);
  const Evaluation evaluation = evaluate(m, set, {});
  CHECK(evaluation.split == "validation");
  const auto [log_p, right] = by_hand(m, set);
  const Tensor lengths = up_to_end(set.validation.y.to(torch::kLong), set.spec.end_token).sum(1).to(torch::kDouble);
  const double tokens = lengths.sum().item<double>(), nats = -log_p.sum().item<double>() / tokens;

  const Metric likelihood = only(evaluation, "likelihood", "nats/char");
  CHECK(near(likelihood.value, nats));
  CHECK(likelihood.kind == "exact");
  CHECK(likelihood.n == static_cast<int64_t>(tokens));
  CHECK(contains(likelihood.of, "target texts in characters"));
  CHECK(near(only(evaluation, "likelihood", "bits/char").value, nats / std::numbers::ln2));
  const double bytes = tokens - 130;  // no end is a byte
  const Metric bits = only(evaluation, "likelihood", "bits/byte");
  CHECK(near(bits.value, nats * tokens / bytes / std::numbers::ln2));
  CHECK(bits.of == "target texts in bytes");
  // Of a ratio of two sums over pairs.
  const Tensor residual = -log_p.sum(1) - nats * lengths;
  CHECK(near(*likelihood.standard_error, residual.norm().item<double>() * std::sqrt(130.0 / 129.0) / tokens));

  const Metric accuracy = only(evaluation, "token_accuracy", "share");
  CHECK(near(accuracy.value, right.sum().item<double>() / tokens));
  CHECK(accuracy.n == likelihood.n);
  // The training objective without smoothing is the same mean, though its batches have unequal numbers of tokens.
  const Metric loss = only(evaluation, "loss", "nats/char");
  CHECK(near(loss.value, nats));
  CHECK(loss.n == likelihood.n);
  EvaluateOptions some;
  some.limit = 7;
  CHECK(only(evaluate(m, set, some), "exact_match", "share").n == 7);
}

TEST_CASE("bytes of pairs are counted as tokens, for an end is no byte", "[evaluation][translation]") {
  PairTexts texts;
  texts.train = {{"ab", "c"}, {"b", "ca"}};
  texts.validation = {{"a", "é"}, {"cc", "abc"}};
  const Dataset set = make_pairs_dataset("pairs", texts, ByteTokens{}, "here");
  const Evaluation evaluation = evaluate(loaded(kTranslator, set.spec), set, {});
  CHECK(only(evaluation, "likelihood", "nats/token").n == 7);
  CHECK(only(evaluation, "likelihood", "bits/byte").n == 5);
  CHECK(only(evaluation, "loss", "nats/token").n == 7);
  CHECK(counted_in(set.spec) == "token");
  CHECK(counted_in(reversed_letters().spec) == "char");
}

TEST_CASE("translations are measured as texts, the likeliest token always", "[evaluation][translation]") {
  const Dataset set = reversed_letters();
  const LoadedModel m = loaded(kTranslator, set.spec);
  const Translations texts = translations_of(m, set, Split::validation, /*limit=*/0);
  REQUIRE(texts.made.size() == 130);
  Rng rng = Rng::for_rows(0, Purpose::sample, 0, 1);
  const auto tokenizer = tokenizer_from_json(set.spec.tokenizer);
  const torch::NoGradGuard no_grad;
  for (int64_t i = 0; i < 130; i += 43) {
    const Tensor x = set.validation.x.narrow(0, i, 1).to(torch::kLong);
    const std::string source = text_before_end(set.spec, *tokenizer, x[0]);
    CHECK(texts.wanted[i] == std::string(source.rbegin(), source.rend()));
    CHECK(texts.source_tokens[i] == static_cast<int64_t>(source.size()));
    CHECK(texts.made[i] == text_before_end(set.spec, *tokenizer, m.model.can.translate(x, {}, rng)[0]));
    CHECK(translate_text(m.model, set.spec, source, 1, {}, 0, torch::kCPU)[0] == texts.made[i]);
  }
  const Evaluation evaluation = evaluate(m, set, {});
  CHECK(only(evaluation, "bleu", "").value == corpus_bleu(texts.made, texts.wanted));
  CHECK(only(evaluation, "chrf", "").value == corpus_chrf(texts.made, texts.wanted));
}

TEST_CASE("exact match is the share of equal texts, told by the length of sources too", "[evaluation][translation]") {
  const Translations texts{{"a", "b", "c", "dd"}, {"a", "x", "c", "d"}, {1, 1, 2, 5}};
  const Metric exact = translation_metrics(texts)[0];
  CHECK(exact.name == "exact_match");
  CHECK(exact.value == 0.5);
  CHECK(exact.n == 4);
  CHECK(exact_match_by_length(texts, "char") ==
        "exact_match by the source's length in chars: 1: 0.500, 2: 1.000, 5: 0.000");
  CHECK(exact_match_by_length({{"a"}, {"a"}, {3}}, "char") == "");
  Translations many;
  for (int64_t i = 0; i < 50; ++i) {
    many.made.emplace_back("a");
    many.wanted.emplace_back("a");
    many.source_tokens.push_back(i);
  }
  CHECK(exact_match_by_length(many, "char") == "");
}

TEST_CASE("pairs are scored by the probability of their targets", "[evaluation][translation]") {
  const Dataset set = reversed_letters();
  const LoadedModel m = loaded(kTranslator, set.spec);
  const auto tokenizer = tokenizer_from_json(set.spec.tokenizer);
  std::string text;
  for (int64_t i = 0; i < 4; ++i) {
    text += text_before_end(set.spec, *tokenizer, set.validation.x[i]) + "\t" +
            text_before_end(set.spec, *tokenizer, set.validation.y[i]) + "\n";
  }
  const Score score = score_pairs(m, text, "p.tsv");
  const Tensor log_p = by_hand(m, set).first.slice(0, 0, 4).sum(1);
  CHECK_THAT(score.log_prob, IsClose(log_p, 1e-4));
  CHECK(score.kind == "exact");
  CHECK(score.tokens == score.bytes + 4);
  CHECK_THROWS_WITH(score_pairs(m, "ab\tba\nax\ta\n", "p.tsv"), Catch::Matchers::Contains("p.tsv:2: tokenizer: "));
  CHECK_THROWS_WITH(score_pairs(m, "ab\n", "p.tsv"), Catch::Matchers::Contains("p.tsv:1: no tabs"));
  CHECK_THROWS_AS(score_pairs(m, "", "p.tsv"), UsageError);
  const LoadedModel other = loaded(tiny::kTransformer, tiny::verses().spec);
  CHECK(contains(message_of<UsageError>([&] { score_pairs(other, text, "p.tsv"); }), "takes no pairs of texts"));
  CHECK_THROWS_AS(score_examples(m, torch::zeros({1, 9}), 1, 0), UsageError);
}

TEST_CASE("what a model of pairs cannot do, and what others cannot, is refused", "[evaluation][translation]") {
  const Dataset set = reversed_letters(), text = tiny::verses();
  EvaluateOptions samples, translation;
  samples.metrics = {"frechet"};
  translation.metrics = {"translation"};
  const LoadedModel m = loaded(kTranslator, set.spec), other = loaded(tiny::kTransformer, text.spec);
  CHECK(contains(message_of<UsageError>([&] { evaluate(m, set, samples); }), "draws no samples"));
  CHECK(contains(message_of<UsageError>([&] { evaluate(other, text, translation); }), "makes no target texts"));
  CHECK(evaluate(m, set, translation).metrics.size() == 3);
  CHECK_THROWS_AS(translate_text(other.model, text.spec, "in", 1, {}, 0, torch::kCPU), UsageError);
  CHECK_THROWS_AS(translate_text(m.model, set.spec, "", 1, {}, 0, torch::kCPU), UsageError);
  CHECK_THROWS_AS(translate_text(m.model, set.spec, "xyz", 1, {}, 0, torch::kCPU), UsageError);
}

TEST_CASE("pairs in characters and in bytes are the same pairs", "[evaluation][compare]") {
  PairTexts texts;
  texts.train = {{"ab", "c"}, {"b", "ça"}};
  texts.validation = {{"a", "c"}};
  const Dataset characters = make_pairs_dataset("pairs", texts, CharacterTokens{}, "here");
  const Dataset bytes = make_pairs_dataset("pairs", texts, ByteTokens{}, "here");
  CHECK(same_data(characters, bytes));
  std::swap(texts.train[0], texts.train[1]);
  CHECK_FALSE(same_data(make_pairs_dataset("pairs", texts, CharacterTokens{}, "here"), bytes));
}

}  // namespace genzoo
