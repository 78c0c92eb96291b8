// What evaluate says of models that tell classes apart, and what these say of given examples.
#include <cmath>

#include "core/error.h"
#include "data/documents.h"
#include "data/pairs.h"
#include "evaluation/evaluate.h"
#include "evaluation/measured_classification.h"
#include "evaluation/shared_data.h"
#include "tests/evaluation/tiny_models.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using Catch::Matchers::Contains;
using tiny::contains;
using tiny::message_of;

constexpr const char* kCounts = "{naive_bayes: {}}";
constexpr const char* kNetwork = "{transformer: {n_layer: 1, n_head: 2, n_embd: 8, block_size: 24}}";

std::vector<Document> fruit_and_tools() {
  std::vector<Document> documents;
  for (int i = 0; i < 260; ++i) {
    documents.push_back({i % 3 == 0 ? "tool" : "fruit", fmt::format("{} {}", i % 3 == 0 ? "saw" : "fig", i * i % 97)});
  }
  documents.push_back({"tree", "oak"});
  return documents;
}

Dataset documents(const TokensConfig& tokens = CharacterTokens{}) {
  DocumentSettings settings;
  settings.tokens = tokens;
  settings.validation = 0.1;
  settings.test = 0.5;
  return make_documents_dataset("documents", fruit_and_tools(), settings, "here");
}

LoadedModel model_of(const char* model, const Dataset& set) {
  LoadedModel m = tiny::loaded(model, set.spec);
  if (m.model.can.fit) m.model.can.fit(set.train);
  return m;
}

Metric only(const Evaluation& evaluation, const std::string& name) {
  std::vector<Metric> found;
  for (const Metric& m : evaluation.metrics) {
    if (m.name == name) found.push_back(m);
  }
  INFO(name);
  REQUIRE(found.size() == 1);
  return found[0];
}

bool near(double a, double b) { return std::abs(a - b) <= 1e-5 * std::max(1.0, std::abs(b)); }

}  // namespace

TEST_CASE("macro F1 is as scikit-learn has it, over the classes that occur", "[evaluation][classification]") {
  // The example of sklearn.metrics.f1_score's documentation: 0.26...
  const Tensor labels = torch::tensor({0, 1, 2, 0, 1, 2}), guesses = torch::tensor({0, 2, 1, 0, 0, 1});
  CHECK(near(macro_f1(labels, guesses, 3), 0.8 / 3));
  CHECK(near(macro_f1(labels, guesses, 9), 0.8 / 3));
  CHECK(macro_f1(labels, labels, 3) == 1);
}

TEST_CASE("accuracy, cross-entropy and the commonest class are means over labels", "[evaluation][classification]") {
  const Dataset set = documents();
  for (const char* model : {kCounts, kNetwork}) {
    INFO(model);
    const LoadedModel m = model_of(model, set);
    const Evaluation evaluation = evaluate(m, set, {});
    CHECK(evaluation.split == "test");
    const torch::NoGradGuard no_grad;
    const Tensor y = set.test.y;
    const Tensor log_p = m.model.can.class_logits(set.test.x.to(torch::kLong)).to(torch::kDouble).log_softmax(1);
    const Tensor right = log_p.argmax(1).eq(y).to(torch::kDouble);
    const Metric accuracy = only(evaluation, "accuracy");
    CHECK(near(accuracy.value, right.mean().item<double>()));
    CHECK(near(*accuracy.standard_error, right.std().item<double>() / std::sqrt(130.0)));
    CHECK(accuracy.n == 130);
    CHECK(accuracy.better == Better::higher);
    const Metric entropy = only(evaluation, "cross_entropy");
    CHECK(near(entropy.value, -log_p.gather(1, y.unsqueeze(1)).mean().item<double>()));
    CHECK(entropy.better == Better::lower);
    CHECK(entropy.unit == "nats");
    CHECK(near(only(evaluation, "loss").value, entropy.value));
    CHECK(near(only(evaluation, "macro_f1").value, macro_f1(y, log_p.argmax(1), 3)));
    const Metric commonest = only(evaluation, "commonest_class");
    CHECK(near(commonest.value, y.eq(0).to(torch::kDouble).mean().item<double>()));
    CHECK(commonest.better == Better::neither);
    CHECK(contains(commonest.detail, "\"fruit\", the commonest of the training examples"));
    EvaluateOptions few;
    few.limit = 40;
    few.metrics = {"classification"};
    CHECK(evaluate(m, set, few).metrics.size() == 4);
    CHECK(only(evaluate(m, set, few), "accuracy").n == 40);
  }
  CHECK(only(evaluate(model_of(kCounts, set), set, {}), "accuracy").value > 0.95);
}

