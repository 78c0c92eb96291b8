#include "models/recurrent/recurrent.h"

#include <array>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "models/decoding.h"
#include "tests/models/relative_error.h"
#include "tests/models/small_recurrent.h"
#include "tests/support.h"

namespace genzoo {
namespace {

constexpr std::array kCells = {Cell::lstm, Cell::gru};

RecurrentConfig small(Cell cell) { return {.cell = cell, .n_layer = 2, .n_embd = 10, .hidden = 10, .block_size = 8}; }

Recurrent sharp(Cell cell, int64_t vocabulary = kLetters) {
  return sharp_model<Recurrent>(small(cell), letters_spec(vocabulary));
}

// --- Cells -----------------------------------------------------------------------------------------------------------

/// Everything a sequence goes into and comes out of, in float32.
struct Sequence {
  Sequence(Cell cell_, int64_t T, int64_t B, int64_t H) : cell(cell_) {
    Rng rng = noise(5);
    z = rng.normal({T, B, gates_of(cell) * H}).requires_grad_();
    weight = (rng.normal({gates_of(cell) * H, H}) / std::sqrt(static_cast<double>(H))).requires_grad_();
    start.h = rng.normal({B, H}).requires_grad_();
    if (cell == Cell::lstm) start.c = rng.normal({B, H}).requires_grad_();
    dh = rng.normal({T, B, H});
    dc = rng.normal({T, B, H});
  }

  std::vector<Tensor> inputs() const {
    std::vector<Tensor> all{z, weight, start.h};
    if (start.c.defined()) all.push_back(start.c);
    return all;
  }

