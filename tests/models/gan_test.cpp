// Laws of the GAN family. Double precision, tiny networks, seeded.

#include "models/gan/gan.h"

#include <ATen/CPUGeneratorImpl.h>
#include <torch/optim.h>

#include <cmath>

#include "core/error.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using gan::Norm;
using gan::Objective;

DataSpec images(int64_t channels, int64_t side) {
  DataSpec spec;
  spec.dataset = "test";
  spec.kind = DataKind::images;
  spec.shape = {channels, side, side};
  spec.levels = 256;
  return spec;
}

DataSpec vectors(int64_t dims) {
  DataSpec spec;
  spec.dataset = "test";
  spec.kind = DataKind::vectors;
  spec.shape = {dims};
  return spec;
}

GANConfig tiny() {
  GANConfig config;
  config.latent_dim = 5;
  config.generator_width = 4;
  config.discriminator_width = 4;
  config.hidden_layers = 2;
  return config;
}

GAN make(const GANConfig& config, const DataSpec& data, uint64_t seed = 0) {
  Rng init = Rng::for_batch(seed, Purpose::initialization, 0);
  GAN model(config, data, init);
  model->to(torch::kDouble);
  return model;
}

Rng stream(uint64_t step) { return Rng::for_batch(1, Purpose::loss, step); }

Batch make_batch(const DataSpec& data, int64_t size) {
  Rng rng = Rng::for_batch(2, Purpose::batch, 0);
  std::vector<int64_t> shape{size};
  shape.insert(shape.end(), data.shape.begin(), data.shape.end());
  if (data.kind == DataKind::vectors) return {rng.normal(shape), {}};
  return {rng.integers(data.levels, shape).to(torch::kByte), {}};
}

using Snapshot = std::vector<std::pair<std::string, Tensor>>;

Snapshot parameters_of(const torch::nn::Module& module) {
  Snapshot copies;
  for (const auto& p : module.named_parameters()) copies.emplace_back(p.key(), p.value().detach().clone());
  return copies;
}

bool unchanged(const Snapshot& before, const torch::nn::Module& module) {
  const auto now = module.named_parameters();
  for (const auto& [name, value] : before) {
    if (!torch::equal(value, now[name])) return false;
  }
  return !before.empty();
}

/// Plain gradient descent on one player's parameters.
void descend(torch::nn::Module& player, const Tensor& loss) {
  const auto parameters = player.parameters();
  const auto gradients = torch::autograd::grad({loss}, parameters);
  const torch::NoGradGuard no_grad;
  for (size_t i = 0; i < parameters.size(); ++i) parameters[i].add_(gradients[i], -0.1);
}

double value(const Tensor& scalar) { return scalar.item<double>(); }

}  // namespace

TEST_CASE("the penalties' gradients agree with difference quotients", "[models][gan]") {
  for (const Norm norm : {Norm::none, Norm::layer, Norm::spectral}) {
    for (const Objective objective : {Objective::wasserstein, Objective::non_saturating}) {
      for (const DataSpec& data : {images(1, 8), vectors(3)}) {
        GANConfig config = tiny();
        config.discriminator_norm = norm;
        config.objective = objective;
        config.r1 = objective == Objective::wasserstein ? 0 : 0.7;
        GAN model = make(config, data);
        model->eval();  // no power iterations between the two ends of a difference
        const Batch batch = make_batch(data, 4);
        Rng latents = stream(4);
        const Tensor fake = model->generate_fake(4, latents).detach();
        for (auto& parameter : model->discriminator->named_parameters()) {
          // Weights of standard deviation 0.02 would make the penalty's gradient too small to measure.
          if (parameter.value().dim() > 1) {
            const torch::NoGradGuard no_grad;
            parameter.value().mul_(10);
          }
        }
        const Tensor weight = model->discriminator->parameters().front();
        const Tensor initial = weight.detach().clone();
        const auto loss = [&](const Tensor& w) {
          weight.set_data(w.detach());
          Rng rng = stream(5);
          const bool differentiating = torch::GradMode::is_enabled();
          const torch::AutoGradMode with_graph(true);  // the penalty itself differentiates
          const Tensor total = model->discriminator_loss(batch, fake, rng).total;
          if (!differentiating) return total.detach();
          // The loss as a function of w with the parameter's gradient: the same value and slope.
          const Tensor slope = torch::autograd::grad({total}, {weight})[0];
          return total.detach() + ((w - w.detach()) * slope).sum();
        };
        INFO("norm " << gan::kNormNames[static_cast<int>(norm)] << ", " << data.describe());
        at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(6);
        CHECK(gradient_error(loss, initial, generator) < 1e-6);
      }
    }
  }
}

