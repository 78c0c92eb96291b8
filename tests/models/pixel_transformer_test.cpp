#include "models/transformer/pixel_transformer.h"

#include <ATen/Context.h>

#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "core/error.h"
#include "models/decoding.h"
#include "models/transformer/transformer.h"
#include "tests/support.h"
#include "tests/trainers/tiny_experiment.h"
#include "trainers/estimate.h"

namespace genzoo {
namespace {

DataSpec images(std::vector<int64_t> shape, int64_t levels) {
  DataSpec spec;
  spec.dataset = "pictures";
  spec.kind = DataKind::images;
  spec.shape = std::move(shape);
  spec.levels = levels;
  return spec;
}

Rng draws(uint64_t seed = 2) { return Rng::for_batch(seed, Purpose::loss, 0); }

Tensor random_images(int64_t n, const DataSpec& spec) {
  return Rng::for_batch(3, Purpose::batch, 0)
      .integers(spec.levels, {n, spec.shape[0], spec.shape[1], spec.shape[2]})
      .to(torch::kByte);
}

PixelTransformerConfig small(int64_t layers = 2, double dropout = 0) {
  return {.n_layer = layers, .n_head = 2, .n_embd = 16, .dropout = dropout};
}

PixelTransformer fresh(const PixelTransformerConfig& config, const DataSpec& spec) {
  Rng init = Rng::for_batch(1, Purpose::initialization, 0);
  return PixelTransformer(config, spec, init);
}

/// A model in double with weights ten times those of a fresh one, so that attention is far from uniform and mistakes
/// show.
PixelTransformer sharp(const DataSpec& spec, const PixelTransformerConfig& config = small()) {
  PixelTransformer model = fresh(config, spec);
  Rng noise = draws(5);
  const torch::NoGradGuard no_grad;
  for (Tensor& p : model->parameters()) p.dim() == 2 ? p.mul_(10) : p.add_(noise.normal(p.sizes()), 0.1);
  model->to(torch::kDouble);
  return model;
}

/// Every image of the shape: (levels^D, K, H, W).
Tensor all_images(const DataSpec& spec) {
  const std::vector<Tensor> each(static_cast<size_t>(spec.dims()), torch::arange(spec.levels));
  return torch::cartesian_prod(each).view({-1, spec.shape[0], spec.shape[1], spec.shape[2]}).to(torch::kByte);
}

/// The view of value t, in the order the model has them: row by row, in a row pixel by pixel, in a pixel its channels.
Tensor value(const Tensor& x, int64_t t) {
  const int64_t K = x.size(1), W = x.size(3);
  return x.select(3, t / K % W).select(2, t / K / W).select(1, t % K);
}

/// The first place of (B, D, V) logits at which two differ; D when nowhere.
int64_t first_difference(const Tensor& a, const Tensor& b) {
  const Tensor differs = (a - b).abs().amax(-1).amax(0).gt(1e-9);
  return differs.any().item<bool>() ? differs.to(torch::kByte).argmax(0).item<int64_t>() : a.size(1);
}

// --- Order and places ----------------------------------------------------------------------------------------------

TEST_CASE("a pixel is predicted from those before it in raster order, and its channels from each other",
          "[models][pixel_transformer]") {
  for (const DataSpec& spec : {images({1, 3, 2}, 4), images({3, 2, 2}, 4)}) {
    DYNAMIC_SECTION(spec.describe()) {
      PixelTransformer model = sharp(spec);
      const torch::NoGradGuard no_grad;
      const Tensor x = random_images(2, spec);
      const Tensor before = model->forward(x);
      REQUIRE(before.sizes() == at::IntArrayRef({2, spec.dims(), 4}));
      for (int64_t t = 0; t < spec.dims(); ++t) {
        Tensor changed = x.clone();
        value(changed, t).add_(1).remainder_(4);
        const Tensor difference = (model->forward(changed) - before).abs().amax(-1);  // (B, D)
        CAPTURE(t);
        CHECK(difference.slice(1, 0, t + 1).max().item<double>() == 0);  // its own prediction included
        if (t + 1 < spec.dims()) CHECK(difference.slice(1, t + 1).min().item<double>() > 1e-9);
      }
    }
  }
}

TEST_CASE("a row, a column and a channel are known from their first value on", "[models][pixel_transformer]") {
  const DataSpec spec = images({3, 2, 4}, 4);
  PixelTransformer model = sharp(spec);
  const torch::NoGradGuard no_grad;
  const Tensor x = random_images(2, spec);
  const Tensor before = model->forward(x);
  const auto first_change = [&](const std::string& table, int64_t entry) {
    Tensor row = model->named_parameters()[table + "_embedding.weight"][entry];
    const Tensor kept = row.clone();
    row.add_(torch::arange(16, torch::kDouble), 0.1);  // not the same to all channels, which the norm would remove
    const int64_t place = first_difference(model->forward(x), before);
    row.copy_(kept);
    return place;
  };
  for (int64_t r = 0; r < 2; ++r) CHECK(first_change("row", r) == r * 4 * 3);
  for (int64_t c = 0; c < 4; ++c) CHECK(first_change("column", c) == c * 3);
  for (int64_t k = 0; k < 3; ++k) CHECK(first_change("channel", k) == k);
  CHECK(first_change("token", 4) == 0);  // the start token
}

// --- Likelihood ----------------------------------------------------------------------------------------------------

TEST_CASE("a pixel transformer's probabilities of all images sum to one", "[models][pixel_transformer]") {
  for (const DataSpec& spec :
       {images({1, 2, 2}, 2), images({1, 1, 3}, 3), images({3, 1, 1}, 2), images({2, 2, 1}, 3)}) {
    DYNAMIC_SECTION(spec.describe()) {
      PixelTransformer model = sharp(spec);
      const torch::NoGradGuard no_grad;
      const Tensor x = all_images(spec);
      Rng rng = draws();
      const Tensor log_p = model->log_prob(x, 1, rng);
      REQUIRE(log_p.sizes() == at::IntArrayRef({x.size(0)}));
      CHECK(log_p.exp().sum().item<double>() == Approx(1.0).epsilon(1e-12));
      CHECK(log_p.std().item<double>() > 0.1);  // and they differ
    }
  }
}

TEST_CASE("loss and log_prob are one likelihood, of each pixel given those before", "[models][pixel_transformer]") {
  const DataSpec spec = images({3, 2, 3}, 5);
  PixelTransformer model = sharp(spec, small(2, 0.5));
  Rng rng = draws();
  const Tensor x = random_images(4, spec);
  const Tensor log_p = model->log_prob(x, 1, rng);
  Tensor expected = torch::zeros({4}, torch::kDouble);
  const Tensor each = model->forward(x).log_softmax(-1);  // (B, D, V)
  for (int64_t t = 0; t < spec.dims(); ++t) {
    expected += each.select(1, t).gather(1, value(x, t).to(torch::kLong).unsqueeze(1)).squeeze(1);
  }
  CHECK_THAT(log_p, IsClose(expected, 1e-10));
  model->eval();
  const Loss loss = model->loss({x, {}}, rng, 0);
  CHECK_THAT(loss.total, IsClose(-log_p.mean(), 1e-10));
  CHECK_THAT(loss.terms.at("bits_per_dim"), IsClose(-log_p.mean() / (18 * std::numbers::ln2), 1e-10));
  CHECK(model->likelihood().kind == LikelihoodKind::exact);
}

TEST_CASE("a fresh pixel transformer finds all levels alike", "[models][pixel_transformer]") {
  for (const int64_t levels : {2, 256}) {
    const DataSpec spec = images({1, 12, 12}, levels);
    PixelTransformer model = fresh({}, spec);
    Rng rng = draws();
    const Loss loss = model->loss({random_images(4, spec), {}}, rng, 0);
    CHECK(loss.total.item<double>() == Approx(144 * std::log(static_cast<double>(levels))).epsilon(0.02));
    CHECK(loss.terms.at("bits_per_dim").item<double>() == Approx(std::log2(levels)).epsilon(0.02));
  }
}

TEST_CASE("gradients reach every parameter of a pixel transformer", "[models][pixel_transformer]") {
  for (const DataSpec& spec : {images({1, 3, 3}, 4), images({3, 3, 3}, 4)}) {
    PixelTransformer model = sharp(spec, small(2, 0.1));
    Rng rng = draws();
    model->loss({random_images(16, spec), {}}, rng, 0).total.backward();
    for (const auto& item : model->named_parameters()) {
      INFO(spec.describe() << ", " << item.key());
      REQUIRE(item.value().grad().defined());
      const bool table = item.key().find("embedding") != std::string::npos;
      const Tensor size = table ? item.value().grad().abs().amax(1) : item.value().grad().abs().max();
      CHECK(size.min().item<double>() > 1e-9);  // of a table: of every entry, the start token's too
    }
  }
}

// --- Samples -------------------------------------------------------------------------------------------------------

/// The same draws without caches: every value from the whole network over what has been drawn so far, the first whose
/// cumulative probability exceeds the value's own uniform number.
Tensor sample_without_cache(PixelTransformer& model, const DataSpec& spec, int64_t n, Rng& rng, double temperature) {
  const torch::NoGradGuard no_grad;
  Tensor x = torch::zeros({n, spec.shape[0], spec.shape[1], spec.shape[2]}, torch::kByte);
  const Tensor u = rng.uniform_like(torch::empty({n, spec.dims()}, torch::kDouble));
  for (int64_t t = 0; t < spec.dims(); ++t) {
    const Tensor logits = model->forward(x).select(1, t);
    const Tensor cumulative = next_token_probabilities(logits, {.temperature = temperature}).cumsum(1);
    value(x, t).copy_(cumulative.le(u.slice(1, t, t + 1)).sum(1));
  }
  return x;
}

TEST_CASE("images drawn with cached keys and values are those drawn without", "[models][pixel_transformer]") {
  for (const DataSpec& spec : {images({1, 4, 5}, 7), images({3, 2, 3}, 4)}) {
    PixelTransformer model = sharp(spec);
    for (const double temperature : {1.0, 0.5}) {
      CAPTURE(spec.describe(), temperature);
      Rng rng = draws(), same = draws();
      const Tensor x = model->sample(19, rng, {.temperature = temperature});
      CHECK(x.scalar_type() == torch::kByte);
      CHECK(x.equal(sample_without_cache(model, spec, 19, same, temperature)));
      CHECK_FALSE(x[0].equal(x[1]));
    }
  }
}

TEST_CASE("drawn images have the model's frequencies", "[models][pixel_transformer]") {
  for (const DataSpec& spec : {images({1, 1, 3}, 3), images({3, 1, 1}, 2)}) {
    PixelTransformer model = sharp(spec);
    const int64_t n = 20000;
    Rng rng = draws();
    const Tensor drawn = model->sample(n, rng, {}).flatten(1).to(torch::kLong);
    const Tensor places = torch::tensor({spec.levels * spec.levels, spec.levels, int64_t{1}});
    const Tensor count = torch::bincount((drawn * places).sum(1), {}, all_images(spec).size(0)).to(torch::kDouble);
    const torch::NoGradGuard no_grad;
    const Tensor p = model->log_prob(all_images(spec), 1, rng).exp();
    const Tensor deviation = (p * (1 - p) / static_cast<double>(n)).sqrt();
    CHECK(((count / static_cast<double>(n) - p).abs() / deviation).max().item<double>() < 4.5);
  }
}

TEST_CASE("a drawn image depends on its own stream only", "[models][pixel_transformer]") {
  const DataSpec spec = images({1, 3, 3}, 4);
  PixelTransformer model = sharp(spec);
  Rng five = Rng::for_rows(7, Purpose::sample, 0, 5);
  const Tensor x = model->sample(5, five, {});
  for (int64_t i = 0; i < 5; ++i) {
    Rng one = Rng::for_rows(7, Purpose::sample, static_cast<uint64_t>(i), 1);
    CHECK(model->sample(1, one, {}).equal(x.slice(0, i, i + 1)));
  }
  CHECK_FALSE(x[0].equal(x[1]));
}

TEST_CASE("a low temperature draws the likeliest pixels", "[models][pixel_transformer]") {
  const DataSpec spec = images({1, 3, 3}, 4);
  PixelTransformer model = sharp(spec);
  const torch::NoGradGuard no_grad;
  Rng rng = draws();
  const Tensor coldest = model->sample(3, rng, {.temperature = 1e-9});
  for (int64_t t = 0; t < spec.dims(); ++t) {
    CHECK(value(coldest, t).equal(model->forward(coldest).select(1, t).argmax(1).to(torch::kByte)));
  }
  const auto mean_log_prob = [&](double temperature) {
    const Tensor x = model->sample(2000, rng, {.temperature = temperature});
    return model->log_prob(x, 1, rng).mean().item<double>();
  };
  CHECK(mean_log_prob(0.5) > mean_log_prob(1.0) + 0.1);
}

// --- Dropout, types, memory, refusals ------------------------------------------------------------------------------

TEST_CASE("a pixel transformer's dropout is in training only, and from the stream it is given",
          "[models][pixel_transformer]") {
  const DataSpec spec = images({1, 3, 3}, 4);
  PixelTransformer model = sharp(spec, small(2, 0.2));
  const torch::NoGradGuard no_grad;
  const Batch batch{random_images(4, spec), {}};
  const auto loss = [&](uint64_t seed) {
    Rng rng = draws(seed);
    return model->loss(batch, rng, 0).total.item<double>();
  };
  const auto default_state = [] { return at::globalContext().defaultGenerator(torch::kCPU).get_state(); };
  const Tensor state = default_state();
  const double first = loss(1);
  CHECK(loss(1) == first);
  CHECK(loss(2) != first);
  Rng rng = draws();
  const Tensor in_training = model->log_prob(batch.x, 1, rng);
  model->eval();
  CHECK(loss(1) == loss(2));
  CHECK(loss(1) != first);
  CHECK_THAT(in_training, IsClose(model->log_prob(batch.x, 1, rng), 0));
  CHECK(default_state().equal(state));
}

TEST_CASE("a pixel transformer in bfloat16 keeps its likelihood in float32", "[models][pixel_transformer]") {
  const DataSpec spec = images({1, 3, 3}, 4);
  PixelTransformer model = sharp(spec);
  const torch::NoGradGuard no_grad;
  const Tensor x = random_images(4, spec);
  const Tensor exact = model->forward(x);
  model->to(torch::kBFloat16);
  const Tensor rounded = model->forward(x);
  CHECK(rounded.scalar_type() == torch::kFloat);
  CHECK((rounded - exact).abs().max().item<double>() < 0.1 * exact.abs().max().item<double>());
  Rng rng = draws();
  CHECK(model->sample(2, rng, {}).sizes() == x.slice(0, 0, 2).sizes());
}

TEST_CASE("attention over an image keeps no table of all pairs of pixels", "[models][pixel_transformer]") {
  const int64_t batch = 4, heads = 8, D = 28 * 28;
  Dataset dataset;
  dataset.spec = images({1, 28, 28}, 2);
  dataset.train.x = random_images(batch, dataset.spec);
  const auto config = tiny::experiment("{pixel_transformer: {n_layer: 1, n_head: 8, n_embd: 16}}", tiny::kNoise,
                                       {"train.batch_size=4"});
  const int64_t pairs = batch * heads * D * D * static_cast<int64_t>(sizeof(float));  // 79 MB
  CHECK(estimate_cost(config, dataset).activation_bytes < pairs / 4);
}

TEST_CASE("a pixel transformer refuses what is no image, and says what to take", "[models][pixel_transformer]") {
  using tiny::contains, tiny::message_of;
  DataSpec points, text;
  points.dataset = "two_moons";
  points.shape = {2};
  text.dataset = "king_james";
  text.kind = DataKind::tokens;
  text.vocabulary = 60;
  text.token_unit = "char";
  const std::string of_points = message_of<UsageError>([&] { fresh({}, points); });
  CHECK(of_points ==
        "models/pixel_transformer: two_moons has vectors of 2 dimensions; it models images, such as fashion_mnist; "
        "`genzoo models` shows which models take vectors");
  const std::string of_text = message_of<UsageError>([&] { fresh({}, text); });
  CHECK(contains(of_text, "king_james has text of chars"));
  CHECK(contains(of_text, "for text take transformer"));
  Rng init = draws();
  const auto language_model = [&](const DataSpec& spec) {
    return message_of<UsageError>([&] { TransformerImpl(TransformerConfig{}, spec, init); });
  };
  CHECK(contains(language_model(images({1, 4, 4}, 256)), "for images take pixel_transformer"));
  CHECK_FALSE(contains(language_model(points), "pixel_transformer"));
}

}  // namespace
}  // namespace genzoo