TEST_CASE("classes of images are measured too, and of what has none nothing is", "[evaluation][classification]") {
  Dataset pictures = tiny::images(256, 50);
  Rng rng = Rng::for_batch(3, Purpose::synthetic_data, 0);
  pictures.spec.classes = 4;
  for (Examples* part : {&pictures.train, &pictures.validation, &pictures.test}) part->y = rng.integers(4, {50});
  const LoadedModel m = tiny::loaded("{classifier: {channels: [4], feature_dim: 4}}", pictures.spec);
  const Evaluation evaluation = evaluate(m, pictures, {});
  CHECK(near(only(evaluation, "accuracy").value, 1 - only(evaluation, "error_rate").value));
  CHECK(only(evaluation, "accuracy").of == "4 classes");

  const std::vector<Classified> said = classify_examples(m, pictures.test.x);
  REQUIRE(said.size() == 50);
  double sum = 0;
  for (const double p : said[0].probabilities) sum += p;
  CHECK(near(sum, 1));
  CHECK_THROWS_WITH(classify_texts(m, {"a"}, "text "), Contains("tells classes of images apart, not of texts"));
  CHECK_THROWS_AS(classify_examples(m, torch::zeros({1, 9})), UsageError);

  const Dataset text = tiny::verses();
  const LoadedModel language = tiny::loaded(tiny::kTransformer, text.spec);
  EvaluateOptions asked;
  asked.metrics = {"classification"};
  CHECK(contains(message_of<UsageError>([&] { evaluate(language, text, asked); }), "tells no classes apart"));
  CHECK_THROWS_WITH(classify_texts(language, {"a"}, "text "), Contains("tells no classes apart"));
  CHECK_THROWS_WITH(classify_examples(language, pictures.test.x), Contains("tells no classes apart"));
}

TEST_CASE("a text is classified alone, as its tokens in the data would be", "[evaluation][classification]") {
  const Dataset set = documents();
  for (const char* model : {kCounts, kNetwork}) {
    INFO(model);
    const LoadedModel m = model_of(model, set);
    const std::vector<Classified> said = classify_texts(m, {"saw 1", "fig 36"}, "text ");
    REQUIRE(said.size() == 2);
    CHECK(said[1].probabilities == classify_texts(m, {"fig 36"}, "text ")[0].probabilities);
    const auto tokenizer = tokenizer_from_json(set.spec.tokenizer);
    const torch::NoGradGuard no_grad;
    const Tensor p =
        m.model.can.class_logits(ended_tokens(set.spec, *tokenizer, "saw 1")).to(torch::kDouble).softmax(1)[0];
    for (int64_t c = 0; c < 3; ++c) CHECK(near(said[0].probabilities[static_cast<size_t>(c)], p[c].item<double>()));
    CHECK(said[0].label == set.spec.class_names[static_cast<size_t>(p.argmax().item<int64_t>())]);
    CHECK(near(said[0].probability, p.max().item<double>()));
    CHECK_FALSE(said[0].cut);

    const std::string longest(static_cast<size_t>(set.spec.shape[0]) - 1, 's');
    const auto cut = classify_texts(m, {longest + "aw", longest}, "text ");
    CHECK(cut[0].cut);
    CHECK_FALSE(cut[1].cut);
    CHECK(cut[0].probabilities == cut[1].probabilities);
    CHECK_THROWS_WITH(classify_texts(m, {"fig", ""}, "t.txt:"), Contains("t.txt:2: the text is empty"));
    CHECK_THROWS_WITH(classify_texts(m, {"Ω"}, "t.txt:"), Contains("t.txt:1: tokenizer: "));
    CHECK_THROWS_WITH(classify_examples(m, torch::zeros({1, 9})), Contains("takes texts, not an array"));
  }
  const Json json = classify_texts(model_of(kCounts, set), {"saw"}, "")[0].to_json(class_labels(set.spec));
  CHECK(json["label"] == "tool");
  CHECK(json["probabilities"].size() == 3);
  CHECK(json["probabilities"]["tool"] == json["probability"]);
}

TEST_CASE("documents are the same under other tokens, and no other labels", "[evaluation][compare]") {
  CHECK(same_data(documents(CharacterTokens{}), documents(ByteTokens{})));
  Dataset other = documents(ByteTokens{});
  other.train.y = other.train.y.clone();
  other.train.y[0] = 1 - other.train.y[0].clamp_max(1);
  CHECK_FALSE(same_data(documents(CharacterTokens{}), other));

  // Of words the unknown ones cannot be told, so settings have to.
  const TempDir folder;
  std::string lines;
  for (const Document& document : fruit_and_tools()) lines += document.label + "\t" + document.text + "\n";
  std::ofstream(folder / "d.tsv") << lines;
  const auto config = [&](const std::string& settings) {
    const std::string data = fmt::format("{{documents: {{file: {}{}}}}}", (folder / "d.tsv").string(), settings);
    return tiny::experiment(kCounts, data);
  };
  const DataPlaces places;
  SharedData data(places);
  const ExperimentConfig characters = config(""), words = config(", tokens: {words: {vocab_size: 9}}, max_tokens: 3");
  CHECK_FALSE(same_data(data.of(characters), data.of(words)));
  CHECK(data.same(characters, words));
  CHECK_FALSE(data.same(characters, config(", tokens: words, data_seed: 1")));
  CHECK_FALSE(data.same(characters, config(", tokens: words, test: 0.2")));
}

}  // namespace genzoo