TEST_CASE("spectral normalization finds the largest singular value and keeps it", "[models][gan]") {
  Rng init = stream(7);
  const Tensor weight = init.normal({6, 2, 4, 4}).to(torch::kDouble);
  gan::SpectralNorm norm(weight, init);
  norm->to(torch::kDouble);
  for (int i = 0; i < 200; ++i) norm->forward(weight);
  const auto largest = [](const Tensor& w) { return torch::linalg_svdvals(w.flatten(1)).max().item<double>(); };
  CHECK(largest(norm->forward(weight)) == Approx(1).epsilon(1e-9));
  CHECK_THAT(norm->forward(weight) * largest(weight), IsClose(weight, 1e-6));

  SECTION("its state is in the buffers, which only train mode moves") {
    CHECK(norm->named_buffers().keys() == std::vector<std::string>{"u", "v"});
    norm->eval();
    const Tensor u = norm->u.clone();
    const Tensor other = weight + stream(8).normal(weight.sizes());
    norm->forward(other);
    CHECK(torch::equal(u, norm->u));
    norm->train();
    norm->forward(other);
    CHECK_FALSE(torch::equal(u, norm->u));
  }
  SECTION("it does not care for the weight's scale, so the gradient is orthogonal to the weight") {
    Tensor w = weight.clone().requires_grad_();
    norm->eval();
    const Tensor probe = stream(9).normal(w.sizes()).to(torch::kDouble);
    const Tensor gradient = torch::autograd::grad({(norm->forward(w) * probe).sum()}, {w})[0];
    CHECK(std::abs(value((gradient * weight).sum())) < 1e-9);
    CHECK(value(gradient.abs().max()) > 1e-3);
  }
}

TEST_CASE("a spectrally normalized discriminator's layers have singular values near 1 from the start",
          "[models][gan]") {
  GAN model = make(tiny(), images(3, 32));
  int layers = 0;
  for (const auto& item : model->discriminator->named_modules("", /*include_self=*/false)) {
    const auto* norm = item.value()->as<gan::SpectralNorm>();
    if (norm == nullptr) continue;
    const std::string layer = item.key().substr(0, item.key().rfind('.'));
    const Tensor weight = model->discriminator->named_parameters()[layer + ".weight"];
    model->eval();
    Tensor u = norm->u, v = norm->v;
    const double sigma = (weight.flatten(1) * torch::outer(u, v)).sum().item<double>();
    INFO(layer);
    CHECK(sigma == Approx(torch::linalg_svdvals(weight.flatten(1)).max().item<double>()).epsilon(0.1));
    ++layers;
  }
  CHECK(layers == 4);  // 32 -> 16 -> 8 -> 4 -> score
}

