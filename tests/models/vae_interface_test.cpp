// What a VAE gives and takes: data as stored, claims, refusals.

#include "core/error.h"
#include "tests/models/vae_settings.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using namespace tiny_vae;
using Catch::Matchers::Contains;

}  // namespace

TEST_CASE("a VAE gives data as they are stored, for images of any size", "[models][vae]") {
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{1, 28, 28}, {3, 32, 32}, {1, 30, 30}, {1, 27, 27}, {2, 12, 20}}) {
    for (const auto likelihood :
         {VAELikelihood::bernoulli, VAELikelihood::gaussian, VAELikelihood::discretized_logistic}) {
      const DataSpec data = images(shape, 4);
      VAE model = make(tiny_conv(likelihood), data);
      const EvalMode evaluating(*model);
      const Tensor x = random_examples(2, data);
      Rng rng = noise();
      INFO(data.describe() << ", " << kVAELikelihoodNames[static_cast<size_t>(likelihood)]);
      CHECK(model->encode_latent(x).sizes() == torch::IntArrayRef({2, 3}));
      for (const Tensor& image :
           {model->reconstruct(x), model->sample(2, rng, {}), model->sample(2, rng, {.mean = true})}) {
        CHECK(image.dtype() == torch::kByte);
        CHECK(image.sizes() == x.sizes());
        CHECK(image.max().item<int64_t>() <= 3);
      }
    }
  }
  VAE model = make(tiny_mlp(VAELikelihood::gaussian), vectors(3));
  Rng rng = noise();
  CHECK(model->sample(5, rng, {}).dtype() == torch::kFloat);
  CHECK(model->reconstruct(random_examples(5, vectors(3))).sizes() == torch::IntArrayRef({5, 3}));
}

TEST_CASE("VAE samples are draws of p(x|z), and with `mean` its mean", "[models][vae]") {
  const DataSpec data = images({1, 2, 2}, 256);
  for (const auto likelihood : {VAELikelihood::gaussian, VAELikelihood::discretized_logistic}) {
    VAE model = make(tiny_mlp(likelihood), data);
    const EvalMode evaluating(*model);
    Rng drawing = noise(), averaging = noise();
    const Tensor z = drawing.normal({50, 2});
    CHECK_THAT(model->sample(50, averaging, {.mean = true}), IsClose(model->decode_latent(z), 0));
    Rng again = noise();
    CHECK((model->sample(50, again, {}) != model->decode_latent(z)).any().item<bool>());
  }
}

TEST_CASE("a VAE claims a likelihood only where it has one", "[models][vae]") {
  const auto claim = [](VAELikelihood likelihood, const DataSpec& data) {
    return abilities_of(make(tiny_mlp(likelihood), data).ptr());
  };
  const Abilities grey = claim(VAELikelihood::bernoulli, images({1, 2, 2}, 256));
  CHECK_FALSE(grey.likelihood.kind);
  CHECK_FALSE(grey.log_prob);
  CHECK_THAT(grey.likelihood.detail, Contains("surrogate"));
  for (const Setting& s : small_settings()) {
    INFO(s.name);
    const Abilities can = claim(s.config.likelihood, s.data);
    CHECK(can.likelihood.kind == LikelihoodKind::lower_bound);
    CHECK(can.samples_have_mean);
    CHECK(can.names() == std::vector<std::string>{"sample", "log_prob (lower_bound)", "encode", "decode", "interpolate",
                                                  "reconstruct"});
  }
  // Its loss is the bound unless the KL term is bent.
  VAEConfig config = tiny_mlp(VAELikelihood::gaussian);
  const auto is_loss = [&] { return make(config, images({1, 2, 2}, 256))->likelihood().is_loss; };
  CHECK(is_loss());
  config.kl_warmup_steps = 10;  // over when it is evaluated
  CHECK(is_loss());
  config.beta = 2;
  CHECK_FALSE(is_loss());
  config.beta = 1;
  config.free_bits = 0.1;
  CHECK_FALSE(is_loss());
}

TEST_CASE("a VAE refuses data it cannot model, saying what to do", "[models][vae]") {
  const auto build = [](const VAEConfig& config, const DataSpec& data) { return make(config, data); };
  DataSpec text;
  text.kind = DataKind::tokens;
  CHECK_THROWS_AS(build(tiny_mlp(VAELikelihood::gaussian), text), UsageError);
  CHECK_THROWS_WITH(build(tiny_mlp(VAELikelihood::bernoulli), vectors(2)),
                    Contains("set model.vae.likelihood to gaussian"));
  CHECK_THROWS_WITH(build(tiny_conv(VAELikelihood::gaussian), vectors(2)), Contains("set model.vae.network to mlp"));
}

TEST_CASE("the importance-weighted objective takes no KL settings", "[models][vae][config]") {
  const auto read = [](const std::string& text) {
    return read_config<VAEConfig>(ConfigSource::from_text(text, "x.yaml"));
  };
  CHECK(read("importance_samples: 5").importance_samples == 5);
  for (const char* key : {"beta: 2", "kl_warmup_steps: 3", "free_bits: 0.1"}) {
    INFO(key);
    CHECK_THROWS_WITH(read(fmt::format("importance_samples: 5\n{}", key)), Contains("'importance_samples' above 1"));
  }
}

TEST_CASE("two well-known VAEs have their numbers of parameters", "[models][vae]") {
  const DataSpec mnist = images({1, 28, 28}, 2);
  const VAEConfig mlp{
      .latent_dim = 20, .network = VAEMLPConfig{.hidden = {400}}, .likelihood = VAELikelihood::bernoulli};
  CHECK(parameter_count(*make(mlp, mnist)) == 652824);  // PyTorch's example, 784-400-20
  const VAEConfig conv{.latent_dim = 32,
                       .network = VAEConvConfig{.channels = {32, 64}, .hidden = 256},
                       .likelihood = VAELikelihood::bernoulli};
  CHECK(parameter_count(*make(conv, mnist)) == 1700609);
}

}  // namespace genzoo
