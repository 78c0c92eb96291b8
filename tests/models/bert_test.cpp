#include "models/transformer/bert.h"

#include <cmath>

#include "core/error.h"
#include "tests/models/small_transformer.h"
#include "tests/support.h"

namespace genzoo {
namespace {

BertConfig small_bert() {
  BertConfig config;
  config.n_layer = 2;
  config.n_head = 2;
  config.n_embd = 16;
  config.block_size = 8;
  config.dropout = 0;
  return config;
}

/// In double, far from its initial values.
Bert sharp_bert(const BertConfig& config = small_bert()) {
  Rng init = Rng::for_batch(1, Purpose::initialization, 0);
  Bert model(config, text_spec(), init);
  const torch::NoGradGuard no_grad;
  for (Tensor& p : model->parameters()) p.dim() == 2 ? p.mul_(10) : p.add_(init.normal(p.sizes()), 0.1);
  model->to(torch::kDouble);
  return model;
}

TEST_CASE("BERT sees every token from every place", "[models][bert]") {
  Bert model = sharp_bert();
  const torch::NoGradGuard no_grad;
  const Tensor x = random_tokens({2, 8}), before = model->forward(x);
  CHECK(before.sizes() == at::IntArrayRef({2, 8, kVocabulary + 1}));  // and the mask
  for (int64_t t = 0; t < 8; ++t) {
    Tensor changed = x.clone();
    changed.select(1, t).add_(1).remainder_(kVocabulary);
    CAPTURE(t);
    CHECK((model->forward(changed) - before).abs().amax(-1).min().item<double>() > 1e-6);
  }
  CHECK_THROWS_AS(model->forward(random_tokens({1, 9})), UsageError);
}

TEST_CASE("untrained, BERT expects every token alike", "[models][bert]") {
  Rng init = draws();
  Bert model(small_bert(), text_spec(), init);
  Rng rng = draws();
  const Loss loss = model->loss({random_tokens({64, 8}), {}}, rng, 0);
  CHECK(loss.total.item<double>() == Approx(std::log(kVocabulary + 1.0)).epsilon(0.02));
}

TEST_CASE("BERT's loss is of masked tokens alone, and of at least one a text", "[models][bert]") {
  BertConfig config = small_bert();
  config.mask_share = 1e-6;
  Bert model = sharp_bert(config);
  // Its embedding of the mask decides alone what it expects of texts of one token, most of the time.
  const Tensor x = random_tokens({400, 1});
  {
    const torch::NoGradGuard no_grad;
    model->named_parameters()["token_embedding.weight"].mul_(8);  // so that it matters which token is seen
  }
  Rng rng = draws();
  const double loss = model->loss({x, {}}, rng, 0).total.item<double>();
  const torch::NoGradGuard no_grad;
  const auto nats = [&](const Tensor& input) {
    return -model->forward(input).log_softmax(-1).gather(2, x.unsqueeze(2)).mean().item<double>();
  };
  const double masked = nats(torch::full_like(x, model->mask_token())), seen = nats(x);
  // Eight tenths masked, a tenth as they are; of the last tenth, other tokens, the loss is no smaller than of those.
  CHECK(std::abs(masked - seen) > 0.3);
  double random = 0;
  for (int64_t token = 0; token < kVocabulary; ++token) random += nats(torch::full_like(x, token)) / kVocabulary;
  CHECK(loss == Approx(0.8 * masked + 0.1 * seen + 0.1 * random).epsilon(0.15));
}

TEST_CASE("four fifths of what BERT is to fill in are masked, a tenth is another token, a tenth stays",
          "[models][bert]") {
  const Tensor x = torch::zeros({2000, 20}, torch::kLong);
  Rng rng = draws();
  const MaskedText text = mask_text(x, 0.15, 1000, 1000, rng);
  REQUIRE(text.places.sizes() == at::IntArrayRef({2000, 3}));
  const Tensor chosen = torch::zeros({2000, 20}, torch::kBool).scatter(1, text.places, true);
  CHECK(chosen.sum().item<int64_t>() == 6000);  // no place twice
  CHECK(text.shown.masked_fill(chosen, 0).equal(x));
  CHECK(chosen.sum(0).to(torch::kDouble).std().item<double>() < 40);  // any place as often as any other: 300 times
  const Tensor there = text.shown.gather(1, text.places);
  const auto share = [&](const Tensor& which) { return which.to(torch::kDouble).mean().item<double>(); };
  CHECK(share(there.eq(1000)) == Approx(0.8).margin(0.02));
  CHECK(share(there.eq(0)) == Approx(0.1).margin(0.015));  // a random token is token 0 once in a thousand
  CHECK(share(there.gt(0).logical_and(there.lt(1000))) == Approx(0.1).margin(0.015));
}

TEST_CASE("what BERT masks comes from the stream it is given", "[models][bert]") {
  BertConfig config = small_bert();
  config.mask_share = 0.3;
  Bert model = sharp_bert(config);
  const Tensor x = random_tokens({4, 8});
  Rng a = draws(7), b = draws(7), c = draws(8);
  const auto loss = [&](Rng& rng) { return model->loss({x, {}}, rng, 0).total.item<double>(); };
  const double first = loss(a);
  CHECK(first == loss(b));
  CHECK(first != loss(c));
}

TEST_CASE("BERT fills in what is masked, and nothing else", "[models][bert]") {
  Bert model = sharp_bert();
  Tensor x = random_tokens({3, 8});
  const Tensor whole = x.clone();
  x[0].slice(0, 2, 5).fill_(model->mask_token());
  x[1][7].fill_(model->mask_token());
  Rng rng = draws();
  const Tensor filled = model->fill(x, {.greedy = true}, rng);
  CHECK(filled.ne(model->mask_token()).all().item<bool>());
  const Tensor kept = x.ne(model->mask_token());
  CHECK(filled.index({kept}).equal(whole.index({kept})));
  CHECK(filled[2].equal(whole[2]));
  // One place: the likeliest token there.
  const torch::NoGradGuard no_grad;
  CHECK(filled[1][7].item<int64_t>() ==
        model->forward(x.narrow(0, 1, 1))[0][7].narrow(0, 0, kVocabulary).argmax().item<int64_t>());
  Rng one = draws(3), two = draws(3);
  CHECK(model->fill(x, {}, one).equal(model->fill(x, {}, two)));
}

TEST_CASE("BERT wants a text", "[models][bert]") {
  DataSpec images;
  images.dataset = "pictures";
  images.kind = DataKind::images;
  images.shape = {1, 2, 2};
  images.levels = 2;
  Rng init = draws();
  CHECK_THROWS_WITH(Bert(small_bert(), images, init), Catch::Matchers::Contains("it fills in text"));
}

}  // namespace
}  // namespace genzoo