TEST_CASE("a discriminator update leaves the generator alone, and the other way round", "[models][gan]") {
  for (const Objective objective : {Objective::non_saturating, Objective::hinge, Objective::wasserstein}) {
    GANConfig config = tiny();
    config.objective = objective;
    const DataSpec data = images(1, 8);
    GAN model = make(config, data);
    const Batch batch = make_batch(data, 4);
    const Snapshot g = parameters_of(*model->generator), d = parameters_of(*model->discriminator);

    Rng rng = stream(10);
    const Tensor fake = model->generate_fake(4, rng);
    const Tensor d_loss = model->discriminator_loss(batch, fake, rng).total;
    for (const Tensor& gradient : torch::autograd::grad({d_loss}, model->generator->parameters(), {}, /*retain=*/true,
                                                        /*create_graph=*/false, /*allow_unused=*/true)) {
      CHECK_FALSE(gradient.defined());  // the fake was detached
    }
    descend(*model->discriminator, d_loss);
    CHECK(unchanged(g, *model->generator));
    CHECK_FALSE(unchanged(d, *model->discriminator));

    const Snapshot d_after = parameters_of(*model->discriminator);
    descend(*model->generator, model->generator_loss(fake, rng).total);
    CHECK(unchanged(d_after, *model->discriminator));
    CHECK_FALSE(unchanged(g, *model->generator));
  }
}

TEST_CASE("penalties leave the gradient buffers of both players alone", "[models][gan]") {
  GANConfig config = tiny();
  config.objective = Objective::wasserstein;
  config.r1 = 1;
  const DataSpec data = images(1, 8);
  GAN model = make(config, data);
  Rng rng = stream(11);
  const Tensor fake = model->generate_fake(4, rng);
  const Loss loss = model->discriminator_loss(make_batch(data, 4), fake, rng);
  for (const auto& p : model->named_parameters()) {
    INFO(p.key());
    CHECK_FALSE(p.value().grad().defined());
  }
  CHECK(value(loss.terms.at("penalty")) > 0);
  CHECK_FALSE(loss.terms.at("penalty").requires_grad());
  CHECK(value(loss.total - loss.terms.at("penalty")) ==
        Approx(value(loss.terms.at("d_fake") - loss.terms.at("d_real"))));
}

TEST_CASE("every parameter of either player gets a gradient", "[models][gan]") {
  for (const Norm norm : {Norm::none, Norm::batch, Norm::layer, Norm::spectral}) {
    for (const DataSpec& data : {images(1, 28), images(3, 32), vectors(2)}) {
      GANConfig config = tiny();
      config.discriminator_norm = norm;
      GAN model = make(config, data);
      Rng rng = stream(12);
      const Tensor fake = model->generate_fake(8, rng);
      model->discriminator_loss(make_batch(data, 8), fake, rng).total.backward();
      for (const auto& p : model->discriminator->named_parameters()) {
        INFO(gan::kNormNames[static_cast<int>(norm)] << " discriminator." << p.key());
        REQUIRE(p.value().grad().defined());
        CHECK(value(p.value().grad().abs().max()) > 0);
      }
      model->generator_loss(fake, rng).total.backward();
      for (const auto& p : model->generator->named_parameters()) {
        INFO("generator." << p.key());
        REQUIRE(p.value().grad().defined());
        CHECK(value(p.value().grad().abs().max()) > 0);
      }
    }
  }
}

TEST_CASE("shapes and ranges of images of each size, and of vectors", "[models][gan]") {
  for (const DataSpec& data : {images(1, 28), images(3, 32), images(3, 64), images(1, 8), images(1, 48)}) {
    GAN model = make(tiny(), data);
    Rng rng = stream(13);
    const Tensor fake = model->generate_fake(3, rng);
    const std::vector<int64_t> shape{3, data.shape[0], data.shape[1], data.shape[2]};
    INFO(data.describe());
    CHECK(fake.sizes() == shape);
    CHECK(value(fake.abs().max()) <= 1);
    CHECK(fake.requires_grad());
    CHECK(model->discriminator->forward(fake).sizes() == torch::IntArrayRef({3, 1}));
    const Tensor sample = model->sample(3, rng, {});
    CHECK(sample.sizes() == shape);
    CHECK(sample.dtype() == torch::kByte);
  }
  GAN model = make(tiny(), vectors(2));
  Rng rng = stream(13);
  const Tensor sample = model->sample(3, rng, {});
  CHECK(sample.sizes() == torch::IntArrayRef({3, 2}));
  CHECK(sample.dtype() == torch::kFloat);

  DataSpec levels = vectors(3);
  levels.levels = 4;
  GAN whole = make(tiny(), levels);
  const torch::NoGradGuard no_grad;
  whole->generator->named_parameters()["out.weight"].mul_(20);
  const Tensor drawn = whole->sample(64, rng, {});
  CHECK(drawn.dtype() == torch::kFloat);
  CHECK(std::get<0>(at::_unique(drawn)).sizes() == torch::IntArrayRef({4}));
}

