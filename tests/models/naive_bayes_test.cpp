// Naive Bayes: the worked examples of a textbook, its laws, and what it refuses.
#include "models/naive_bayes/naive_bayes.h"

#include <cmath>
#include <vector>

#include "core/error.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using Catch::Matchers::Contains;

// Manning, Raghavan & Schuetze, Introduction to Information Retrieval, 2008, table 13.1. Classes: not China, China.
enum Word : int64_t { chinese, beijing, shanghai, macao, tokyo, japan, end };

DataSpec textbook_spec() {
  DataSpec spec;
  spec.dataset = "textbook";
  spec.kind = DataKind::documents;
  spec.shape = {6};
  spec.classes = 2;
  spec.class_names = {"not China", "China"};
  spec.vocabulary = 7;
  spec.end_token = end;
  spec.token_unit = "token";
  return spec;
}

Examples textbook() {
  const Tensor x = torch::tensor({chinese, beijing, chinese,  end, end,   //
                                  chinese, chinese, shanghai, end, end,   //
                                  chinese, macao,   end,      end, end,   //
                                  tokyo,   japan,   chinese,  end, end},  //
                                 torch::kLong)
                       .view({4, 5});
  return {x.to(torch::kByte), torch::tensor({1, 1, 1, 0}, torch::kLong)};
}

/// "Chinese Chinese Chinese Tokyo Japan"
Tensor fifth_document() { return torch::tensor({{chinese, chinese, chinese, tokyo, japan, end}}, torch::kLong); }

NaiveBayes model_of(const NaiveBayesConfig& config, const DataSpec& spec = textbook_spec()) {
  Rng init = Rng::for_batch(0, Purpose::initialization, 0);
  return NaiveBayes(config, spec, init);
}

NaiveBayes textbook_model(EventModel events) {
  NaiveBayes model = model_of({.events = events, .alpha = 1, .prior_alpha = 0});
  model->fit(textbook());
  return model;
}

/// p(c) p(x | c) of class c.
double joint(NaiveBayes& model, const Tensor& x, int64_t c) {
  return std::exp(model->class_logits(x)[0][c].item<double>());
}

/// Random texts of a vocabulary of seven with a class each, some of the classes rare.
Examples random_texts(int64_t n, uint64_t seed) {
  Rng rng = Rng::for_batch(seed, Purpose::synthetic_data, 0);
  const Tensor length = rng.integers(6, {n, 1});
  const Tensor x = rng.integers(6, {n, 6}).masked_fill(at::arange(6).ge(length), end);
  return {x, rng.integers(2, {n}) * rng.integers(2, {n})};
}

bool near(double a, double b) { return std::abs(a - b) <= 1e-12 * std::max(1.0, std::abs(b)); }

TEST_CASE("multinomial naive Bayes gives the numbers of the textbook's example 13.1", "[models][naive_bayes]") {
  NaiveBayes model = textbook_model(EventModel::multinomial);
  // p(Chinese | China) = (5 + 1) / (8 + 6), p(Tokyo | China) = p(Japan | China) = 1 / 14; p(China) = 3 / 4.
  CHECK(near(joint(model, fifth_document(), 1), 3.0 / 4 * std::pow(3.0 / 7, 3) / 14 / 14));
  CHECK(near(joint(model, fifth_document(), 0), 1.0 / 4 * std::pow(2.0 / 9, 3) * 2 / 9 * 2 / 9));
  CHECK(std::abs(joint(model, fifth_document(), 1) - 0.0003) < 5e-5);  // as printed
  CHECK(std::abs(joint(model, fifth_document(), 0) - 0.0001) < 5e-5);
}

TEST_CASE("Bernoulli naive Bayes gives the numbers of the textbook's example 13.2", "[models][naive_bayes]") {
  NaiveBayes model = textbook_model(EventModel::bernoulli);
  // Chinese, Japan and Tokyo occur; Beijing, Shanghai and Macao do not.
  CHECK(near(joint(model, fifth_document(), 1), 3.0 / 4 * 4 / 5 / 5 / 5 * std::pow(1 - 2.0 / 5, 3)));
  CHECK(near(joint(model, fifth_document(), 0), 1.0 / 4 * 2 / 3 * 2 / 3 * 2 / 3 * std::pow(1 - 1.0 / 3, 3)));
  CHECK(std::abs(joint(model, fifth_document(), 1) - 0.005) < 5e-4);  // as printed
  CHECK(std::abs(joint(model, fifth_document(), 0) - 0.022) < 5e-4);
}