  Cell cell;
  Tensor z, weight;
  CellState start;
  Tensor dh, dc;  ///< gradients of what comes out
};

TEST_CASE("a sequence in one node is its steps one by one, gradients too", "[models][recurrent]") {
  for (const Cell cell : kCells) {
    for (const auto& [T, B, H] : {std::array<int64_t, 3>{1, 1, 1}, {7, 3, 5}, {20, 32, 64}}) {
      for (const bool cells_too : {false, true}) {
        if (cells_too && cell == Cell::gru) continue;
        INFO(kCellNames[static_cast<int>(cell)] << " of " << T << " steps, " << B << " sequences, " << H << " hidden");
        const Sequence s(cell, T, B, H);
        const auto run = [&](auto&& by) {
          const CellStates states = by(cell, s.z, s.weight, s.start);
          Tensor weighed = (states.h * s.dh).sum();
          if (cells_too) weighed = weighed + (states.c * s.dc).sum();
          return std::pair{states, torch::autograd::grad({weighed}, s.inputs())};
        };
        const auto [fused, gradients] = run(run_cell);
        const auto [plain, expected] = run(run_cell_by_steps);
        CHECK(fused.h.grad_fn()->name() != plain.h.grad_fn()->name());  // there are two ways to compare
        CHECK(relative_error(fused.h, plain.h) < 1e-5);
        REQUIRE(fused.c.defined() == (cell == Cell::lstm));
        if (cell == Cell::lstm) CHECK(relative_error(fused.c, plain.c) < 1e-5);
        for (size_t i = 0; i < expected.size(); ++i) CHECK(relative_error(gradients[i], expected[i]) < 1e-5);
        const torch::NoGradGuard no_grad;
        CHECK(run_cell(cell, s.z, s.weight, s.start).h.equal(fused.h));
      }
    }
  }
}

TEST_CASE("gradients of a recurrent cell have gradients", "[models][recurrent]") {
  for (const Cell cell : kCells) {
    const Sequence s(cell, 4, 2, 3);
    const auto twice = [&](auto&& by) {
      const Tensor h = by(cell, s.z, s.weight, s.start).h;
      const auto once = torch::autograd::grad({h.square().sum()}, {s.weight}, {}, true, /*create_graph=*/true);
      return torch::autograd::grad({once[0].square().sum()}, {s.z})[0];
    };
    CHECK(relative_error(twice(run_cell), twice(run_cell_by_steps)) < 1e-5);
  }
}

TEST_CASE("a cell's steps are its papers'", "[models][recurrent]") {
  const double z = 0.3, h = -0.4, c = 0.7, w = 0.5;  // one channel, written out
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  const auto of = [](double v) { return torch::full({1, 1}, v, torch::kDouble); };
  {
    const Tensor zs = torch::tensor({{z, 2 * z, 3 * z, 4 * z}}, torch::kDouble);
    const Tensor ws = torch::tensor({w, -w, 2 * w, 3 * w}, torch::kDouble).unsqueeze(1);
    const CellState next = cell_step(Cell::lstm, zs, ws, {of(h), of(c)});
    const double kept = sigmoid(2 * z - w * h) * c + sigmoid(z + w * h) * std::tanh(3 * z + 2 * w * h);
    CHECK(next.c.item<double>() == Approx(kept));
    CHECK(next.h.item<double>() == Approx(sigmoid(4 * z + 3 * w * h) * std::tanh(kept)));
  }
  const Tensor zs = torch::tensor({{z, 2 * z, 3 * z}}, torch::kDouble);
  const Tensor ws = torch::tensor({w, -w, 2 * w}, torch::kDouble).unsqueeze(1);
  const double u = sigmoid(2 * z - w * h), n = std::tanh(3 * z + sigmoid(z + w * h) * 2 * w * h);
  CHECK(cell_step(Cell::gru, zs, ws, {of(h), {}}).h.item<double>() == Approx((1 - u) * n + u * h));
}

// --- Architecture ----------------------------------------------------------------------------------------------------

TEST_CASE("a recurrent model has one bias a gate, and forget gates that begin open", "[models][recurrent]") {
  Rng init = noise();
  const Recurrent lstm(RecurrentConfig{.n_layer = 2, .n_embd = 12, .hidden = 20, .tie_weights = false}, letters_spec(),
                       init);
  int64_t count = 0;
  for (const auto& item : lstm->named_parameters()) {
    count += item.value().numel();
    const std::string& name = item.key();
    INFO(name);
    if (name.find("bias") != std::string::npos) {
      CHECK(item.value().slice(0, 20, 40).eq(1).all().item<bool>());
      CHECK(item.value().slice(0, 0, 20).abs().max().item<double>() < 1 / std::sqrt(20.0));
    } else if (name.find("cells") != std::string::npos) {
      CHECK(item.value().abs().max().item<double>() < 1 / std::sqrt(20.0));
      CHECK(item.value().std().item<double>() == Approx(1 / std::sqrt(60.0)).epsilon(0.1));
    }
  }
  // Embedding, (inputs + hidden + 1 bias) of four gates in each layer, output.
  CHECK(count == 7 * 12 + 4 * 20 * (12 + 20 + 1) + 4 * 20 * (20 + 20 + 1) + 7 * 20);
  const auto names = lstm->named_parameters();
  for (const char* name : {"token_embedding.weight", "cells.weight_ih_l0", "cells.weight_hh_l1", "cells.bias_ih_l1"}) {
    CHECK(names.contains(name));
  }
}

TEST_CASE("a fresh recurrent model predicts all tokens alike", "[models][recurrent]") {
  for (const Cell cell : kCells) {
    Rng init = noise(), rng = noise();
    RecurrentConfig config;
    config.cell = cell;
    Recurrent model(config, letters_spec(65), init);
    const Batch batch{random_tokens({4, 64}, 65), random_tokens({4, 64}, 65, 9)};
    CHECK(model->loss(batch, rng, 0).total.item<double>() == Approx(std::log(65.0)).margin(0.05));
  }
}

TEST_CASE("a recurrent model is causal", "[models][recurrent]") {
  for (const Cell cell : kCells) {
    Recurrent model = sharp(cell);
    const torch::NoGradGuard no_grad;
    const Tensor x = random_tokens({2, 8});
    const Tensor before = model->forward(x);
    for (int64_t t = 0; t < 8; ++t) {
      Tensor changed = x.clone();
      changed.select(1, t).add_(1).remainder_(kLetters);
      const Tensor difference = (model->forward(changed) - before).abs().amax(-1);  // (B, T)
      if (t > 0) CHECK(difference.slice(1, 0, t).max().item<double>() == 0);
      CHECK(difference.slice(1, t, 8).min().item<double>() > 1e-9);  // and what it has read, it knows
    }
  }
}

TEST_CASE("a recurrent model refuses what it cannot model", "[models][recurrent]") {
  Rng init = noise();
  CHECK_THROWS_AS(RecurrentImpl(small(Cell::lstm), letter_pairs_spec(), init), UsageError);
  DataSpec vectors;
  vectors.shape = {2};
  CHECK_THROWS_AS(RecurrentImpl(small(Cell::lstm), vectors, init), UsageError);
}

// --- Likelihood ------------------------------------------------------------------------------------------------------

TEST_CASE("a recurrent model's probabilities of all texts sum to one", "[models][recurrent]") {
  for (const Cell cell : kCells) {
    Recurrent model = sharp(cell, 4);
    const torch::NoGradGuard no_grad;
    const Tensor v = torch::arange(4);
    const Tensor texts = torch::cartesian_prod({v, v, v});                           // all 64 of three tokens
    const Tensor x = torch::cat({torch::full({64, 1}, 2, torch::kLong), texts}, 1);  // after a given first one
    Rng rng = noise();
    const Tensor log_p = model->log_prob(x, 1, rng);
    CHECK(log_p.sizes() == at::IntArrayRef({64}));
    CHECK(log_p.exp().sum().item<double>() == Approx(1.0).epsilon(1e-12));
    CHECK(log_p.std().item<double>() > 0.1);  // and they differ
  }
}

TEST_CASE("loss, token_log_prob and log_prob of a recurrent model are one likelihood", "[models][recurrent]") {
  RecurrentConfig config = small(Cell::gru);
  config.dropout = 0.5;
  Recurrent model = sharp_model<Recurrent>(config, letters_spec());
  Rng rng = noise();
  const Tensor text = random_tokens({3, 9});
  const Tensor x = text.slice(1, 0, 8), y = text.slice(1, 1, 9);
  const Tensor per_token = model->token_log_prob(x, y);
  CHECK(per_token.sizes() == at::IntArrayRef({3, 8}));
  CHECK_THAT(per_token, IsClose(model->forward(x).log_softmax(-1).gather(-1, y.unsqueeze(-1)).squeeze(-1), 1e-12));
  CHECK_THAT(model->log_prob(text, 1, rng), IsClose(per_token.sum(1), 1e-12));
  CHECK_THAT(model->log_prob(text.slice(1, 0, 1), 1, rng), IsClose(torch::zeros({3})));
  const double trained = model->loss({x, y}, rng, 0).total.item<double>();
  model->eval();
  CHECK_THAT(model->loss({x, y}, rng, 0).total, IsClose(-per_token.mean(), 1e-12));
  CHECK(std::abs(trained + per_token.mean().item<double>()) > 1e-3);  // dropout is in training
}

// --- Text ------------------------------------------------------------------------------------------------------------

TEST_CASE("a recurrent model's text is the likeliest token of the whole text before it, always",
          "[models][recurrent]") {
  for (const Cell cell : kCells) {
    Recurrent model = sharp(cell);
    const torch::NoGradGuard no_grad;
    const Tensor prompt = random_tokens({3, 5});
    Rng rng = noise();
    const Tensor text = model->generate(prompt, {.tokens = 20, .greedy = true}, rng);  // beyond the context, too
    for (int64_t n = 5; n < 25; ++n) {
      CHECK(text.select(1, n).equal(model->forward(text.slice(1, 0, n)).select(1, -1).argmax(1)));
    }
    CHECK(text.equal(model->generate(prompt, {.tokens = 20, .greedy = true, .cache = false}, rng)));
    CHECK_FALSE(text[0].equal(text[1]));
  }
}

TEST_CASE("a recurrent model's texts are drawn each from its own stream", "[models][recurrent]") {
  Recurrent model = sharp(Cell::lstm);
  const Tensor prompt = random_tokens({1, 3});
  Rng five = Rng::for_rows(7, Purpose::sample, 0, 5);
  const GenerateOptions options{.tokens = 12, .temperature = 0.9, .top_k = 5};
  const Tensor texts = model->generate(prompt.expand({5, -1}), options, five);
  for (int64_t i = 0; i < 5; ++i) {
    Rng one = Rng::for_rows(7, Purpose::sample, static_cast<uint64_t>(i), 1);
    CHECK(model->generate(prompt, options, one).equal(texts.slice(0, i, i + 1)));
  }
  CHECK_FALSE(texts[0].equal(texts[1]));
}

TEST_CASE("prompts of unequal length go on together as they do alone", "[models][recurrent]") {
  for (const bool cache : {false, true}) {
    Recurrent model = sharp(Cell::lstm);
    const Tensor prompt = random_tokens({3, 6});
    Rng rng = noise();
    GenerateOptions options{.tokens = 9, .greedy = true, .repetition_penalty = 1.3, .prompt_lengths = {6, 1, 4}};
    options.cache = cache;
    const Tensor together = model->generate(prompt, options, rng);
    for (int64_t i = 0; i < 3; ++i) {
      const int64_t length = options.prompt_lengths[static_cast<size_t>(i)];
      GenerateOptions alone = options;
      alone.prompt_lengths.clear();
      const Tensor text = model->generate(prompt.narrow(0, i, 1).slice(1, 6 - length), alone, rng);
      CHECK(text[0].slice(0, length).equal(together[i].slice(0, 6)));
    }
  }
}

TEST_CASE("a token that stands in the text is as much less likely as asked for", "[models][recurrent]") {
  Recurrent model = sharp(Cell::gru);
  const torch::NoGradGuard no_grad;
  const Tensor prompt = torch::tensor({{1, 4}});
  Rng rng = noise();
  const Tensor text = model->generate(prompt, {.tokens = 12, .greedy = true, .repetition_penalty = 20}, rng);
  for (int64_t n = 2; n < 14; ++n) {
    const Tensor before = text.slice(1, 0, n), logits = model->forward(before).select(1, -1);
    CHECK(text[0][n].item<int64_t>() == penalize_repetition(logits, before, {}, 20).argmax(1).item<int64_t>());
  }
  CHECK_FALSE(text.equal(model->generate(prompt, {.tokens = 12, .greedy = true}, rng)));
  const Tensor logits = torch::tensor({{2.0, -1.0, 0.5}});
  CHECK_THAT(penalize_repetition(logits, torch::tensor({{0, 1}}), {}, 2), IsClose(torch::tensor({{1.0, -2.0, 0.5}})));
  CHECK_THAT(penalize_repetition(logits, torch::tensor({{0, 1}}), torch::tensor({1}), 2),
             IsClose(torch::tensor({{2.0, -2.0, 0.5}})));
}

TEST_CASE("rows that go on no more repeat their last token, and the text ends with the last of them",
          "[models][recurrent]") {
  Recurrent model = sharp(Cell::lstm);
  const Tensor prompt = random_tokens({3, 2});
  std::vector<std::vector<int64_t>> heard(3);
  GenerateOptions options{.tokens = 20};
  options.goes_on = [&](int64_t row, int64_t token) {
    heard[static_cast<size_t>(row)].push_back(token);
    return static_cast<int64_t>(heard[static_cast<size_t>(row)].size()) < 3 + 2 * row;
  };
  Rng rng = Rng::for_rows(0, Purpose::sample, 0, 3), same = Rng::for_rows(0, Purpose::sample, 0, 3);
  const Tensor text = model->generate(prompt, options, rng);
  const Tensor whole = model->generate(prompt, {.tokens = 20}, same);
  REQUIRE(text.sizes() == at::IntArrayRef({3, 2 + 7}));
  for (int64_t row = 0; row < 3; ++row) {
    const int64_t own = 3 + 2 * row;
    REQUIRE(static_cast<int64_t>(heard[static_cast<size_t>(row)].size()) == own);
    CHECK(text[row].slice(0, 0, 2 + own).equal(whole[row].slice(0, 0, 2 + own)));
    CHECK(text[row].slice(0, 2 + own).eq(text[row][1 + own]).all().item<bool>());
  }
}

TEST_CASE("a recurrent model refuses to continue what it cannot", "[models][recurrent]") {
  Recurrent model = sharp(Cell::lstm);
  Rng rng = noise();
  const Tensor prompt = random_tokens({1, 3});
  CHECK_THROWS_AS(model->generate(prompt.slice(1, 0, 0), {}, rng), UsageError);
  CHECK_THROWS_AS(model->generate(torch::tensor({{kLetters}}), {}, rng), UsageError);
  CHECK_THROWS_AS(model->generate(prompt, {.repetition_penalty = 0}, rng), UsageError);
  CHECK_THROWS_AS(model->generate(prompt, {.prompt_lengths = {4}}, rng), UsageError);
  CHECK_THROWS_AS(model->generate(prompt, {.prompt_lengths = {1, 2}}, rng), UsageError);
  CHECK_THROWS_AS(model->generate(prompt, {.weight_type = WeightType::int8}, rng), UsageError);
  GenerateOptions drafted;
  drafted.draft.model = model.ptr();
  CHECK_THROWS_AS(model->generate(prompt, drafted, rng), UsageError);
}

TEST_CASE("a recurrent model in bfloat16 keeps its likelihood in float32", "[models][recurrent]") {
  Recurrent model = sharp(Cell::lstm);
  const torch::NoGradGuard no_grad;
  const Tensor x = random_tokens({2, 8});
  const Tensor exact = model->forward(x);
  model->to(torch::kBFloat16);
  const Tensor rounded = model->forward(x);
  CHECK(rounded.scalar_type() == torch::kFloat);
  CHECK((rounded - exact).abs().max().item<double>() < 0.1 * exact.abs().max().item<double>());
}

}  // namespace
}  // namespace genzoo