TEST_CASE("a GAN of images without biases has them nowhere but in normalizations", "[models][gan]") {
  for (const Norm norm : {Norm::none, Norm::batch, Norm::layer, Norm::spectral}) {
    GANConfig config = tiny();
    config.discriminator_norm = norm;
    config.bias = false;
    GAN model = make(config, images(1, 8));
    int64_t biases = 0;
    for (const auto& item : model->named_parameters()) {
      if (!item.key().ends_with("bias")) continue;
      ++biases;
      CHECK(item.key().find("norm") != std::string::npos);
    }
    CHECK(biases > 0);
    Rng rng = stream(1);
    const Tensor fake = model->generate_fake(3, rng);
    model->discriminator_loss(make_batch(images(1, 8), 3), fake, rng).total.backward();
  }
}

TEST_CASE("widths double toward the coarsest level as in the paper", "[models][gan]") {
  // Radford et al. (2016), figure 1: 1024, 512, 256, 128 channels at 4, 8, 16, 32 for a 64x64 image.
  GANConfig config = tiny();
  config.generator_width = 128;
  config.discriminator_norm = Norm::none;
  Rng init = stream(14);
  const GANImpl model(config, images(3, 64), init);
  const auto parameters = model.generator->named_parameters();
  CHECK(parameters["project.weight"].size(0) == 1024 * 4 * 4);
  CHECK(parameters["up8.weight"].sizes() == torch::IntArrayRef({1024, 512, 4, 4}));
  CHECK(parameters["up32.weight"].sizes() == torch::IntArrayRef({256, 128, 4, 4}));
  CHECK(parameters["up64.weight"].sizes() == torch::IntArrayRef({128, 3, 4, 4}));
  // Section 4: all weights from N(0, 0.02^2); batch normalization's gain around 1.
  CHECK(value(parameters["up8.weight"].std()) == Approx(0.02).epsilon(0.01));
  CHECK(value(parameters["norm4.weight"].std()) == Approx(0.02).epsilon(0.1));
  CHECK(value(parameters["norm4.weight"].mean()) == Approx(1).margin(0.01));
}

TEST_CASE("images are stored as the nearest level of what the generator makes", "[models][gan]") {
  GAN model = make(tiny(), images(1, 8));
  Rng rng = stream(15);
  const Tensor z = rng.normal({4, 5});
  const Tensor stored = model->decode_latent(z);
  model->eval();
  const torch::NoGradGuard no_grad;
  const Tensor x = model->generator->forward(z.to(torch::kDouble));
  CHECK_THAT(stored, IsClose((127.5 * (x + 1)), 0.5 + 1e-4));
  CHECK(model->latent_shape() == std::vector<int64_t>{5});
}