TEST_CASE("given its class, a text's probabilities sum to one over all texts of its length", "[models][naive_bayes]") {
  NaiveBayes model = model_of({.alpha = 0.3, .prior_alpha = 2});
  model->fit(random_texts(40, 1));
  const Tensor words = at::arange(6);
  const Tensor pairs = at::stack({words.repeat_interleave(6), words.repeat(6)}, 1);  // all texts of two tokens
  CHECK(near(model->class_logits(pairs).exp().sum().item<double>(), 1));  // over classes too: their priors do
  const Tensor none = torch::full({1, 3}, static_cast<int64_t>(end));     // of an empty one there is but one
  CHECK(near(model->class_logits(none).exp().sum().item<double>(), 1));

  NaiveBayes bernoulli = model_of({.events = EventModel::bernoulli, .alpha = 0.3, .prior_alpha = 2});
  bernoulli->fit(random_texts(40, 1));
  std::vector<Tensor> subsets;  // every set of words
  for (int64_t set = 0; set < 64; ++set)
    subsets.push_back(at::where(words.new_full({6}, set).bitwise_right_shift(words).bitwise_and(1).eq(1), words,
                                words.new_full({6}, static_cast<int64_t>(end))));
  CHECK(near(bernoulli->class_logits(at::stack(subsets)).exp().sum().item<double>(), 1));
}

TEST_CASE("neither the order of tokens nor how far a text is filled up matters", "[models][naive_bayes]") {
  for (const EventModel events : {EventModel::multinomial, EventModel::bernoulli}) {
    NaiveBayes model = model_of({.events = events});
    model->fit(random_texts(30, 2));
    const Tensor x = random_texts(20, 3).x;
    const Tensor logits = model->class_logits(x);
    CHECK_THAT(model->class_logits(x.flip(1)), IsClose(logits, 1e-12));
    CHECK_THAT(model->class_logits(at::constant_pad_nd(x, {0, 9}, end)), IsClose(logits, 1e-12));
    // One more occurrence of a word says something of how often, and nothing of whether.
    const Tensor twice = at::cat({fifth_document(), torch::tensor({{static_cast<int64_t>(tokyo)}})}, 1);
    CHECK(torch::allclose(model->class_logits(twice), model->class_logits(fifth_document())) ==
          (events == EventModel::bernoulli));
  }
}

TEST_CASE("before it has counted every class is as likely, and it counts anew each time", "[models][naive_bayes]") {
  for (const double prior_alpha : {0.0, 1.0}) {
    NaiveBayes model = model_of({.prior_alpha = prior_alpha});
    CHECK_THAT(model->class_logits(fifth_document()).softmax(1),
               IsClose(torch::full({1, 2}, 0.5, torch::kDouble), 1e-12));
  }
  NaiveBayes model = model_of({}), same = model_of({});
  model->fit(random_texts(30, 4));
  model->fit(textbook());
  const Terms terms = same->fit(textbook());
  CHECK(torch::equal(model->class_logits(fifth_document()), same->class_logits(fifth_document())));
  const Tensor log_p = same->class_logits(textbook().x.to(torch::kLong)).log_softmax(1);
  CHECK(near(terms.at("loss").item<double>(),
             -(log_p[0][1] + log_p[1][1] + log_p[2][1] + log_p[3][0]).item<double>() / 4));
  CHECK(terms.at("error_rate").item<double>() == 0);
}

TEST_CASE("what is no labelled text is refused", "[models][naive_bayes]") {
  DataSpec text = textbook_spec();
  text.kind = DataKind::tokens;
  CHECK_THROWS_WITH(model_of({}, text), Contains("wanted texts with labels, such as documents or verses"));
  NaiveBayes model = model_of({});
  CHECK_THROWS_WITH(model->fit({textbook().x}), Contains("it learns from texts that each have one label"));
  CHECK_THROWS_WITH(model->fit({textbook().x, torch::tensor({0, 1, 2, 0})}),
                    Contains("have label 2; the model knows 0 to 1"));
  CHECK_THROWS_WITH(model->fit({textbook().x + 1, textbook().y}), Contains("have token 7; the model knows 0 to 6"));
  CHECK_THROWS_WITH(model->class_logits(torch::tensor({{-1}})), Contains("have token -1"));
  CHECK_THROWS_AS(model->fit({textbook().x, textbook().y.slice(0, 1)}), UsageError);
  NaiveBayes sure = model_of({.prior_alpha = 0});
  CHECK_THROWS_WITH(sure->fit({textbook().x.slice(0, 0, 3), textbook().y.slice(0, 0, 3)}),
                    Contains("a class has no text to learn from"));
  CHECK_NOTHROW(model->fit({textbook().x.slice(0, 0, 3), textbook().y.slice(0, 0, 3)}));
}

}  // namespace
}  // namespace genzoo
