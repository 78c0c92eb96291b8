// Each monitor tells a sickness made by hand, and says nothing against a model that is well.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "models/gan/gan.h"
#include "models/realnvp/realnvp.h"
#include "models/registry.h"
#include "models/transformer/transformer.h"
#include "models/vae/vae.h"
#include "tests/models/small_settings.h"
#include "tests/support.h"

namespace genzoo {
namespace {

DataSpec vectors(int64_t dims) {
  DataSpec spec;
  spec.dataset = "test";
  spec.shape = {dims};
  return spec;
}

DataSpec images() {
  DataSpec spec;
  spec.dataset = "test";
  spec.kind = DataKind::images;
  spec.shape = {1, 8, 8};
  spec.levels = 256;
  return spec;
}

DataSpec letters(int64_t vocabulary) {
  DataSpec spec;
  spec.dataset = "test";
  spec.kind = DataKind::tokens;
  spec.vocabulary = vocabulary;
  spec.token_unit = "char";
  return spec;
}

Rng stream(uint64_t step = 0) { return Rng::for_batch(1, Purpose::monitors, step); }

template <class Holder, class Config>
Holder make(const Config& config, const DataSpec& data) {
  Rng init = Rng::for_batch(0, Purpose::initialization, 0);
  return Holder(config, data, init);
}

Tensor normals(int64_t n, int64_t dims) { return Rng::for_batch(2, Purpose::synthetic_data, 0).normal({n, dims}); }

const Monitor& named(const std::vector<Monitor>& found, const std::string& name) {
  const auto at = std::ranges::find(found, name, &Monitor::name);
  if (at == found.end()) throw std::logic_error("no monitor " + name);
  return *at;
}

/// The names of the monitors that warn.
std::vector<std::string> warnings(const std::vector<Monitor>& found) {
  std::vector<std::string> names;
  for (const Monitor& monitor : found) {
    if (!monitor.warning.empty()) names.push_back(monitor.name);
  }
  return names;
}

using Names = std::vector<std::string>;

VAE wide_vae() {
  VAE model = make<VAE>(
      VAEConfig{.latent_dim = 4, .network = VAEMLPConfig{.hidden = {8}}, .likelihood = VAELikelihood::gaussian},
      vectors(3));
  const torch::NoGradGuard no_grad;
  for (Tensor& p : model->encoder->parameters()) p.mul_(2);
  return model;
}

TEST_CASE("a VAE that looks at x is well", "[models][monitors]") {
  VAE model = wide_vae();
  {
    const torch::NoGradGuard no_grad;
    const auto parameters = model->encoder->parameters();
    parameters[parameters.size() - 2][0].mul_(0.1);  // latent 0 differs between examples, but by too little to count
  }
  Rng rng = stream();
  const Batch batch{normals(400, 3), {}};
  const auto found = model->monitors(batch, rng);
  CHECK(warnings(found).empty());
  // Burda et al.'s statistic by its definition, one latent at a time.
  const torch::NoGradGuard no_grad;
  const Tensor mean = model->encode_latent(batch.x);
  int64_t active = 0;
  for (int64_t j = 0; j < 4; ++j) active += mean.select(1, j).var(/*unbiased=*/false).item<double>() > 0.01 ? 1 : 0;
  CHECK(active == 3);
  CHECK(mean.select(1, 0).std().item<double>() > 0.01);
  CHECK(named(found, "active_units").value == static_cast<double>(active));
  const Tensor kl = kl_to_standard_normal(model->encode(batch.x)).mean(0);
  CHECK(std::abs(named(found, "latent_kl_max").value - kl.max().item<double>()) < 1e-5);
  CHECK(std::abs(named(found, "latent_kl_min").value - kl.min().item<double>()) < 1e-5);
  CHECK(named(found, "dead_units").value == 0);
  CHECK(named(found, "active_units").n == 400);
}

TEST_CASE("a VAE whose encoder ignores x has collapsed", "[models][monitors]") {
  VAE model = wide_vae();
  {
    const torch::NoGradGuard no_grad;
    const auto parameters = model->encoder->parameters();
    parameters[parameters.size() - 2].zero_();  // the last layer's weight and bias: q is N(0, 1), whatever x
    parameters[parameters.size() - 1].zero_();
  }
  Rng rng = stream();
  const auto found = model->monitors({normals(400, 3), {}}, rng);
  CHECK(warnings(found) == Names{"active_units"});
  CHECK(named(found, "active_units").value == 0);
  CHECK(named(found, "dead_units").value == 1);
  CHECK(named(found, "latent_kl_max").value == 0);
  CHECK_THAT(named(found, "active_units").warning, Catch::Matchers::Contains("posterior collapse"));
}

TEST_CASE("a latent that says nothing is dead and no sickness while another speaks", "[models][monitors]") {
  VAE model = wide_vae();
  {
    const torch::NoGradGuard no_grad;
    const auto parameters = model->encoder->parameters();
    for (const int64_t row : {1, 5}) {  // mean and log-variance of latent 1
      parameters[parameters.size() - 2][row].zero_();
      parameters[parameters.size() - 1][row].zero_();
    }
  }
  Rng rng = stream();
  const auto found = model->monitors({normals(400, 3), {}}, rng);
  CHECK(warnings(found).empty());
  CHECK(named(found, "dead_units").value == 0.25);
  CHECK(named(found, "latent_kl_min").value == 0);
}

GANConfig small_gan(gan::Objective objective = gan::Objective::non_saturating) {
  GANConfig config;
  config.latent_dim = 4;
  config.generator_width = config.discriminator_width = 8;
  config.hidden_layers = 2;
  config.discriminator_norm = gan::Norm::none;
  config.objective = objective;
  return config;
}

/// Its samples are spread, and so are its scores: a fresh one's weights are nearly zero.
GAN lively_gan(const GANConfig& config, const DataSpec& data) {
  GAN model = make<GAN>(config, data);
  const torch::NoGradGuard no_grad;
  Rng rng = stream(9);
  for (Tensor& p : model->parameters()) p.add_(rng.normal_like(p), data.kind == DataKind::images ? 0.1 : 0.5);
  return model;
}

TEST_CASE("a GAN whose samples are as varied as the data is well", "[models][monitors]") {
  for (const DataSpec& data : {vectors(2), images()}) {
    INFO(data.describe());
    GAN model = lively_gan(small_gan(), data);
    Rng others = stream(5), rng = stream();
    const Batch batch{model->sample(400, others, {}), {}};
    const auto found = model->monitors(batch, rng);
    CHECK(warnings(found).empty());
    CHECK(std::abs(named(found, "sample_diversity").value - 1) < 0.15);
    CHECK(named(found, "duplicates").value < 0.15);  // expected 0.05
    // The data are samples: who is right of one is wrong of the other.
    const double right = named(found, "discriminator_accuracy_real").value;
    CHECK(std::abs(right + named(found, "discriminator_accuracy_fake").value - 1) < 0.15);
  }
}

TEST_CASE("a GAN that makes one sample always has collapsed", "[models][monitors]") {
  for (const DataSpec& data : {vectors(2), images()}) {
    INFO(data.describe());
    GAN model = lively_gan(small_gan(), data);
    Rng others = stream(5), rng = stream();
    const Batch batch{model->sample(200, others, {}), {}};
    {
      const torch::NoGradGuard no_grad;
      model->generator->parameters()[0].zero_();  // z goes no further
    }
    const auto found = model->monitors(batch, rng);
    CHECK(named(found, "sample_diversity").value < 1e-6);
    CHECK(named(found, "duplicates").value == 1);
    CHECK_THAT(named(found, "sample_diversity").warning, Catch::Matchers::Contains("mode collapse"));
    CHECK_THAT(named(found, "duplicates").warning, Catch::Matchers::Contains("mode collapse"));
  }
}

TEST_CASE("a GAN of two pictures far apart has collapsed too", "[models][monitors]") {
  GAN model = lively_gan(small_gan(), images());
  Rng others = stream(5), rng = stream();
  const Batch batch{model->sample(200, others, {}), {}};
  {
    // Of z the sign of its first coordinate alone is left: all else is drowned or saturates.
    const torch::NoGradGuard no_grad;
    const Tensor project = model->generator->parameters()[0];
    const Tensor first = project.select(1, 0).clone() * 1e6;
    project.zero_().select(1, 0).copy_(first);
  }
  const auto found = model->monitors(batch, rng);
  CHECK(warnings(found) == Names{"duplicates"});
  CHECK(named(found, "duplicates").value > 0.95);
  CHECK(named(found, "sample_diversity").value > 0.9);
}

TEST_CASE("a discriminator that is never wrong has won, unless it is a critic", "[models][monitors]") {
  for (const auto objective : {gan::Objective::non_saturating, gan::Objective::hinge, gan::Objective::least_squares,
                               gan::Objective::wasserstein}) {
    INFO(gan::kObjectiveNames[static_cast<int>(objective)]);
    GAN model = lively_gan(small_gan(objective), vectors(2));
    Rng others = stream(5), rng = stream();
    const Batch batch{model->sample(200, others, {}) + 1e4, {}};
    const torch::NoGradGuard no_grad;
    // The score is a steep line along the first axis, with the samples on one side and the data on the other.
    const auto d = model->discriminator->parameters();
    for (size_t i = 0; i < d.size(); ++i) {
      d[i].zero_();
      if (d[i].dim() == 2) d[i][0][0] = 1;
    }
    d.back().fill_(-5e3);
    const auto found = model->monitors(batch, rng);
    CHECK(named(found, "discriminator_accuracy_real").value == 1);
    CHECK(named(found, "discriminator_accuracy_fake").value == 1);
    const bool has_won = !named(found, "discriminator_accuracy_fake").warning.empty();
    CHECK(has_won == (objective != gan::Objective::wasserstein));
  }
}

RealNVP small_flow(const DataSpec& data) {
  RealNVP model = make<RealNVP>(RealNVPConfig{.couplings = 2, .scales = 2, .hidden_dim = 8}, data);
  const torch::NoGradGuard no_grad;
  Rng rng = stream(9);
  for (Tensor& p : model->parameters()) p.add_(rng.normal_like(p), 0.1);
  return model;
}

Batch flow_batch(const DataSpec& data) {
  if (data.kind == DataKind::vectors) return {normals(100, data.dims()), {}};
  return {Rng::for_batch(2, Purpose::synthetic_data, 0).integers(256, {50, 1, 8, 8}).to(torch::kByte), {}};
}

TEST_CASE("a flow that floating point inverts is well", "[models][monitors]") {
  for (const DataSpec& data : {vectors(2), images()}) {
    INFO(data.describe());
    RealNVP model = small_flow(data);
    Rng rng = stream();
    const Batch batch = flow_batch(data);
    const auto found = model->monitors(batch, rng);
    CHECK(warnings(found).empty());
    CHECK(named(found, "inversion_error").value < (data.kind == DataKind::images ? 0.05 : 1e-4));
    const torch::NoGradGuard no_grad;
    model->eval();
    const Tensor x = data.kind == DataKind::images ? batch.x.to(torch::kFloat) + 0.5 : batch.x;
    const Tensor log_det = model->forward(x).log_det / static_cast<double>(data.dims());
    CHECK(std::abs(named(found, "log_det_min").value - log_det.min().item<double>()) < 1e-5);
    CHECK(std::abs(named(found, "log_det_max").value - log_det.max().item<double>()) < 1e-5);
  }
}

TEST_CASE("a flow with a scale near zero is told of", "[models][monitors]") {
  for (const DataSpec& data : {vectors(2), images()}) {
    INFO(data.describe());
    RealNVP model = small_flow(data);
    {
      const torch::NoGradGuard no_grad;
      for (const auto& item : model->named_parameters()) {
        Tensor p = item.value();
        if (item.key().ends_with("log_scale_bound")) p.fill_(20);
        if (item.key().ends_with("network.1.bias") || item.key().ends_with("network.output.bias")) {
          const auto halves = p.chunk(2);  // raw s, t: y = x exp(-20) + 1: float32 keeps nothing of x
          halves[0].fill_(-10);
          halves[1].fill_(1);
        }
      }
    }
    Rng rng = stream();
    const auto found = model->monitors(flow_batch(data), rng);
    CHECK_FALSE(named(found, "inversion_error").warning.empty());
    CHECK(named(found, "log_det_min").value < -1);
  }
}

TEST_CASE("a flow whose numbers have become infinite is told of", "[models][monitors]") {
  RealNVP model = small_flow(vectors(2));
  {
    const torch::NoGradGuard no_grad;
    model->parameters()[0].fill_(std::numeric_limits<double>::quiet_NaN());
  }
  Rng rng = stream();
  const auto found = model->monitors(flow_batch(vectors(2)), rng);
  CHECK_FALSE(named(found, "inversion_error").warning.empty());
  CHECK_FALSE(named(found, "log_det_max").warning.empty());
}

constexpr int64_t kLetters = 12;

Transformer small_transformer() {
  return make<Transformer>(TransformerConfig{.n_layer = 1, .n_head = 2, .n_embd = 16, .block_size = 24},
                           letters(kLetters));
}

Batch text_batch() {
  const Tensor tokens = Rng::for_batch(2, Purpose::synthetic_data, 0).integers(kLetters, {16, 25});
  return {tokens.narrow(1, 0, 24), tokens.narrow(1, 1, 24)};
}

TEST_CASE("a language model that writes as the data do is well", "[models][monitors]") {
  Transformer model = small_transformer();  // fresh, it draws nearly uniformly, and so are the data
  Rng rng = stream();
  const auto found = model->monitors(text_batch(), rng);
  CHECK(warnings(found).empty());
  CHECK(std::abs(named(found, "entropy").value - 1) < 0.01);
  CHECK(named(found, "repetition").value < 0.05);
  CHECK(named(found, "repetition_of_data").value < 0.05);
}

TEST_CASE("a language model that repeats itself, and is sure of it, is told of", "[models][monitors]") {
  Transformer model = small_transformer();
  {
    // What leaves the last norm is the embedding of token 7, large: it is followed by itself.
    const torch::NoGradGuard no_grad;
    auto parameters = model->named_parameters();
    const Tensor embedding = parameters["token_embedding.weight"];
    parameters["final_norm.weight"].zero_();
    parameters["final_norm.bias"].copy_(embedding[7] * (50 / embedding[7].square().sum()));
  }
  Rng rng = stream();
  const auto found = model->monitors(text_batch(), rng);
  CHECK(warnings(found) == Names{"entropy", "repetition"});
  // 24 tokens, the first of them the data's: 21 phrases, of which 777...7 and that with the first token stand first.
  CHECK(named(found, "repetition").value >= 19.0 / 21 - 1e-9);
  CHECK(named(found, "entropy").value < 0.01);
}

TEST_CASE("repeated phrases are counted as they stand", "[models][monitors]") {
  Transformer model = small_transformer();
  Rng rng = stream();
  // 21 phrases of 4 in a row: two different ones in half of the rows, twelve in the others.
  const Tensor abab = torch::tensor({0, 1}, torch::kLong).repeat({8, 12});
  const Tensor alphabet = torch::arange(kLetters).repeat({8, 2});
  const Tensor rows = at::cat({abab, alphabet});
  const auto found = model->monitors({rows, rows.roll(-1, 1)}, rng);
  CHECK(std::abs(named(found, "repetition_of_data").value - (1 - (2.0 + 12.0) / (2 * 21))) < 1e-12);
  CHECK(warnings(found).empty());  // the model repeats less than such data
}

TEST_CASE("looking changes nothing, and sees the same twice, in either mode", "[models][monitors]") {
  for (const ModelEntry& entry : models()) {
    for (const DataSpec& data : {vectors(2), images(), letters(kLetters)}) {
      for (const auto& variant : variants_of(entry)) {
        const auto model = model_if_fit(variant.choice, data);
        if (!model || !model->can.monitors) continue;
        INFO(entry.name << ": " << variant.description << ", " << data.describe());
        Batch batch;
        if (data.kind == DataKind::tokens) {
          const Tensor tokens =
              Rng::for_batch(2, Purpose::synthetic_data, 0).integers(kLetters, {4, model->can.context + 1});
          batch = {tokens.narrow(1, 0, model->can.context), tokens.narrow(1, 1, model->can.context)};
        } else {
          batch = flow_batch(data);
        }
        model->module->train();
        std::vector<Tensor> before;
        for (const Tensor& t : model->module->parameters()) before.push_back(t.clone());
        for (const Tensor& t : model->module->buffers()) before.push_back(t.clone());
        Rng rng = stream(), same = stream();
        const auto found = model->can.monitors(batch, rng);
        CHECK(model->module->is_training());
        std::vector<Tensor> after = model->module->parameters();
        for (const Tensor& t : model->module->buffers()) after.push_back(t);
        for (size_t i = 0; i < before.size(); ++i) CHECK(torch::equal(before[i], after[i]));
        model->module->eval();
        const auto again = model->can.monitors(batch, same);
        REQUIRE(again.size() == found.size());
        for (size_t i = 0; i < found.size(); ++i) {
          INFO(found[i].name);
          CHECK(found[i].value == again[i].value);
          CHECK(std::isfinite(found[i].value));
          CHECK(found[i].n > 0);
          CHECK_FALSE(found[i].detail.empty());
        }
      }
    }
  }
}

}  // namespace
}  // namespace genzoo
