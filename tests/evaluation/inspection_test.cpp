#include "evaluation/inspection.h"

#include <cmath>

#include "core/error.h"
#include "data/tokenizers/tokenizer.h"
#include "tests/evaluation/html_check.h"
#include "tests/support.h"
#include "tests/trainers/tiny_experiment.h"

namespace genzoo {
namespace {

using Catch::Matchers::Contains;

struct Looked {
  TempDir folder;
  LoadedModel loaded;
  std::string text;  ///< six tokens
  Inspection inspection;

  explicit Looked(const std::string& model = tiny::kTransformer) {
    tiny::train(tiny::experiment(model, tiny::kText), folder / "run");
    loaded = load_model(folder / "run", Which::newest, Weights::ema_if_any, "cpu");
    text = tokenizer_from_json(loaded.spec.tokenizer)->decode(torch::tensor({0, 1, 2, 1, 0, 3}));
    inspection = inspect(loaded, text);
  }
};

TEST_CASE("an inspection tells how surprised a model is, and what it expects", "[evaluation][inspection]") {
  const Looked looked;
  const auto& places = looked.inspection.text;
  REQUIRE(places.size() == 6);
  CHECK_FALSE(places[0].surprise);
  const Tensor tokens = torch::tensor({{0, 1, 2, 1, 0, 3}});
  const Tensor log_p = looked.loaded.model.can.token_log_prob(tokens.slice(1, 0, 5), tokens.slice(1, 1));
  for (size_t t = 1; t < 6; ++t) CHECK(*places[t].surprise == Approx(-log_p[0][t - 1].item<double>()));
  CHECK(looked.inspection.nats_per_token() == Approx(-log_p.mean().item<double>()));
  const double all = std::log(static_cast<double>(looked.loaded.spec.vocabulary));
  std::string joined;
  for (const Expectation& place : places) {
    joined += place.token;
    CHECK(place.entropy > 0);
    CHECK(place.entropy <= all + 1e-9);
    REQUIRE(place.likeliest.size() == 5);
    for (size_t i = 1; i < 5; ++i) CHECK(place.likeliest[i].value <= place.likeliest[i - 1].value);
  }
  CHECK(joined == looked.text);
}

TEST_CASE("an inspection tells what heads are worth, and what is near to what", "[evaluation][inspection]") {
  const Looked looked;
  const Inspection& found = looked.inspection;
  CHECK(found.attention.sizes() == at::IntArrayRef({1, 2, 6, 6}));
  CHECK(found.head_effects.sizes() == at::IntArrayRef({1, 2}));
  const Tensor tokens = torch::tensor({{0, 1, 2, 1, 0, 3}}), x = tokens.slice(1, 0, 5), y = tokens.slice(1, 1);
  const double without = looked.loaded.model.can.token_log_prob_without(x, y, 0, 1).mean().item<double>();
  CHECK(found.head_effects[0][1].item<double>() ==
        Approx(looked.loaded.model.can.token_log_prob(x, y).mean().item<double>() - without).margin(1e-6));
  REQUIRE(found.neighbours.size() == 4);  // each token once
  const Tensor vectors = looked.loaded.model.can.token_vectors().to(torch::kDouble);
  const auto cosine = [&](int64_t a, int64_t b) {
    return (vectors[a].dot(vectors[b]) / (vectors[a].norm() * vectors[b].norm())).item<double>();
  };
  double best = -1;
  for (int64_t other = 1; other < vectors.size(0); ++other) best = std::max(best, cosine(0, other));
  CHECK(found.neighbours[0].second[0].value == Approx(best));
  CHECK(found.map.tokens.size() == static_cast<size_t>(looked.loaded.spec.vocabulary));
  // Principal components: uncorrelated, the first with the larger variance.
  const Tensor places = found.map.places - found.map.places.mean(0);
  const Tensor covariance = places.t().matmul(places);
  CHECK(std::abs(covariance[0][1].item<double>()) < 1e-9 * covariance[0][0].item<double>());
  CHECK(covariance[0][0].item<double>() >= covariance[1][1].item<double>());
  CHECK(found.map.shares[0] + found.map.shares[1] <= 1 + 1e-9);
}

TEST_CASE("an inspection's page is whole and needs nothing else", "[evaluation][inspection]") {
  const Looked looked;
  const std::string page = inspection_page(looked.inspection, looked.loaded);
  const HtmlPage read = read_html(page);
  CHECK(read.mistakes == std::vector<std::string>{});
  CHECK_THAT(page, Contains("What each head is worth"));
  CHECK_THAT(page, Contains("layer 0, head 1"));
  CHECK(page.find("src=\"http") == std::string::npos);
  CHECK(page.find("href=\"http") == std::string::npos);
  const Json json = looked.inspection.to_json();
  CHECK(json["text"].size() == 6);
  CHECK(json["text"][0]["surprise"].is_null());
  CHECK(json["head_effects"][0].size() == 2);
}

TEST_CASE("a model without attention is looked into all the same", "[evaluation][inspection]") {
  const Looked looked("{recurrent: {cell: gru, n_layer: 1, n_embd: 8, hidden: 8, block_size: 8}}");
  const Inspection& found = looked.inspection;
  const Tensor tokens = torch::tensor({{0, 1, 2, 1, 0, 3}});
  const Tensor log_p = looked.loaded.model.can.token_log_prob(tokens.slice(1, 0, 5), tokens.slice(1, 1));
  CHECK(found.nats_per_token() == Approx(-log_p.mean().item<double>()));
  CHECK_FALSE(found.attention.defined());
  CHECK(found.map.tokens.size() == static_cast<size_t>(looked.loaded.spec.vocabulary));
  const std::string page = inspection_page(found, looked.loaded);
  CHECK(read_html(page).mistakes == std::vector<std::string>{});
  CHECK(page.find("What each head is worth") == std::string::npos);
  CHECK_FALSE(found.to_json().contains("head_effects"));
}

TEST_CASE("what cannot be inspected is told in one line", "[evaluation][inspection]") {
  const Looked looked;
  const auto why = [&](const std::string& text) {
    return tiny::message_of<UsageError>([&] { inspect(looked.loaded, text); });
  };
  CHECK_THAT(why(looked.text.substr(0, 1)), Contains("the text has 1 tokens, wanted 2 to 8; give a longer one"));
  CHECK_THAT(why(looked.text + looked.text), Contains("give a shorter one"));
  const TempDir folder;
  tiny::train(tiny::experiment(tiny::kVae, tiny::kPoints), folder / "vae");
  const LoadedModel vae = load_model(folder / "vae", Which::newest, Weights::raw, "cpu");
  CHECK_THAT(tiny::message_of<UsageError>([&] { inspect(vae, "a text"); }), Contains("vae cannot be looked into"));
}

}  // namespace
}  // namespace genzoo
