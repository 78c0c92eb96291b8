// What is to be seen inside of a transformer.

#include "core/error.h"
#include "tests/models/small_transformer.h"
#include "tests/support.h"

namespace genzoo {
namespace {

TEST_CASE("a transformer's attention maps are distributions over the tokens so far", "[models][transformer]") {
  for (const auto& [name, kind] : kinds_of_transformer()) {
    CAPTURE(name);
    Transformer model = sharp_model(kind);
    const Tensor maps = model->attention_maps(random_tokens({1, 6}));
    REQUIRE(maps.sizes() == at::IntArrayRef({kind.n_layer, kind.n_head, 6, 6}));
    CHECK_THAT(maps.sum(-1), IsClose(torch::ones({kind.n_layer, kind.n_head, 6}), 1e-12));
    CHECK(maps.triu(1).eq(0).all().item<bool>());
    CHECK((maps.select(1, 0) - maps.select(1, 1)).abs().max().item<double>() > 1e-3);
  }
}

TEST_CASE("a head switched off is a head whose output leads nowhere", "[models][transformer]") {
  for (const auto& [name, kind] : kinds_of_transformer()) {
    CAPTURE(name);
    Transformer model = sharp_model(kind);
    const torch::NoGradGuard no_grad;
    const Tensor x = random_tokens({2, 6}), y = random_tokens({2, 6}).flip(1);
    const Tensor whole = model->token_log_prob(x, y), without = model->token_log_prob_without(x, y, 1, 1);
    CHECK((whole - without).abs().max().item<double>() > 1e-3);
    const int64_t D = kind.n_embd / kind.n_head;
    model->named_parameters()["blocks.1.attention.projection.weight"].narrow(1, D, D).zero_();
    CHECK_THAT(model->token_log_prob(x, y), IsClose(without, 1e-9));
    CHECK_THROWS_AS(model->token_log_prob_without(x, y, 2, 0), UsageError);
    CHECK_THROWS_AS(model->token_log_prob_without(x, y, 0, -1), UsageError);
    CHECK_THROWS_AS(model->attention_maps(random_tokens({1, 9})), UsageError);
  }
}

TEST_CASE("next-token logits are those that the probabilities of a text come from", "[models][transformer]") {
  TransformerConfig config = small_transformer();
  config.vocab_size = kVocabulary + 5;  // rows that stand for no token are not shown
  Transformer model = sharp_model(config);
  const Tensor x = random_tokens({1, 6});
  const Tensor logits = model->next_token_logits(x);
  CHECK(logits.sizes() == at::IntArrayRef({6, kVocabulary}));
  CHECK(logits.equal(model->forward(x)[0].narrow(1, 0, kVocabulary)));
  CHECK(model->token_vectors().sizes() == at::IntArrayRef({kVocabulary, config.n_embd}));
}

}  // namespace
}  // namespace genzoo
