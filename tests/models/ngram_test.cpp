// The n-gram model: its laws, its formulas by hand and in plain Python, and published figures.
#include "models/ngram/ngram.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "data/text.h"
#include "models/ngram/counts.h"
#include "tests/support.h"

namespace genzoo {
namespace {

constexpr int64_t kLetters = 7;
constexpr Smoothing kSmoothings[] = {Smoothing::witten_bell, Smoothing::kneser_ney, Smoothing::modified_kneser_ney};

DataSpec spec_of(int64_t vocabulary) {
  DataSpec spec;
  spec.dataset = "letters";
  spec.kind = DataKind::tokens;
  spec.vocabulary = vocabulary;
  spec.token_unit = "char";
  return spec;
}

Ngram model_of(int64_t order, Smoothing smoothing, int64_t vocabulary = kLetters) {
  Rng init = Rng::for_batch(0, Purpose::initialization, 0);
  return Ngram(NgramConfig{.order = order, .smoothing = smoothing, .block_size = 16}, spec_of(vocabulary), init);
}

/// Letters of which the first are likelier, and the last does not occur: (n).
Tensor uneven_text(int64_t n, uint64_t seed = 1) {
  const Tensor u = Rng::for_batch(seed, Purpose::synthetic_data, 0).uniform({n});
  return (u * u * static_cast<double>(kLetters - 1)).floor().to(torch::kLong);
}

Tensor tokens_of(const std::vector<int64_t>& values) { return torch::tensor(values, torch::kLong); }

/// p(token | context), the context given from its first token on.
double p_of(Ngram& model, const std::vector<int64_t>& context, int64_t token) {
  const Tensor x = tokens_of(context).unsqueeze(0);
  std::vector<int64_t> next(context.begin() + 1, context.end());
  next.push_back(token);
  return std::exp(model->token_log_prob(x, tokens_of(next).unsqueeze(0))[0][x.size(1) - 1].item<double>());
}

Tensor log_prob_of_line(Ngram& model, const Tensor& line) {
  const Tensor row = line.unsqueeze(0);
  return model->token_log_prob(row.slice(1, 0, -1), row.slice(1, 1))[0];
}

TEST_CASE("in every context, seen or not, the probabilities are positive and sum to one", "[models][ngram]") {
  for (const Smoothing smoothing : kSmoothings) {
    for (const int64_t order : {1, 2, 3, 5}) {
      INFO(kSmoothingNames[static_cast<size_t>(smoothing)] << ", order " << order);
      Ngram model = model_of(order, smoothing);
      for (const bool counted : {false, true}) {
        if (counted) model->fit({uneven_text(300)});
        // Every token after each of 40 texts of 6, in which the letter that never occurred does.
        const Tensor x = Rng::for_batch(2, Purpose::synthetic_data, 0).integers(kLetters, {40, 6});
        const Tensor many = x.repeat_interleave(kLetters, 0), y = many.roll(-1, 1);
        y.select(1, 5).copy_(torch::arange(kLetters).repeat({40}));
        const Tensor p = model->token_log_prob(many, y).select(1, 5).exp().view({40, kLetters});
        CHECK(p.min().item<double>() > 0);
        CHECK_THAT(p.sum(1), IsClose(torch::ones({40}), 1e-12));
        if (!counted) CHECK_THAT(p, IsClose(torch::full({40, kLetters}, 1.0 / kLetters, torch::kDouble), 1e-15));
      }
    }
  }
}

TEST_CASE("Witten-Bell's probabilities are those worked out by hand", "[models][ngram]") {
  // Of a, b, c, d the text is "ababac". Single letters: a 3, b 2, c 1, three different ones of 6.
  Ngram model = model_of(2, Smoothing::witten_bell, 4);
  model->fit({tokens_of({0, 1, 0, 1, 0, 2})});
  constexpr int64_t a = 0, b = 1, c = 2, d = 3;
  const auto close = [](double got, double wanted) { return std::abs(got - wanted) < 1e-14; };
  const double p_a = (3 + 3 * 0.25) / 9, p_b = (2 + 3 * 0.25) / 9, p_d = 3 * 0.25 / 9;
  CHECK(close(p_of(model, {c}, a), p_a));  // after c nothing was seen
  CHECK(close(p_of(model, {d}, b), p_b));
  CHECK(close(p_of(model, {a}, b), (2 + 2 * p_b) / 5));  // after a: b twice, c once
  CHECK(close(p_of(model, {a}, d), 2 * p_d / 5));
  CHECK(close(p_of(model, {b}, a), (2 + p_a) / 3));  // after b: a twice
  CHECK(close(p_of(model, {b, a}, b), (2 + 2 * p_b) / 5));
  CHECK(close(p_of(model, {a}, b), 47.0 / 90));
}

TEST_CASE("Kneser-Ney's short contexts count in how many places a token stands, not how often", "[models][ngram]") {
  // "San Francisco": f stands often, and always after s.
  const Tensor text = tokens_of({0, 1, 2, 4, 5, 0, 4, 5, 1, 4, 5, 2, 0, 4, 5, 3, 1, 4, 5, 0, 2, 1});
  constexpr int64_t s = 4, f = 5, unseen = 6;
  Ngram counts = model_of(2, Smoothing::witten_bell), places = model_of(2, Smoothing::kneser_ney);
  counts->fit({text});
  places->fit({text});
  CHECK(p_of(counts, {unseen}, f) > p_of(counts, {unseen}, 2));
  CHECK(p_of(places, {unseen}, f) < p_of(places, {unseen}, 2));
  CHECK(p_of(places, {s}, f) > 0.8);
}

TEST_CASE("the trie holds the n-grams that a naive count finds", "[models][ngram]") {
  const Tensor text = uneven_text(120).to(torch::kInt);
  constexpr int64_t kOrder = 4;
  const std::vector<NgramLevel> levels = count_ngrams(text, kLetters, kOrder);
  REQUIRE(levels.size() == kOrder);
  std::vector<std::vector<std::vector<int32_t>>> ngrams(kOrder);  // [k] all of length k + 1, in order
  for (int32_t token = 0; token < kLetters; ++token) ngrams[0].push_back({token});
  for (size_t k = 0; k + 1 < kOrder; ++k) {
    for (size_t i = 0; i < ngrams[k].size(); ++i) {
      for (int32_t child = levels[k].first[i]; child < levels[k].first[i + 1]; ++child) {
        ngrams[k + 1].push_back(ngrams[k][i]);
        ngrams[k + 1].back().push_back(levels[k + 1].tokens[static_cast<size_t>(child)]);
      }
    }
  }
  for (size_t k = 0; k < kOrder; ++k) {
    std::map<std::vector<int32_t>, int32_t> naive;
    if (k == 0) {
      for (const auto& letter : ngrams[0]) naive[letter] = 0;
    }
    const auto* token = text.const_data_ptr<int32_t>();
    for (size_t i = 0; i + k < 120; ++i) ++naive[{token + i, token + i + k + 1}];
    REQUIRE(ngrams[k].size() == naive.size());
    size_t i = 0;
    for (const auto& [ngram, count] : naive) {
      CHECK(ngrams[k][i] == ngram);
      CHECK(levels[k].tokens[i] == ngram.back());
      CHECK(levels[k].counts[i++] == count);
    }
  }
}

TEST_CASE("a held-out text has the probabilities that the formulas give in plain Python", "[models][ngram]") {
  const auto path = std::filesystem::path(GENZOO_SOURCE_DIR) / "tests/reference/ngram.json";
  const Json reference = parse_json(read_file(path), path.string());
  const Tensor text = tokens_of(reference.at("text")), held_out = tokens_of(reference.at("held_out"));
  const std::vector<std::string> names(std::begin(kSmoothingNames), std::end(kSmoothingNames));
  REQUIRE(reference.at("cases").size() == 12);
  for (const Json& wanted : reference.at("cases")) {
    const std::string name = wanted.at("smoothing");
    const auto smoothing = static_cast<Smoothing>(std::ranges::find(names, name) - names.begin());
    const int64_t order = wanted.at("order");
    INFO(name << ", order " << order);
    Ngram model = model_of(order, smoothing, reference.at("vocabulary"));
    model->fit({text});
    const Tensor log_prob = torch::tensor(wanted.at("log_prob").get<std::vector<double>>(), torch::kDouble);
    CHECK_THAT(log_prob_of_line(model, held_out), IsClose(log_prob, 1e-12));
    Rng unused = Rng::for_batch(0, Purpose::score, 0);
    CHECK_THAT(model->log_prob(held_out.unsqueeze(0), 1, unused), IsClose(log_prob.sum().unsqueeze(0), 1e-10));

    std::vector<NgramLevel> levels = count_ngrams(text.to(torch::kInt), reference.at("vocabulary"), order);
    if (smoothing != Smoothing::witten_bell) count_continuations(levels, text.to(torch::kInt));
    for (size_t k = 0; k < wanted.at("discounts").size(); ++k) {
      const Discounts found = estimate_discounts(levels[k].counts, smoothing);
      CHECK(found[0] == 0);
      for (size_t c = 0; c < 3; ++c) CHECK(std::abs(found[c + 1] - wanted["discounts"][k][c].get<double>()) < 1e-14);
    }
  }
}

TEST_CASE("a token's probability depends on order - 1 tokens before it and on no threads", "[models][ngram]") {
  Ngram model = model_of(4, Smoothing::modified_kneser_ney);
  model->fit({uneven_text(2000)});
  const Tensor line = uneven_text(20'001, 5);  // more than one thread reads in a row
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const Tensor whole = log_prob_of_line(model, line);
  at::set_num_threads(3);
  CHECK(torch::equal(log_prob_of_line(model, line), whole));
  at::set_num_threads(threads);
  CHECK(torch::equal(log_prob_of_line(model, line.slice(0, 4090)).slice(0, 3), whole.slice(0, 4093)));
  const Tensor rows = line.slice(0, 0, 20'000).view({40, 500});
  const Tensor by_rows = model->token_log_prob(rows, line.slice(0, 1).view({40, 500})).view({-1});
  CHECK(torch::equal(by_rows.view({40, 500}).slice(1, 3), whole.view({40, 500}).slice(1, 3)));
  CHECK_FALSE(torch::equal(by_rows, whole));  // the first tokens of a row have fewer before them

  // What is predicted need not be what is read next.
  const Tensor x = line.slice(0, 0, 30).unsqueeze(0), other = (x + 1) % kLetters;
  for (const int64_t t : {0, 1, 7, 29}) {
    std::vector<int64_t> context(line.const_data_ptr<int64_t>(), line.const_data_ptr<int64_t>() + t + 1);
    const double alone = std::log(p_of(model, context, other[0][t].item<int64_t>()));
    CHECK(model->token_log_prob(x, other)[0][t].item<double>() == alone);
  }
}

TEST_CASE("what it counted is replaced by what it counts next, and told", "[models][ngram]") {
  Ngram model = model_of(3, Smoothing::witten_bell), fresh = model_of(3, Smoothing::witten_bell);
  const Tensor line = uneven_text(50, 9);
  model->fit({uneven_text(400, 2)});
  const Tensor before = log_prob_of_line(model, line);
  const Terms terms = model->fit({uneven_text(300, 3).to(torch::kByte)});
  fresh->fit({uneven_text(300, 3)});
  CHECK(torch::equal(log_prob_of_line(model, line), log_prob_of_line(fresh, line)));
  CHECK_FALSE(torch::equal(log_prob_of_line(model, line), before));
  CHECK(std::abs(terms.at("loss").item<double>() + log_prob_of_line(model, uneven_text(300, 3)).mean().item<double>()) <
        1e-12);
  std::map<std::vector<int64_t>, int> different;
  const Tensor text = uneven_text(300, 3);
  for (int64_t length = 1; length <= 3; ++length) {
    for (int64_t i = 0; i + length <= 300; ++i) {
      const auto* token = text.const_data_ptr<int64_t>() + i;
      ++different[{token, token + length}];
    }
  }
  CHECK(terms.at("ngrams").item<double>() == static_cast<double>(different.size()));
}

TEST_CASE("text is drawn from the distribution that the model tells", "[models][ngram]") {
  Ngram model = model_of(3, Smoothing::kneser_ney);
  model->fit({uneven_text(500)});
  const Tensor prompt = tokens_of({2, 0, 1}).unsqueeze(0);
  std::vector<double> p;
  for (int64_t token = 0; token < kLetters; ++token) p.push_back(p_of(model, {2, 0, 1}, token));

  GenerateOptions greedy{.tokens = 1, .greedy = true};
  Rng rng = Rng::for_rows(0, Purpose::sample, 0, 1);
  CHECK(model->generate(prompt, greedy, rng)[0][3].item<int64_t>() == std::ranges::max_element(p) - p.begin());

  constexpr int64_t kDraws = 20'000;
  Rng draws = Rng::for_batch(3, Purpose::sample, 0);
  const Tensor drawn = model->generate(prompt.expand({kDraws, -1}), {.tokens = 1}, draws).select(1, 3);
  const Tensor share = drawn.bincount({}, kLetters).to(torch::kDouble) / kDraws;
  CHECK_THAT(share, IsClose(torch::tensor(p, torch::kDouble), 4 * std::sqrt(0.25 / kDraws)));
  Rng two = Rng::for_batch(3, Purpose::sample, 0);
  const Tensor likeliest = model->generate(prompt.expand({200, -1}), {.tokens = 1, .top_k = 2}, two).select(1, 3);
  CHECK(std::get<0>(at::_unique(likeliest)).size(0) == 2);
}

TEST_CASE("a text that repeats is continued, whatever stands before a prompt of its own length", "[models][ngram]") {
  Ngram model = model_of(3, Smoothing::witten_bell);
  model->fit({torch::arange(5).repeat({30})});
  const Tensor prompts = torch::stack({tokens_of({6, 6, 6, 2}), tokens_of({0, 1, 2, 3})});
  GenerateOptions options{.tokens = 6, .greedy = true};
  options.prompt_lengths = {1, 4};
  Rng rng = Rng::for_rows(0, Purpose::sample, 0, 2);
  const Tensor text = model->generate(prompts, options, rng);
  CHECK(torch::equal(text.slice(1, 4), torch::stack({tokens_of({3, 4, 0, 1, 2, 3}), tokens_of({4, 0, 1, 2, 3, 4})})));
  options.goes_on = [](int64_t /*row*/, int64_t token) { return token != 4; };
  CHECK(torch::equal(model->generate(prompts, options, rng).slice(1, 4), tokens_of({3, 4, 4, 4}).view({2, 2})));
}

TEST_CASE("options for networks, foreign tokens and other data are refused", "[models][ngram]") {
  Ngram model = model_of(2, Smoothing::witten_bell);
  Rng rng = Rng::for_rows(0, Purpose::sample, 0, 1);
  const Tensor prompt = tokens_of({1}).unsqueeze(0);
  GenerateOptions draft{.tokens = 1}, int8{.tokens = 1};
  draft.draft.model = model_of(2, Smoothing::witten_bell).ptr();
  int8.weight_type = WeightType::int8;
  CHECK_THROWS_AS(model->generate(prompt, draft, rng), UsageError);
  CHECK_THROWS_AS(model->generate(prompt, int8, rng), UsageError);
  CHECK_THROWS_AS(model->generate(prompt.slice(1, 1), {}, rng), UsageError);
  for (const int64_t token : {int64_t{-1}, kLetters}) {
    CHECK_THROWS_AS(model->generate(torch::full({1, 1}, token), {}, rng), UsageError);
    CHECK_THROWS_AS(model->token_log_prob(torch::full({1, 1}, token), prompt), UsageError);
    CHECK_THROWS_AS(model->token_log_prob(prompt, torch::full({1, 1}, token)), UsageError);
    CHECK_THROWS_AS(model->fit({tokens_of({1, token})}), UsageError);
  }
  CHECK_THROWS_AS(model->fit({tokens_of({1})}), UsageError);
  DataSpec images;
  images.kind = DataKind::images;
  Rng init = Rng::for_batch(0, Purpose::initialization, 0);
  CHECK_THROWS_AS(NgramImpl(NgramConfig{}, images, init), UsageError);
}

TEST_CASE("buffers that are no counts are refused before anything is read from them", "[models][ngram]") {
  for (const char* name : {"length_1.first", "length_2.tokens", "length_2.counts", "length_3.first"}) {
    Ngram model = model_of(3, Smoothing::witten_bell);
    model->fit({uneven_text(100)});
    CHECK_NOTHROW(p_of(model, {1}, 2));
    Tensor buffer = model->named_buffers()[name];
    buffer[1] = name == std::string("length_2.counts") ? -1 : 1'000'000;
    INFO(name);
    CHECK_THROWS_AS(p_of(model, {1}, 2), RunError);
  }
}

/// Nats per token of the validation text as one sequence: every token but the first.
double cost_of(const Dataset& dataset, int64_t order, Smoothing smoothing) {
  Ngram model = model_of(order, smoothing, dataset.spec.vocabulary);
  model->fit({dataset.train.x});
  return -log_prob_of_line(model, dataset.validation.x.to(torch::kLong)).mean().item<double>();
}

TEST_CASE("tiny Shakespeare costs Witten-Bell of order 5 1.6688 nats a character", "[models][ngram]") {
  const auto folder = data_dir("tiny_shakespeare");
  if (!folder) SKIP("no GENZOO_DATA/tiny_shakespeare");
  const Dataset dataset = open(TinyShakespeareConfig{folder->string(), CharacterTokens{}, 0.1}, DataPlaces{});
  CHECK(std::abs(cost_of(dataset, 5, Smoothing::witten_bell) - 1.6688) < 5e-5);
}

TEST_CASE("the Bible's last tenth costs Witten-Bell of order 6 1.8777 bits a character", "[models][ngram]") {
  const auto folder = data_dir("text");
  if (!folder || !std::filesystem::exists(*folder / "bible.txt")) SKIP("no GENZOO_DATA/text/bible.txt");
  const Dataset dataset = open(TextConfig{(*folder / "bible.txt").string(), CharacterTokens{}, 0.1}, DataPlaces{});
  CHECK(std::abs(cost_of(dataset, 6, Smoothing::witten_bell) / std::numbers::ln2 - 1.8777) < 5e-5);
}

}  // namespace
}  // namespace genzoo
