// --set: an override edits the tree before it is read, and answers for its own mistakes.

#include "core/config.h"
#include "core/error.h"
#include "tests/core/config_example.h"
#include "tests/support.h"

using namespace genzoo;
using namespace genzoo::config_example;

namespace {

Experiment read(const std::string& text, const std::vector<std::string>& overrides) {
  ConfigSource source = ConfigSource::from_text(text, "a.yaml");
  for (const std::string& assignment : overrides) source.set(assignment);
  return read_config<Experiment>(source);
}

std::string mistakes(const std::string& text, const std::vector<std::string>& overrides) {
  try {
    read(text, overrides);
  } catch (const ConfigError& e) {
    return e.what();
  }
  return "no mistake";
}

/// What is said about an assignment that is none.
std::string refusal(const std::string& assignment) {
  try {
    ConfigSource::from_text("model: vae", "a.yaml").set(assignment);
  } catch (const UsageError& e) {
    return e.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("an override replaces a value or adds one", "[core][config]") {
  CHECK(read("model: vae\nseed: 1", {"seed=5"}).seed == 5);
  CHECK(read("model: vae", {"seed=5", "seed=6"}).seed == 6);
  CHECK(read("model: vae\nseed: forty", {"seed=5"}).seed == 5);
  CHECK(read("model: vae", {"experiment=a=b"}).experiment == "a=b");
  CHECK(read("model: vae", {"experiment=''"}).experiment.empty());
  CHECK(read("model: vae\ntrain:", {"train.steps=7"}).train.steps == 7);
  CHECK(read("model: vae", {"train.optimizer={sgd: {momentum: 0.5}}"}).train.optimizer == Optimizer(SGD{0.1, 0.5}));
  const Experiment e = read("model: {gan: {latent_dim: 3}}", {"model.gan.widths=[8, 4]"});
  CHECK(e.model.settings.as<GAN>() == GAN{3, {8, 4}, false});
}

TEST_CASE("an override below a bare word gives it settings", "[core][config]") {
  const auto schedule = [](const std::string& text, const std::vector<std::string>& overrides) {
    return read("model: vae\ntrain: {schedule: " + text + "}", overrides).train.schedule;
  };
  CHECK(schedule("constant", {"train.schedule.constant.warmup_steps=5"}) == Schedule(Constant{5}));
  CHECK(schedule("{constant: {warmup_steps: 2}}", {"train.schedule.constant.warmup_steps=5"}) == Schedule(Constant{5}));
  CHECK(schedule("none_such", {"train.schedule=constant", "train.schedule.constant.warmup_steps=5"}) ==
        Schedule(Constant{5}));
}

TEST_CASE("an override of a choice replaces the file's", "[core][config]") {
  CHECK(read("model: vae", {"model=gan"}).model.name == "gan");
  CHECK(read("model: vae", {"model.gan.latent_dim=9"}).model.settings.as<GAN>().latent_dim == 9);
  CHECK(read("model: {vae: {latent_dim: 4}}", {"model.gan.latent_dim=9"}).model.settings.as<GAN>().latent_dim == 9);
  CHECK(read("model: {vae: {}, gan: {}}", {"model.gan.latent_dim=9"}).model.settings.as<GAN>().latent_dim == 9);
  CHECK(mistakes("model: vae", {"model.gan.latent_dim=9", "model.vae.latent_dim=9"}) ==
        "--set model.vae.latent_dim=9: error: 'model' takes exactly one of vae, gan, not 2");
  CHECK(mistakes("model: {vae: {}, latent_dim: 3}", {"model.vae.latent_dim=4"}) ==
        "a.yaml:1:18: error: 'latent_dim' belongs inside 'model.vae', not beside it");
}

TEST_CASE("an override switches a section on and off", "[core][config]") {
  const std::string with = "model: vae\ntrain: {ema: {halflife_images: 5}}";
  const std::string without = "model: vae\ntrain: {ema: none}";
  CHECK_FALSE(read(with, {"train.ema=none"}).train.ema);
  CHECK(read(without, {"train.ema={}"}).train.ema == Ema{});
  CHECK(read(without, {"train.ema.halflife_images=7"}).train.ema == Ema{7});
  CHECK_FALSE(read(with, {"train.ema.halflife_images=7", "train.ema=none"}).train.ema);
}

TEST_CASE("a mistake in an override names it, behind the file's", "[core][config]") {
  CHECK(mistakes("model: vae\nsede: 1\nseed: -1",
                 {"train.stepz=5", "train.steps=1e3", "train.schedule=cosin", "train.optimizer.sdg.lr=1"}) ==
        "a.yaml:2:1: error: unknown key 'sede'; did you mean 'seed'?\n"
        "a.yaml:3:7: error: 'seed' must be at least 0, not -1\n"
        "--set train.stepz=5: error: unknown key 'stepz' in 'train'; did you mean 'steps'?\n"
        "--set train.steps=1e3: error: 'steps' must be an integer, not '1e3'; write 1000\n"
        "--set train.schedule=cosin: error: unknown choice 'cosin' in 'train.schedule'; did you mean 'cosine'?\n"
        "--set train.optimizer.sdg.lr=1: error: unknown key 'sdg' in 'train.optimizer'; did you mean 'sgd'?");
  CHECK(mistakes("model: vae\nseed: 1", {"seed.x=1"}) == "--set seed.x=1: error: 'seed' must be an integer, not a map");
  CHECK(mistakes("model: vae", {"trian.steps=5"}) ==
        "--set trian.steps=5: error: unknown key 'trian'; did you mean 'train'?");
  CHECK(mistakes("model: vae", {"model.vae.hidden_dim=8"}) ==
        "--set model.vae.hidden_dim=8: error: 'hidden_dim' (8) must be at least 'latent_dim' (16)");
  CHECK(mistakes("model: {vae: {hidden_dim: 30}}", {"model.vae.hidden_dim=8"}) ==
        "--set model.vae.hidden_dim=8: error: 'hidden_dim' (8) must be at least 'latent_dim' (16)");
  CHECK(mistakes("model: vae", {"train={steps: 1, steps: 2}"}) ==
        "--set train={steps: 1, steps: 2}: error: 'steps' is given twice");
  CHECK(mistakes("model: {gan: {widths: [1]}}", {"model.gan.widths.0=3"}) ==
        "--set model.gan.widths.0=3: error: 'widths' must be a list of integers, not a map");
  CHECK(mistakes("model: vae", {"seed="}) == "--set seed=: error: 'seed' must be an integer, not empty");
}

TEST_CASE("an assignment that is none is refused at once", "[core][config]") {
  CHECK(refusal("seed") == "--set seed: needs a key and a value, such as --set train.steps=100");
  CHECK(refusal("=5") == "--set =5: needs a key and a value, such as --set train.steps=100");
  CHECK(refusal("train..steps=5") ==
        "--set train..steps=5: a part of the key is empty; it is names joined by points, such as train.steps");
  CHECK(refusal("experiment=@x") ==
        "--set experiment=@x: not valid YAML: unknown token; text with special characters needs quotes");
  CHECK(refusal("experiment=\"@x\"") == "accepted");
}
