#include <array>
#include <cmath>
#include <functional>
#include <vector>

#include "core/error.h"
#include "models/recurrent/seq2seq.h"
#include "tests/models/small_recurrent.h"
#include "tests/support.h"

namespace genzoo {
namespace {

/// Every way to attend, to feed the decoder and to read the source, each in one of them at least.
std::vector<RecurrentSeq2SeqConfig> kinds() {
  RecurrentSeq2SeqConfig plain;
  plain.hidden = 10;
  plain.n_embd = 6;
  std::vector<RecurrentSeq2SeqConfig> all(5, plain);
  all[0].decoder_input = DecoderInput::state;
  all[0].n_embd = 0;
  all[1].cell = Cell::gru;
  all[1].n_layer = 2;
  all[1].reverse_source = true;
  all[2].attention = AttentionKind::bahdanau;
  all[2].n_layer = 2;
  all[3].attention = AttentionKind::luong;
  all[3].n_embd = 0;
  all[4].attention = AttentionKind::bahdanau;
  all[4].cell = Cell::gru;
  all[4].reverse_source = true;
  return all;
}

std::string name_of(const RecurrentSeq2SeqConfig& c) {
  return std::string(kCellNames[static_cast<int>(c.cell)]) + ", attention " +
         kAttentionKindNames[static_cast<int>(c.attention)] + ", decoder_input " +
         kDecoderInputNames[static_cast<int>(c.decoder_input)];
}

void for_each_kind(const std::function<void(RecurrentSeq2Seq&, const RecurrentSeq2SeqConfig&)>& law,
                   const DataSpec& spec = letter_pairs_spec()) {
  for (const RecurrentSeq2SeqConfig& config : kinds()) {
    DYNAMIC_SECTION(name_of(config)) {
      RecurrentSeq2Seq model = sharp_model<RecurrentSeq2Seq>(config, spec);
      const torch::NoGradGuard no_grad;
      law(model, config);
    }
  }
}

/// log p(y | x) up to and with the first end: (B)
Tensor log_p(RecurrentSeq2Seq& model, const Tensor& x, const Tensor& y, int64_t end) {
  const Tensor per_token = model->pair_logits(x, y).log_softmax(2).gather(2, y.unsqueeze(2)).squeeze(2);
  const Tensor ends = y.eq(end).to(torch::kLong);
  return (per_token * (ends.cumsum(1) - ends).eq(0)).sum(1);
}

int64_t parameters_of(const RecurrentSeq2SeqConfig& config, int64_t vocabulary) {
  Rng init = noise();
  int64_t count = 0;
  for (const Tensor& p : RecurrentSeq2Seq(config, letter_pairs_spec(vocabulary), init)->parameters())
    count += p.numel();
  return count;
}

TEST_CASE("the plain encoder-decoder has as many parameters as Keras' addition example",
          "[models][recurrent_seq2seq]") {
  RecurrentSeq2SeqConfig config;
  config.n_embd = 0;
  config.hidden = 128;
  config.decoder_input = DecoderInput::state;
  CHECK(parameters_of(config, 12) == 205'324);
  config.decoder_input = DecoderInput::previous;  // 12 inputs of the decoder for 128
  CHECK(parameters_of(config, 12) == 205'324 - 4 * 128 * (128 - 12));
}

TEST_CASE("what stands behind the end of a source changes nothing", "[models][recurrent_seq2seq]") {
  for_each_kind([](RecurrentSeq2Seq& model, const RecurrentSeq2SeqConfig&) {
    const Tensor x = random_texts(6, 6), y = random_texts(6, 5);
    const Tensor z = model->pair_logits(x, y);
    REQUIRE(z.sizes() == at::IntArrayRef({6, 5, kLetters}));
    const Tensor longer = torch::cat({x, torch::full({6, 3}, kEnd, torch::kLong)}, 1);
    CHECK_THAT(model->pair_logits(longer, y), IsClose(z, 1e-12));
    Tensor other = longer.clone();  // and be it no padding
    for (int64_t i = 0; i < 6; ++i) other[i].slice(0, i + 1).copy_(random_tokens({8 - i}));
    CHECK_THAT(model->pair_logits(other, y), IsClose(z, 1e-12));
    for (int64_t i = 0; i < 6; ++i) {
      CHECK_THAT(model->pair_logits(x.narrow(0, i, 1).slice(1, 0, i + 1), y.narrow(0, i, 1))[0], IsClose(z[i], 1e-12));
    }
    Rng rng = noise();
    const Tensor more = torch::cat({y, torch::full({6, 2}, kEnd, torch::kLong)}, 1);
    CHECK_THAT(model->loss({x, more}, rng, 0).total, IsClose(model->loss({x, y}, rng, 0).total, 1e-12));
  });
}

TEST_CASE("every source token up to its end matters to a recurrent encoder-decoder", "[models][recurrent_seq2seq]") {
  for_each_kind([](RecurrentSeq2Seq& model, const RecurrentSeq2SeqConfig&) {
    const Tensor x = torch::tensor({{1, 2, 3, 4, 6}}), y = random_texts(1, 5);
    const Tensor z = model->pair_logits(x, y);
    for (int64_t s = 0; s < 4; ++s) {
      Tensor changed = x.clone();
      changed[0][s] = 5;
      CHECK((model->pair_logits(changed, y) - z).abs().amax(2).min().item<double>() > 1e-9);
    }
    CHECK((model->pair_logits(torch::tensor({{2, 1, 3, 4, 6}}), y) - z).abs().max().item<double>() > 1e-9);
  });
}

TEST_CASE("a decoder sees the target tokens before, and no others", "[models][recurrent_seq2seq]") {
  for_each_kind([](RecurrentSeq2Seq& model, const RecurrentSeq2SeqConfig& config) {
    const Tensor x = random_texts(2, 6), y = random_tokens({2, 5}, kLetters - 1);
    const Tensor z = model->pair_logits(x, y);
    for (int64_t t = 0; t < 5; ++t) {
      Tensor changed = y.clone();
      changed.select(1, t).add_(1).remainder_(kLetters - 1);
      const Tensor difference = (model->pair_logits(x, changed) - z).abs().amax(-1);  // (B, T)
      CHECK(difference.slice(1, 0, t + 1).max().item<double>() == 0);
      if (t == 4) continue;
      if (config.decoder_input == DecoderInput::state) {
        CHECK(difference.max().item<double>() == 0);
      } else {
        CHECK(difference.slice(1, t + 1).min().item<double>() > 1e-9);
      }
    }
  });
}

TEST_CASE("the loss is the mean cost of the target tokens up to and with their ends", "[models][recurrent_seq2seq]") {
  for_each_kind([](RecurrentSeq2Seq& model, const RecurrentSeq2SeqConfig&) {
    const Tensor x = random_texts(6, 6), y = random_texts(6, 5);  // of 1, 2, 3, 4, 5 and 1 tokens
    Rng rng = noise();
    CHECK(model->loss({x, y}, rng, 0).total.item<double>() ==
          Approx(-log_p(model, x, y, kEnd).sum().item<double>() / 16).epsilon(1e-10));
  });
}

TEST_CASE("dropout of a recurrent encoder-decoder is in training only", "[models][recurrent_seq2seq]") {
  for (RecurrentSeq2SeqConfig config : kinds()) {
    config.dropout = 0.4;
    RecurrentSeq2Seq model = sharp_model<RecurrentSeq2Seq>(config, letter_pairs_spec());
    const torch::NoGradGuard no_grad;
    const Batch batch{random_texts(6, 6), random_texts(6, 5)};
    const auto loss = [&](uint64_t seed) {
      Rng rng = noise(seed);
      return model->loss(batch, rng, 0).total.item<double>();
    };
    INFO(name_of(config));
    CHECK(loss(1) == loss(1));
    CHECK(loss(1) != loss(2));
    model->eval();
    CHECK(loss(1) == loss(2));
  }
}

TEST_CASE("probabilities of all targets sum to one, and the widest beam finds their mode",
          "[models][recurrent_seq2seq]") {
  constexpr int64_t V = 3, kLast = V - 1;
  for_each_kind(
      [](RecurrentSeq2Seq& model, const RecurrentSeq2SeqConfig&) {
        // Targets of at most three tokens, and the prefixes of those that are longer.
        std::vector<std::vector<int64_t>> rows;
        for (int64_t a = 0; a < V; ++a) {
          for (int64_t b = 0; b < V; ++b) {
            for (int64_t c = 0; c < V; ++c) {
              if ((a == kLast && b + c < 2 * kLast) || (b == kLast && c < kLast)) continue;
              rows.push_back({a, b, c});
            }
          }
        }
        std::vector<Tensor> targets;
        for (const auto& row : rows) targets.push_back(torch::tensor(row));
        const Tensor y = torch::stack(targets);
        for (int64_t source = 0; source < 3; ++source) {
          const Tensor x = random_texts(4, 4, V)[source].unsqueeze(0);
          const Tensor p = log_p(model, x.expand({y.size(0), -1}), y, kLast);
          CHECK(p.exp().sum().item<double>() == Approx(1).epsilon(1e-12));
          const Tensor ended = y.select(1, 2).eq(kLast);
          const Tensor mode = y[p.masked_fill(ended.logical_not(), -1e9).argmax()];
          Rng rng = noise();
          CHECK(model->translate(x, {.tokens = 3, .beams = V * V * V, .length_penalty = 0}, rng)[0].equal(mode));
        }
      },
      letter_pairs_spec(V, 4, 3));
}

TEST_CASE("a recurrent encoder-decoder translates greedily as its logits say, whatever it has kept",
          "[models][recurrent_seq2seq]") {
  for_each_kind([](RecurrentSeq2Seq& model, const RecurrentSeq2SeqConfig&) {
    const Tensor x = random_texts(6, 6);
    Rng rng = noise();
    const Tensor y = model->translate(x, {}, rng);
    REQUIRE(y.sizes() == at::IntArrayRef({6, 5}));  // the longest target of the data
    const Tensor likeliest = model->pair_logits(x, y).argmax(2);
    for (int64_t i = 0; i < 6; ++i) {
      for (int64_t t = 0; t < 4; ++t) {
        CHECK(y[i][t].item<int64_t>() == likeliest[i][t].item<int64_t>());
        if (y[i][t].item<int64_t>() == kEnd) {
          CHECK(y[i].slice(0, t).eq(kEnd).all().item<bool>());
          break;
        }
      }
    }
    // Hypotheses change places within a beam, and what is kept with them.
    const Tensor beams = model->translate(x, {.tokens = 8, .beams = 4}, rng);
    for (int64_t i = 0; i < 6; ++i) {
      CHECK(model->translate(x.narrow(0, i, 1), {.tokens = 8, .beams = 4}, rng)[0].equal(beams[i]));
    }
    const Tensor narrow = model->translate(x, {.tokens = 8, .length_penalty = 0}, rng);
    const Tensor wide = model->translate(x, {.tokens = 8, .beams = 6, .length_penalty = 0}, rng);
    CHECK(log_p(model, x, wide, kEnd).sum().item<double>() >= log_p(model, x, narrow, kEnd).sum().item<double>());
  });
}

TEST_CASE("translations are drawn each from its own stream", "[models][recurrent_seq2seq]") {
  for_each_kind([](RecurrentSeq2Seq& model, const RecurrentSeq2SeqConfig&) {
    const Tensor x = random_texts(1, 6).expand({20, -1});
    Rng many = Rng::for_rows(7, Purpose::sample, 0, 20);
    const Tensor drawn = model->translate(x, {.draw = true}, many);
    for (int64_t i = 0; i < 3; ++i) {
      Rng one = Rng::for_rows(7, Purpose::sample, static_cast<uint64_t>(i), 1);
      CHECK(model->translate(x.narrow(0, i, 1), {.draw = true}, one)[0].equal(drawn[i]));
    }
    CHECK((drawn != drawn[0]).any().item<bool>());
  });
}

TEST_CASE("a recurrent encoder-decoder refuses what it cannot model", "[models][recurrent_seq2seq]") {
  Rng init = noise();
  CHECK_THROWS_AS(RecurrentSeq2SeqImpl(kinds()[0], letters_spec(), init), UsageError);
  RecurrentSeq2Seq model = sharp_model<RecurrentSeq2Seq>(kinds()[0], letter_pairs_spec());
  CHECK_THROWS_AS(model->translate(random_texts(1, 6), {.tokens = -1}, init), UsageError);
}

}  // namespace
}  // namespace genzoo