TEST_CASE("sample i is the same whatever the batch it is drawn in", "[models][gan]") {
  for (const DataSpec& data : {images(1, 28), vectors(2)}) {
    GAN model = make(tiny(), data);
    Rng latents = stream(16);
    model->generate_fake(16, latents);  // moves the running statistics off their start
    Rng all = Rng::for_rows(3, Purpose::sample, 0, 8);
    const Tensor eight = model->sample(8, all, {});
    CHECK(model->is_training());  // as before
    for (const int64_t i : {0, 5}) {
      Rng one = Rng::for_rows(3, Purpose::sample, static_cast<uint64_t>(i), 1);
      CHECK_THAT(model->sample(1, one, {}), IsClose(eight.narrow(0, i, 1), data.kind == DataKind::images ? 0 : 1e-6));
    }
    CHECK_FALSE(torch::equal(eight[0], eight[1]));
  }
}

TEST_CASE("the same seed builds the same model", "[models][gan]") {
  GAN a = make(tiny(), images(1, 8), 4), b = make(tiny(), images(1, 8), 4), c = make(tiny(), images(1, 8), 5);
  for (const auto& buffer : a->named_buffers()) CHECK(torch::equal(buffer.value(), b->named_buffers()[buffer.key()]));
  CHECK(unchanged(parameters_of(*a), *b));
  CHECK_FALSE(unchanged(parameters_of(*a), *c));
}

TEST_CASE("a GAN says what data it cannot model", "[models][gan]") {
  Rng init = stream(17);
  DataSpec tokens;
  tokens.kind = DataKind::tokens;
  tokens.vocabulary = 65;
  CHECK_THROWS_AS(GANImpl(tiny(), tokens, init), UsageError);
  CHECK_THROWS_AS(GANImpl(tiny(), images(1, 30 + 1), init), UsageError);
  DataSpec oblong = images(1, 32);
  oblong.shape[2] = 64;
  CHECK_THROWS_AS(GANImpl(tiny(), oblong, init), UsageError);
}

TEST_CASE("a config with batch normalization refuses penalties on each example's gradient", "[models][gan]") {
  const auto read = [](const std::string& text) {
    return read_config<GANConfig>(ConfigSource::from_text(text, "gan.yaml"));
  };
  CHECK_THROWS_AS(read("{loss: wasserstein, discriminator_norm: batch}"), ConfigError);
  CHECK_THROWS_AS(read("{r1: 1.0, discriminator_norm: batch}"), ConfigError);
  CHECK(read("{loss: wasserstein, discriminator_norm: layer}").objective == Objective::wasserstein);
  CHECK(read("{loss: wasserstein, gradient_penalty: 0, discriminator_norm: batch}").gradient_penalty == 0);
}

TEST_CASE("two players find a Gaussian's mean and spread", "[models][gan]") {
  GANConfig config = tiny();
  config.generator_width = config.discriminator_width = 16;
  config.latent_dim = 2;
  config.discriminator_norm = Norm::none;
  config.r1 = 1;
  const DataSpec data = vectors(1);
  GAN model = make(config, data);
  const auto adam = [](const torch::nn::Sequential& player) {
    return torch::optim::Adam(player->parameters(), torch::optim::AdamOptions(2e-3).betas({0.5, 0.99}));
  };
  std::vector<Tensor> late;  // the players circle the solution, so it is the average over time that is there
  auto g_optimizer = adam(model->generator), d_optimizer = adam(model->discriminator);
  for (uint64_t step = 0; step < 1500; ++step) {
    Rng rng = stream(100 + step);
    const Batch batch{3 + 0.5 * rng.normal({64, 1}), {}};
    const Tensor fake = model->generate_fake(64, rng);
    d_optimizer.zero_grad();
    model->discriminator_loss(batch, fake, rng).total.backward();
    d_optimizer.step();
    g_optimizer.zero_grad();
    model->generator_loss(fake, rng).total.backward();
    g_optimizer.step();
    if (step >= 1000) late.push_back(fake.detach());
  }
  const Tensor fakes = torch::cat(late);
  CHECK(value(fakes.mean()) == Approx(3).margin(0.2));
  CHECK(value(fakes.std()) == Approx(0.5).margin(0.25));
}

}  // namespace genzoo
