#include "models/transformer/encoder_decoder.h"

#include <vector>

#include "core/error.h"
#include "data/pairs.h"
#include "models/transformer/positions.h"
#include "tests/support.h"

namespace genzoo {
namespace {

constexpr int64_t kEnd = 6;

DataSpec pairs_spec(int64_t vocabulary = kEnd + 1) {
  DataSpec spec;
  spec.dataset = "letters";
  spec.kind = DataKind::pairs;
  spec.shape = {6, 5};
  spec.vocabulary = vocabulary;
  spec.end_token = vocabulary - 1;
  spec.token_unit = "char";
  return spec;
}

EncoderDecoderConfig small(NormPlace norm = NormPlace::after) {
  return {.n_layer = 2, .n_head = 2, .n_embd = 16, .n_inner = 24, .norm = norm, .dropout = 0, .label_smoothing = 0};
}

Rng draws(uint64_t seed = 2) { return Rng::for_batch(seed, Purpose::loss, 0); }

/// A model in double, its weights larger than those of a fresh one and its biases not zero, so that mistakes show.
EncoderDecoder sharp_model(const EncoderDecoderConfig& config, const DataSpec& spec = pairs_spec()) {
  Rng init = draws(1);
  EncoderDecoder model(config, spec, init);
  const torch::NoGradGuard no_grad;
  for (Tensor& p : model->parameters()) p.dim() == 2 ? p.mul_(2) : p.add_(init.normal(p.sizes()), 0.2);
  model->to(torch::kDouble);
  model->eval();
  return model;
}

/// Rows of random tokens of the given lengths, ended and filled up to `width`.
Tensor texts(const std::vector<int64_t>& lengths, int64_t width, uint64_t seed) {
  Rng rng = Rng::for_batch(seed, Purpose::batch, 0);
  const auto rows = static_cast<int64_t>(lengths.size());
  Tensor tokens = rng.integers(kEnd, {rows, width});
  for (int64_t i = 0; i < rows; ++i) tokens[i].slice(0, lengths[static_cast<size_t>(i)]).fill_(kEnd);
  return tokens;
}

constexpr std::array kNorms = {NormPlace::after, NormPlace::before};

Tensor log_probabilities(EncoderDecoder& model, const Tensor& x, const Tensor& y) {
  return model->pair_logits(x, y).log_softmax(-1).gather(-1, y.unsqueeze(-1)).squeeze(-1);
}

}  // namespace

TEST_CASE("attention over visible tokens is softmax(q k / sqrt D) v of those alone", "[models][encoder_decoder]") {
  Rng rng = draws();
  const Tensor q = rng.normal({2, 3, 4, 8}).to(torch::kDouble);
  const KeysValues seen{rng.normal({2, 3, 5, 8}).to(torch::kDouble), rng.normal({2, 3, 5, 8}).to(torch::kDouble)};
  Tensor visible = at::ones({2, 1, 1, 5}, torch::kBool);
  visible[1].slice(-1, 3).fill_(false);
  const Tensor y = attend_visible(q, seen, visible);
  const auto by_hand = [&](int64_t b, int64_t count) {
    const Tensor k = seen.keys[b].slice(1, 0, count), v = seen.values[b].slice(1, 0, count);
    return (q[b].matmul(k.transpose(-1, -2)) / std::sqrt(8.0)).softmax(-1).matmul(v);
  };
  CHECK_THAT(y[0], IsClose(by_hand(0, 5), 1e-12));
  CHECK_THAT(y[1], IsClose(by_hand(1, 3), 1e-12));
  const Tensor causal =
      attend_visible(q, {seen.keys.slice(2, 0, 4), seen.values.slice(2, 0, 4)}, causal_visibility(4, torch::kCPU));
  CHECK_THAT(causal.select(2, 0), IsClose(seen.values.select(2, 0), 1e-12));
  CHECK_THAT(causal[0].select(1, 3), IsClose(by_hand(0, 4).select(1, 3), 1e-12));
}

TEST_CASE("a target's token depends on those before it and on the whole source", "[models][encoder_decoder]") {
  const torch::NoGradGuard no_grad;
  for (const NormPlace norm : kNorms) {
    CAPTURE(kNormPlaceNames[static_cast<int>(norm)]);
    EncoderDecoder model = sharp_model(small(norm));
    const Tensor x = torch::tensor({{1, 3, 0, 4, 6, 6}}), y = torch::tensor({{2, 0, 5, 1, 6}});
    const Tensor logits = model->pair_logits(x, y);
    REQUIRE(logits.sizes() == at::IntArrayRef({1, 5, 7}));
    for (int64_t t = 0; t < 5; ++t) {
      Tensor changed = y.clone();
      changed[0][t] = (y[0][t] + 1).remainder(kEnd);
      const Tensor difference = (model->pair_logits(x, changed) - logits).abs().amax(-1)[0];
      CHECK(difference.slice(0, 0, t + 1).max().item<double>() < 1e-12);
      if (t < 4) CHECK(difference.slice(0, t + 1).min().item<double>() > 1e-6);
    }
    for (int64_t s = 0; s < 4; ++s) {  // all of the source, the order of its tokens too
      Tensor changed = x.clone();
      changed[0][s] = (x[0][s] + 1).remainder(kEnd);
      CHECK((model->pair_logits(changed, y) - logits).abs().amax(-1).min().item<double>() > 1e-6);
    }
    const Tensor other_order = x.index_select(1, torch::tensor({1, 0, 2, 3, 4, 5}));
    CHECK((model->pair_logits(other_order, y) - logits).abs().max().item<double>() > 1e-6);
  }
}

TEST_CASE("what fills up a source or a target changes nothing", "[models][encoder_decoder]") {
  const torch::NoGradGuard no_grad;
  for (const NormPlace norm : kNorms) {
    EncoderDecoder model = sharp_model(small(norm));
    const Tensor x = texts({3, 1}, 4, 1), y = texts({2, 3}, 4, 2);
    const Tensor filled_x = at::constant_pad_nd(x, {0, 5}, kEnd), filled_y = at::constant_pad_nd(y, {0, 3}, kEnd);
    CHECK_THAT(model->pair_logits(filled_x, filled_y).slice(1, 0, 4), IsClose(model->pair_logits(x, y), 1e-12));
    // Nor does whatever else stands behind an end.
    Tensor scribbled = filled_x.clone();
    scribbled.slice(1, 5).fill_(2);
    CHECK_THAT(model->pair_logits(scribbled, y), IsClose(model->pair_logits(x, y), 1e-12));
    Rng rng = draws();
    CHECK_THAT(model->loss({filled_x, filled_y}, rng, 0).total, IsClose(model->loss({x, y}, rng, 0).total, 1e-12));
    CHECK(model->translate(filled_x, {}, rng).equal(model->translate(x, {}, rng)));
    // A pair alone is what it is in a batch.
    CHECK_THAT(model->pair_logits(x.slice(0, 1), y.slice(0, 1)), IsClose(model->pair_logits(x, y).slice(0, 1), 1e-12));
  }
}

TEST_CASE("probabilities of all targets sum to one", "[models][encoder_decoder]") {
  // Over the targets of at most two tokens, and those that go on: p(ended) + p(not yet) = 1.
  const torch::NoGradGuard no_grad;
  const DataSpec spec = pairs_spec(4);
  EncoderDecoder model = sharp_model(small(), spec);
  const Tensor x = torch::tensor({{1, 0, 2, 3}});
  double sum = log_probabilities(model, x, torch::tensor({{3}})).exp().item<double>();
  double of_ended = sum;
  for (int64_t a = 0; a < 3; ++a) {
    for (int64_t b = 0; b < 4; ++b) {
      const double p = log_probabilities(model, x, torch::tensor({{a, b}})).sum().exp().item<double>();
      sum += p;
      if (b == 3) of_ended += p;
    }
  }
  CHECK(sum == Approx(1).epsilon(1e-12));
  CHECK(of_ended < 1);
}

TEST_CASE("logits over kept keys and values are those over the whole target", "[models][encoder_decoder]") {
  const torch::NoGradGuard no_grad;
  for (const NormPlace norm : kNorms) {
    EncoderDecoder model = sharp_model(small(norm));
    const Tensor x = texts({5, 2, 4}, 6, 1), y = texts({4, 4, 4}, 5, 2);
    const Tensor whole = model->pair_logits(x, y);
    // The rows change places on the way, and one of them ends up twice.
    const NextLogits next = model->next_logits(x);
    Tensor rows = torch::tensor({0, 1, 2}), origin = rows, last = at::full({3}, kEnd, torch::kLong);
    for (int64_t t = 0; t < 5; ++t) {
      CHECK_THAT(next(origin, last), IsClose(whole.select(1, t).index_select(0, rows), 1e-12));
      origin = t == 1 ? torch::tensor({2, 0, 0, 1}) : t == 3 ? torch::tensor({1, 3}) : at::arange(rows.size(0));
      rows = rows.index_select(0, origin);
      last = y.select(1, t).index_select(0, rows);
    }
  }
}

TEST_CASE("a translation is the likeliest token always, by one beam or none", "[models][encoder_decoder]") {
  const torch::NoGradGuard no_grad;
  EncoderDecoder model = sharp_model(small());
  const Tensor x = texts({5, 2, 4, 1}, 6, 1);
  Rng rng = draws();
  const Tensor made = model->translate(x, {.tokens = 7}, rng);
  REQUIRE(made.sizes() == at::IntArrayRef({4, 7}));
  for (int64_t i = 0; i < 4; ++i) {
    Tensor y = at::full({1, 7}, kEnd, torch::kLong);
    for (int64_t t = 0; t < 6; ++t) {
      const int64_t token = model->pair_logits(x.slice(0, i, i + 1), y)[0][t].argmax().item<int64_t>();
      if (token == kEnd) break;
      y[0][t] = token;
    }
    CHECK(made[i].equal(y[0]));
  }
  CHECK(model->translate(x, {}, rng).size(1) == 5);  // the longest of the data
  CHECK(made.ne(kEnd).any().item<bool>());
}

TEST_CASE("draws of targets are each from its own stream, and beams find likelier targets",
          "[models][encoder_decoder]") {
  const torch::NoGradGuard no_grad;
  EncoderDecoder model = sharp_model(small());
  const Tensor x = texts({4}, 6, 1);
  Rng five = Rng::for_rows(7, Purpose::sample, 0, 5);
  const Tensor drawn = model->translate(x.expand({5, -1}), {.tokens = 6, .draw = true}, five);
  for (int64_t i = 0; i < 5; ++i) {
    Rng one = Rng::for_rows(7, Purpose::sample, static_cast<uint64_t>(i), 1);
    CHECK(model->translate(x, {.tokens = 6, .draw = true}, one).equal(drawn.slice(0, i, i + 1)));
  }
  CHECK_FALSE(at::all(drawn.eq(drawn.slice(0, 0, 1))).item<bool>());

  Rng rng = draws();
  const auto log_p = [&](const Tensor& y) {
    return log_probabilities(model, x, y).mul(up_to_end(y, kEnd)).sum().item<double>();
  };
  const double greedy = log_p(model->translate(x, {.tokens = 4}, rng));
  const double mode = log_p(model->translate(x, {.tokens = 4, .beams = 400, .length_penalty = 0}, rng));
  CHECK(mode >= greedy - 1e-12);
  for (int64_t a = 0; a < 6; ++a) {  // 7^3 targets in all: none is likelier
    for (int64_t b = 0; b < 6; ++b) {
      CHECK(mode >= log_p(torch::tensor({{a, b, kEnd, kEnd}})) - 1e-12);
      CHECK(mode >= log_p(torch::tensor({{a, kEnd, kEnd, kEnd}})) - 1e-12);
    }
  }
}

TEST_CASE("the loss is the mean over all tokens of targets, their ends among them", "[models][encoder_decoder]") {
  EncoderDecoder model = sharp_model(small());
  const Tensor x = texts({3, 5}, 6, 1), y = texts({1, 4}, 5, 2);
  Rng rng = draws();
  const Tensor cost = -log_probabilities(model, x, y);
  const Tensor by_hand = (cost[0].slice(0, 0, 2).sum() + cost[1].sum()) / 7;
  CHECK_THAT(model->loss({x, y}, rng, 0).total, IsClose(by_hand, 1e-12));
}

TEST_CASE("smoothing spreads a share of the target over all tokens, in training only", "[models][encoder_decoder]") {
  EncoderDecoderConfig config = small();
  config.label_smoothing = 0.3;
  EncoderDecoder model = sharp_model(config);
  const Tensor x = texts({3, 5}, 6, 1), y = texts({1, 4}, 5, 2);
  Rng rng = draws();
  const Loss evaluated = model->loss({x, y}, rng, 0);
  CHECK(evaluated.terms.empty());
  model->train();
  const Loss trained = model->loss({x, y}, rng, 0);
  // Cross-entropy with targets of 0.7 + 0.3 / V on the token and 0.3 / V on the others.
  const Tensor log_p = model->pair_logits(x, y).log_softmax(-1);
  const Tensor target = at::one_hot(y, 7).to(torch::kDouble) * 0.7 + 0.3 / 7;
  const Tensor counts = up_to_end(y, kEnd).to(torch::kDouble);
  CHECK_THAT(trained.total, IsClose(-(target * log_p).sum(-1).mul(counts).sum() / counts.sum(), 1e-12));
  CHECK_THAT(trained.terms.at("nats_per_token"), IsClose(evaluated.total, 1e-12));
}

TEST_CASE("dropout draws in training alone, from the stream it is given", "[models][encoder_decoder]") {
  EncoderDecoderConfig config = small();
  config.dropout = 0.5;
  EncoderDecoder model = sharp_model(config);
  const Tensor x = texts({3, 5}, 6, 1), y = texts({1, 4}, 5, 2);
  const auto loss = [&](uint64_t seed) {
    Rng rng = draws(seed);
    return model->loss({x, y}, rng, 0).total.item<double>();
  };
  CHECK(loss(1) == loss(2));
  model->train();
  CHECK(loss(1) == loss(1));
  CHECK(loss(1) != loss(2));
}

TEST_CASE("gradients of the loss are its slopes", "[models][encoder_decoder]") {
  for (const NormPlace norm : kNorms) {
    EncoderDecoderConfig config = small(norm);
    config.label_smoothing = 0.1;
    EncoderDecoder model = sharp_model(config);
    model->train();
    const Batch batch{texts({3, 5}, 6, 1), texts({1, 4}, 5, 2)};
    const auto parameters = model->named_parameters();
    for (const char* name : {"token_embedding.weight", "encoder.0.within.query.weight",
                             "decoder.1.across.key_value.weight", "decoder.0.inner_place.norm.weight"}) {
      INFO(name);
      const Tensor* parameter = parameters.find(name);
      REQUIRE(parameter);
      Rng direction = draws(5);
      const Tensor d = direction.normal(parameter->sizes()).to(torch::kDouble);
      const auto value = [&](double h) {
        const torch::NoGradGuard no_grad;
        parameter->data().add_(d, h);
        Rng rng = draws();
        const double loss = model->loss(batch, rng, 0).total.item<double>();
        parameter->data().sub_(d, h);
        return loss;
      };
      Rng rng = draws();
      const Tensor gradient = torch::autograd::grad({model->loss(batch, rng, 0).total}, {*parameter})[0];
      const double slope = (value(1e-6) - value(-1e-6)) / 2e-6;
      CHECK((gradient * d).sum().item<double>() == Approx(slope).epsilon(1e-5));
    }
  }
}

TEST_CASE("an encoder-decoder has the paper's parameters and one embedding", "[models][encoder_decoder]") {
  Rng init = draws();
  DataSpec spec = pairs_spec(1000);
  const EncoderDecoder model(EncoderDecoderConfig{.n_layer = 3, .n_head = 4, .n_embd = 64, .n_inner = 256}, spec, init);
  const int64_t C = 64, attention = 4 * (C * C + C), inner = C * 256 + 256 + 256 * C + C, norm = 2 * C;
  CHECK(parameter_count(*model) ==
        1000 * C + 3 * (attention + inner + 2 * norm) + 3 * (2 * attention + inner + 3 * norm));
}

TEST_CASE("an encoder-decoder wants pairs, and channels that heads can share", "[models][encoder_decoder]") {
  using Catch::Matchers::Contains;
  DataSpec text = pairs_spec();
  text.kind = DataKind::tokens;
  Rng init = draws();
  CHECK_THROWS_WITH(EncoderDecoder(small(), text, init), Contains("wants pairs, such as addition"));
  const auto read = [](const char* yaml) {
    return read_config<EncoderDecoderConfig>(ConfigSource::from_text(yaml, "c.yaml"));
  };
  CHECK_THROWS_WITH(read("{n_embd: 30, n_head: 4}"), Contains("'n_embd' must be a multiple of 'n_head'"));
  CHECK_THROWS_WITH(read("{n_embd: 15, n_head: 3}"), Contains("'n_embd' must be even"));
  CHECK(read("{norm: before}").norm == NormPlace::before);
}

}  // namespace genzoo
