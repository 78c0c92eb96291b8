// Transformer and BERT as models of p(label | text).

#include <vector>

#include "core/error.h"
#include "models/class_head.h"
#include "models/transformer/bert.h"
#include "tests/models/small_transformer.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using Catch::Matchers::Contains;

constexpr int kEnd = 4;  // of five tokens

DataSpec documents_spec(int64_t longest = 6) {
  DataSpec spec = text_spec(kEnd + 1);
  spec.kind = DataKind::documents;
  spec.shape = {longest};
  spec.end_token = kEnd;
  spec.classes = 3;
  spec.class_names = {"red", "green", "blue"};
  return spec;
}

Bert sharp_bert() {
  Rng init = Rng::for_batch(1, Purpose::initialization, 0);
  Bert model(BertConfig{.n_layer = 2, .n_head = 2, .n_embd = 16, .block_size = 8}, documents_spec(), init);
  const torch::NoGradGuard no_grad;
  for (Tensor& p : model->parameters()) p.dim() == 2 ? p.mul_(10) : p.add_(init.normal(p.sizes()), 0.1);
  model->to(torch::kDouble);
  return model;
}

/// Texts alone, filled up, and beside longer and shorter ones have the same classes; texts of other order others.
template <class M>
void check_texts(M& model) {
  const torch::NoGradGuard no_grad;
  const Tensor bare = model->class_logits(torch::tensor({{1, 2, 0, kEnd}}));
  REQUIRE(bare.sizes() == at::IntArrayRef({1, 3}));
  CHECK_THAT(model->class_logits(torch::tensor({{1, 2, 0, kEnd, kEnd, kEnd}})), IsClose(bare, 1e-10));
  const Tensor many =
      model->class_logits(torch::tensor({{3, kEnd, kEnd, kEnd, kEnd}, {1, 2, 0, kEnd, kEnd}, {0, 0, 1, 2, kEnd}}));
  CHECK_THAT(many.narrow(0, 1, 1), IsClose(bare, 1e-10));
  CHECK((many[0] - bare[0]).abs().max().template item<double>() > 1e-3);
  // Behind the first end there is nothing, whatever stands there.
  CHECK_THAT(model->class_logits(torch::tensor({{1, 2, 0, kEnd, 3, 1}})), IsClose(bare, 1e-10));
  const Tensor turned = model->class_logits(torch::tensor({{0, 2, 1, kEnd}}));
  CHECK((turned - bare).abs().max().template item<double>() > 1e-3);
}

TEST_CASE("what a transformer takes a text for depends on its tokens alone", "[models][transformer][documents]") {
  for (const auto& [name, kind] : kinds_of_transformer()) {
    CAPTURE(name);
    Transformer model = sharp_model(kind, documents_spec());
    check_texts(model);
  }
}

TEST_CASE("what BERT takes a text for depends on its tokens alone", "[models][bert][documents]") {
  Bert model = sharp_bert();
  check_texts(model);
}

TEST_CASE("a transformer's classes are told from what it makes of a text's end", "[models][transformer][documents]") {
  Transformer model = sharp_model(small_transformer(), documents_spec());
  Transformer reader = sharp_model(small_transformer());
  const torch::NoGradGuard no_grad;
  // The same body as a language model's: its logits are products with the features.
  for (const auto& item : reader->named_parameters()) {
    const Tensor own = model->named_parameters()[item.key()];
    item.value().narrow(0, 0, own.size(0)).copy_(own);
  }
  const Tensor text = torch::tensor({{1, 2, 0, kEnd}});
  const Tensor features = model->features(text);
  REQUIRE(features.sizes() == at::IntArrayRef({1, 16}));
  const Tensor table = model->named_parameters()["token_embedding.weight"];
  const Tensor logits = reader->forward(text).select(1, 3).narrow(1, 0, kEnd + 1);
  CHECK_THAT(at::matmul(features, table.t()), IsClose(logits, 1e-10));
  const auto parameters = model->named_parameters();
  const Tensor told = at::matmul(features, parameters["class_head.weight"].t()) + parameters["class_head.bias"];
  CHECK_THAT(model->class_logits(text), IsClose(told, 1e-10));
}

TEST_CASE("the loss of documents is that of their labels", "[models][transformer][bert][documents]") {
  const Tensor x = torch::tensor({{1, 2, kEnd, kEnd}, {0, 3, 1, kEnd}, {2, kEnd, kEnd, kEnd}});
  const Batch batch{x, torch::tensor({2, 0, 1})};
  const auto check = [&](auto& model) {
    model->eval();
    const torch::NoGradGuard no_grad;
    Rng rng = draws();
    const Loss loss = model->loss(batch, rng, 0);
    const Tensor log_p = model->class_logits(x).log_softmax(1);
    CHECK_THAT(loss.total, IsClose(-(log_p[0][2] + log_p[1][0] + log_p[2][1]) / 3, 1e-10));
    const double wrong = log_p.argmax(1).ne(batch.y).to(torch::kDouble).mean().template item<double>();
    CHECK(loss.terms.at("error_rate").template item<double>() == Approx(wrong));
  };
  Transformer transformer = sharp_model(small_transformer(), documents_spec());
  check(transformer);
  Bert bert = sharp_bert();
  check(bert);
}

TEST_CASE("documents that cannot be are refused", "[models][transformer][bert][documents]") {
  Rng init = draws();
  const auto why = [&](const DataSpec& spec, bool bert) -> std::string {
    try {
      if (bert) {
        Bert(BertConfig{.n_layer = 1, .n_head = 2, .n_embd = 8, .block_size = 8}, spec, init);
      } else {
        Transformer(small_transformer(), spec, init);
      }
    } catch (const UsageError& error) {
      return error.what();
    }
    return "";
  };
  for (const bool bert : {false, true}) {
    CHECK_THAT(why(documents_spec(9), bert), Contains("block_size 8; letters has documents of up to 9 chars"));
    DataSpec one = documents_spec();
    one.classes = 1;
    CHECK_FALSE(why(one, bert).empty());
    CHECK(why(documents_spec(8), bert).empty());
  }
}

}  // namespace
}  // namespace genzoo
