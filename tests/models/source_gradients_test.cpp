// How much each token of a source has to say: what models of pairs tell of it is what their probabilities do.
#include "models/source_gradients.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <string>

#include "models/registry.h"
#include "tests/models/small_recurrent.h"
#include "tests/models/small_settings.h"
#include "tests/support.h"

namespace genzoo {
namespace {

// Tokens 0 ... 3 stand in sources, once each; 4 ... 7 are their twins, of the same weights, and stand in targets.
constexpr int64_t kSourceTokens = 4, kLastToken = 8;

DataSpec twin_spec() { return letter_pairs_spec(kLastToken + 1, /*source=*/8, /*target=*/4); }

/// In double, its weights larger, so that it is far from indifferent.
void sharpen(AnyModel& model) {
  const torch::NoGradGuard no_grad;
  model.module->to(torch::kDouble);
  for (Tensor& p : model.module->parameters()) {
    p.mul_(1.5);
    if (p.size(0) != kLastToken + 1) continue;
    p.narrow(0, 0, kSourceTokens).copy_(p.narrow(0, kSourceTokens, kSourceTokens).clone());
  }
}

/// Runs a law for each family that tells source gradients, with all its choices.
void for_each_model(const std::function<void(AnyModel&, const std::string&)>& law) {
  std::set<std::string_view> families;
  for (const ModelEntry& entry : models()) {
    for (const auto& [choice, description] : variants_of(entry)) {
      auto model = model_if_fit(choice, twin_spec());
      if (!model || !model->can.source_gradients) continue;
      families.insert(entry.name);
      sharpen(*model);
      law(*model, std::string(entry.name) + " " + description);
    }
  }
  CHECK(families.size() >= 3);
}

Tensor source_embedding(const AnyModel& model) {
  Tensor found;
  for (const auto& item : model.module->named_parameters()) {
    if (item.key() == "source_embedding.weight" || item.key() == "token_embedding.weight") found = item.value();
  }
  REQUIRE(found.defined());
  return found;
}

/// log p(y | x) where what a changed token of the source does to its own place in the output does not count: its twin
/// tells what that was. Of one row.
double log_prob(const AnyModel& model, const Tensor& x, const Tensor& y) {
  const torch::NoGradGuard no_grad;
  Tensor z = model.can.pair_logits(x, y).clone();
  z.narrow(2, 0, kSourceTokens).copy_(z.narrow(2, kSourceTokens, kSourceTokens).clone());
  const Tensor each = z.log_softmax(-1).gather(2, y.unsqueeze(2)).squeeze(2);
  const Tensor ends = y.eq(kLastToken).to(torch::kLong);
  return (each * (ends.cumsum(1) - ends).eq(0)).sum().item<double>();
}

double by_differences(const AnyModel& model, const Tensor& x, const Tensor& y, int64_t token) {
  constexpr double kStep = 1e-5;
  const torch::NoGradGuard no_grad;
  Tensor row = source_embedding(model)[token];
  double square = 0;
  for (int64_t c = 0; c < row.size(0); ++c) {
    const double value = row[c].item<double>();
    row[c] = value + kStep;
    const double above = log_prob(model, x, y);
    row[c] = value - kStep;
    const double below = log_prob(model, x, y);
    row[c] = value;
    square += std::pow((above - below) / (2 * kStep), 2);
  }
  return std::sqrt(square);
}

const Tensor& source() {
  static const Tensor x = torch::tensor({{2, 0, 3, 1, 8, 8, 8}});
  return x;
}
const Tensor& target() {
  static const Tensor y = torch::tensor({{5, 4, 8, 8}});
  return y;
}

TEST_CASE("gradients at a source's tokens are what a small change of their vectors does", "[models][zoo][gradients]") {
  for_each_model([](AnyModel& model, const std::string& name) {
    INFO(name);
    const Tensor norms = model.can.source_gradients(source(), target());
    REQUIRE(norms.sizes() == at::IntArrayRef({1, 7}));
    for (int64_t s = 0; s < kSourceTokens; ++s) {
      const double expected = by_differences(model, source(), target(), source()[0][s].item<int64_t>());
      CHECK(expected > 1e-9);
      CHECK(norms[0][s].item<double>() == Approx(expected).epsilon(1e-5));
    }
    CHECK(norms[0][4].item<double>() > 0);                 // the end is read, too
    CHECK(norms[0].slice(0, 5).eq(0).all().item<bool>());  // and nothing behind it
  });
}

TEST_CASE("source gradients are of each row alone, of its target up to its end, and leave the model as it is",
          "[models][zoo][gradients]") {
  for_each_model([](AnyModel& model, const std::string& name) {
    INFO(name);
    const torch::NoGradGuard no_grad;  // whoever evaluates asks for none
    const Tensor x = torch::tensor({{2, 0, 3, 1, 8, 8, 8}, {1, 2, 8, 8, 8, 8, 8}, {3, 8, 8, 8, 8, 8, 8}});
    const Tensor y = torch::tensor({{5, 4, 8, 8}, {7, 8, 8, 8}, {8, 8, 8, 8}});
    const Tensor norms = model.can.source_gradients(x, y);
    CHECK_FALSE(norms.requires_grad());
    for (int64_t i = 0; i < 3; ++i) {
      const Tensor alone = model.can.source_gradients(x.narrow(0, i, 1), y.narrow(0, i, 1));
      CHECK_THAT(norms[i], IsClose(alone[0], 1e-9));
    }
    Tensor other = y.clone();
    other[1].slice(0, 2).fill_(4);
    CHECK_THAT(model.can.source_gradients(x, other), IsClose(norms, 1e-9));
    for (const Tensor& p : model.module->parameters()) {
      CHECK_FALSE(p.grad().defined());
      CHECK(p.requires_grad());
    }
    // As the trained model computes, in float32.
    model.module->to(torch::kFloat);
    CHECK_THAT(model.can.source_gradients(x, y).to(torch::kDouble), IsClose(norms, 1e-4 * norms.max().item<double>()));
  });
}

TEST_CASE("an encoder that reads backwards has the gradients of one that is given the text backwards",
          "[models][recurrent_seq2seq][gradients]") {
  for (const AttentionKind attention : {AttentionKind::none, AttentionKind::bahdanau, AttentionKind::luong}) {
    RecurrentSeq2SeqConfig config;
    config.hidden = config.n_embd = 6;
    config.attention = attention;
    RecurrentSeq2Seq forward = sharp_model<RecurrentSeq2Seq>(config, twin_spec());
    config.reverse_source = true;
    RecurrentSeq2Seq backward = sharp_model<RecurrentSeq2Seq>(config, twin_spec());
    const Tensor norms = backward->source_gradients(source(), target());
    const Tensor of_reversed = forward->source_gradients(torch::tensor({{1, 3, 0, 2, 8}}), target());
    CHECK_THAT(norms[0].slice(0, 0, 4).flip(0), IsClose(of_reversed[0].slice(0, 0, 4), 1e-12));
    CHECK_THAT(norms[0][4], IsClose(of_reversed[0][4], 1e-12));
  }
}

TEST_CASE("tokens that enter as they are have gradients as if through an embedding that changes nothing",
          "[models][recurrent_seq2seq][gradients]") {
  RecurrentSeq2SeqConfig config;
  config.hidden = 6;
  config.n_embd = 0;
  RecurrentSeq2Seq bare = sharp_model<RecurrentSeq2Seq>(config, twin_spec());
  config.n_embd = kLastToken + 1;
  RecurrentSeq2Seq embedded = sharp_model<RecurrentSeq2Seq>(config, twin_spec());
  const torch::NoGradGuard no_grad;
  const auto weights = bare->named_parameters();
  for (const auto& item : embedded->named_parameters()) {
    Tensor weight = item.value();
    if (item.key().ends_with("embedding.weight")) {
      weight.copy_(torch::eye(kLastToken + 1, torch::kDouble));
    } else {
      weight.copy_(weights[item.key()]);
    }
  }
  CHECK_THAT(bare->source_gradients(source(), target()),
             IsClose(embedded->source_gradients(source(), target()), 1e-12));
}

}  // namespace
}  // namespace genzoo
