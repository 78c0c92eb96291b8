// A decoder-only transformer as a model of targets given their sources.

#include <cmath>
#include <vector>

#include "core/error.h"
#include "data/pairs.h"
#include "tests/models/small_transformer.h"
#include "tests/support.h"

namespace genzoo {
namespace {

constexpr int kEnd = 4;  // of five tokens

DataSpec pairs_spec(int64_t source = 4, int64_t target = 3) {
  DataSpec spec = text_spec(kEnd + 1);
  spec.kind = DataKind::pairs;
  spec.shape = {source, target};
  spec.end_token = kEnd;
  return spec;
}

/// log p of each target, (B).
Tensor log_prob_of(Transformer& model, const Tensor& x, const Tensor& y) {
  const Tensor each = model->pair_logits(x, y).log_softmax(-1).gather(2, y.unsqueeze(2)).squeeze(2);
  return (each * up_to_end(y, kEnd)).sum(1);
}

TEST_CASE("a source's padding changes nothing of what a transformer expects", "[models][transformer][pairs]") {
  for (const auto& [name, kind] : kinds_of_transformer()) {
    CAPTURE(name);
    Transformer model = sharp_model(kind, pairs_spec());
    const torch::NoGradGuard no_grad;
    const Tensor y = torch::tensor({{3, 0, kEnd}});
    const Tensor bare = model->pair_logits(torch::tensor({{1, 2, kEnd}}), y);
    const Tensor padded = model->pair_logits(torch::tensor({{1, 2, kEnd, kEnd, kEnd}}), y);
    CHECK_THAT(padded, IsClose(bare, 1e-10));
    const Tensor both = model->pair_logits(torch::tensor({{1, 2, kEnd, kEnd}, {0, 1, 2, kEnd}}), y.expand({2, -1}));
    CHECK_THAT(both.narrow(0, 0, 1), IsClose(bare, 1e-10));
    CHECK((both[0] - both[1]).abs().max().item<double>() > 1e-3);
    // As one text it is what the language model expects of it.
    const Tensor text = torch::tensor({{1, 2, kEnd, 3, 0}});
    CHECK_THAT(bare, IsClose(model->forward(text).slice(1, 2), 1e-10));
  }
}

TEST_CASE("an answer stands behind its conversation as the template writes it", "[models][transformer][pairs][chat]") {
  DataSpec spec = pairs_spec();
  spec.chat = "{}";  // whatever it is
  Transformer model = sharp_model(small_transformer(), spec);
  const torch::NoGradGuard no_grad;
  const Tensor x = torch::tensor({{1, 2, kEnd, kEnd}, {3, 1, 2, kEnd}}),
               y = torch::tensor({{3, 0, kEnd}, {0, kEnd, kEnd}});
  const Tensor logits = model->pair_logits(x, y);
  const Tensor text = torch::tensor({{1, 2, 3, 0}});
  CHECK_THAT(logits.narrow(0, 0, 1), IsClose(model->forward(text).slice(1, 1), 1e-10));
  Rng rng = draws();
  const Tensor greedy = model->translate(x.narrow(0, 1, 1), {.tokens = 2}, rng);
  CHECK(greedy[0][0].item<int64_t>() == model->forward(torch::tensor({{3, 1, 2}}))[0][2].argmax().item<int64_t>());
}

TEST_CASE("a transformer's probabilities of all targets sum to one", "[models][transformer][pairs]") {
  Transformer model = sharp_model(small_transformer(), pairs_spec());
  const torch::NoGradGuard no_grad;
  const Tensor source = torch::tensor({{2, kEnd}});
  double sum = 0;
  for (int64_t a = 0; a <= kEnd; ++a) {
    for (int64_t b = 0; b <= kEnd; ++b) {
      for (int64_t c = 0; c <= kEnd; ++c) {
        if ((a == kEnd && b != kEnd) || (b == kEnd && c != kEnd)) continue;  // filled up with ends
        sum += log_prob_of(model, source, torch::tensor({{a, b, c}})).exp().item<double>();
      }
    }
  }
  CHECK(sum == Approx(1));
}

TEST_CASE("a transformer learns from targets alone, each token alike", "[models][transformer][pairs]") {
  Transformer model = sharp_model(small_transformer(), pairs_spec());
  Rng rng = draws();
  const Batch batch{torch::tensor({{1, 2, kEnd, kEnd}, {0, 1, 2, kEnd}}),
                    torch::tensor({{3, kEnd, kEnd}, {1, 2, kEnd}})};
  const Tensor wanted = -log_prob_of(model, batch.x, batch.y).sum() / 5;
  CHECK_THAT(model->loss(batch, rng, 0).total, IsClose(wanted, 1e-10));
}

TEST_CASE("sources of unequal length are learned with dropout", "[models][transformer][pairs]") {
  TransformerConfig config = small_transformer();
  config.dropout = 0.1;
  Transformer model = sharp_model(config, pairs_spec());
  model->train();
  Rng rng = draws();
  const Batch batch{torch::tensor({{1, kEnd, kEnd, kEnd}, {0, 1, 2, kEnd}}),
                    torch::tensor({{3, kEnd, kEnd}, {1, 2, kEnd}})};
  const Tensor loss = model->loss(batch, rng, 0).total;
  CHECK(std::isfinite(loss.item<double>()));
  loss.backward();
  for (const Tensor& p : model->parameters()) CHECK(at::isfinite(p.grad()).all().item<bool>());
}

TEST_CASE("a transformer's translation with kept keys and values is what it expects without",
          "[models][transformer][pairs]") {
  for (const auto& [name, kind] : kinds_of_transformer()) {
    CAPTURE(name);
    Transformer model = sharp_model(kind, pairs_spec());
    const torch::NoGradGuard no_grad;
    const Tensor x = torch::tensor({{1, 2, kEnd, kEnd}, {0, 1, 2, kEnd}, {3, kEnd, kEnd, kEnd}});
    Rng rng = draws();
    const Tensor greedy = model->translate(x, {}, rng);
    REQUIRE(greedy.sizes() == at::IntArrayRef({3, 3}));
    for (int64_t t = 0; t < 2; ++t) {  // the third can only be an end
      const Tensor likeliest = model->pair_logits(x, greedy).argmax(-1).select(1, t);
      const Tensor open = t == 0 ? torch::ones({3}, at::kBool) : greedy.select(1, 0).ne(kEnd);
      CHECK(greedy.select(1, t).index({open}).equal(likeliest.index({open})));
    }
    // With places for all targets, beam search finds the likeliest.
    const Tensor best = model->translate(x, {.beams = 64, .length_penalty = 0}, rng);
    CHECK((log_prob_of(model, x, best) - log_prob_of(model, x, greedy)).min().item<double>() > -1e-9);
  }
}

TEST_CASE("pairs that do not fit into the context are refused", "[models][transformer][pairs]") {
  CHECK_THROWS_WITH(sharp_model(small_transformer(), pairs_spec(6, 4)),
                    Catch::Matchers::Contains("block_size 8") && Catch::Matchers::Contains("up to 9 tokens together"));
}

}  // namespace
}  // namespace genzoo
