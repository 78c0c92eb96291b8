// Reading: what a good file gives, and every message a bad one gets. Overrides and writing have files of their own.

#include "core/config.h"

#include <fstream>

#include "core/error.h"
#include "tests/core/config_example.h"
#include "tests/support.h"

using namespace genzoo;
using namespace genzoo::config_example;

namespace {

Experiment read(const std::string& text) { return read_config<Experiment>(ConfigSource::from_text(text, "bad.yaml")); }

/// What is said about a bad file; "no mistake" if nothing is.
std::string mistakes(const std::string& text) {
  try {
    read(text);
  } catch (const ConfigError& e) {
    CHECK(e.code() == ExitCode::usage);
    return e.what();
  }
  return "no mistake";
}

/// The same for one line below `model: vae`, without the position's file name.
std::string mistake_in(const std::string& line) {
  std::string message = mistakes("model: vae\n" + line + "\n");
  return message.starts_with("bad.yaml:") ? message.substr(9) : message;
}

}  // namespace

TEST_CASE("a config is read and what it leaves out keeps its default", "[core][config]") {
  const Experiment e = read(R"(# a comment
experiment: first
model: {gan: {widths: [64, 32], spectral_norm: true}}
train:
  steps: 20
  precision: bfloat16
  optimizer:
    sgd: {lr: 5e-2}
  schedule: constant
  ema:
    halflife_images: 500
)");
  CHECK(e.experiment == "first");
  CHECK(e.seed == 0);
  REQUIRE(e.model.name == "gan");
  CHECK(e.model.settings.as<GAN>() == GAN{64, {64, 32}, true});
  CHECK(e.train == Train{20, Precision::bfloat16, SGD{0.05, 0.0}, Constant{0}, Ema{500}});
}

TEST_CASE("each short form of a section means its defaults", "[core][config]") {
  Experiment defaults;
  defaults.model = {"vae", VAE{}};
  for (const char* text : {"model: vae", "model: {vae: {}}", "model: {vae: }", "model: \"vae\"", "model: vae\ntrain:\n",
                           "model: vae\ntrain: {ema: none, optimizer: adamw, schedule: }", "{model: vae}"}) {
    INFO(text);
    CHECK(read(text) == defaults);
  }
  CHECK(read("model: vae\ntrain: {ema: {}}").train.ema == Ema{});
  CHECK(read("model: vae\ntrain: {schedule: off}").train.schedule == Schedule(Off{}));
}

TEST_CASE("an anchor's value is read wherever its alias stands", "[core][config]") {
  const Experiment e = read(R"(
model: {vae: {latent_dim: &n 7, hidden_dim: *n}}
train: {steps: *n}
)");
  CHECK(e.model.settings.as<VAE>() == VAE{7, 7});
  CHECK(e.train.steps == 7);
}

TEST_CASE("all mistakes of a file are told at once, in its order", "[core][config]") {
  CHECK(mistakes(R"(# six mistakes
seed: forty
model:
  vae:
    latnet_dim: 8
    hidden_dim: -4
train:
  optimizer:
    adamw:
      beta1: 1.5
      momentum: 0.9
      lr: 0.001
      lr: 0.002
)") == R"(bad.yaml:2:7: error: 'seed' must be an integer, not 'forty'
bad.yaml:5:5: error: unknown key 'latnet_dim' in 'model.vae'; did you mean 'latent_dim'?
bad.yaml:6:17: error: 'hidden_dim' must be positive, not -4
bad.yaml:10:14: error: 'beta1' must be in [0, 1), not 1.5
bad.yaml:11:7: error: unknown key 'momentum' in 'train.optimizer.adamw'; it takes lr, beta1, weight_decay
bad.yaml:13:7: error: 'lr' is given twice)");
}

TEST_CASE("a number is refused with what to write instead", "[core][config]") {
  CHECK(mistake_in("seed: 1e3") == "2:7: error: 'seed' must be an integer, not '1e3'; write 1000");
  CHECK(mistake_in("seed: 1000.0") == "2:7: error: 'seed' must be an integer, not '1000.0'; write 1000");
  CHECK(mistake_in("seed: 1_000") == "2:7: error: 'seed' must be an integer, not '1_000'; write 1000");
  CHECK(mistake_in("seed: 0x1F") == "2:7: error: 'seed' must be an integer, not '0x1F'; write 31");
  CHECK(mistake_in("seed: 010") ==
        "2:7: error: 'seed' must be an integer, not '010'; write 10: a leading zero means octal to some");
  CHECK(mistake_in("seed: 0.5") == "2:7: error: 'seed' must be an integer, not '0.5'");
  CHECK(mistake_in("seed: '5'") == "2:7: error: 'seed' must be an integer, not text; write 5 without quotes");
  CHECK(mistake_in("seed: 9223372036854775808") ==
        "2:7: error: 'seed' must be an integer of at most 64 bits, not '9223372036854775808'");
  CHECK(read("model: vae\nseed: 9223372036854775807").seed == std::numeric_limits<int64_t>::max());
  CHECK(read("model: vae\nseed: +5").seed == 5);

  const auto lr = [](const std::string& value) { return mistake_in("train: {optimizer: {sgd: {lr: " + value + "}}}"); };
  CHECK(lr(".inf") == "2:31: error: 'lr' must be a finite number, not '.inf'");
  CHECK(lr("nan") == "2:31: error: 'lr' must be a finite number, not 'nan'");
  CHECK(lr("1e999") == "2:31: error: 'lr' must be a number that a double can hold (2.2e-308 to 1.8e308), not '1e999'");
  CHECK(lr("0x1p3") == "2:31: error: 'lr' must be a number, not '0x1p3'");
  CHECK(lr("1e") == "2:31: error: 'lr' must be a number, not '1e'");
  CHECK(lr("0") == "2:31: error: 'lr' must be positive, not 0");
  CHECK(lr("010.5") ==
        "2:31: error: 'lr' must be a number, not '010.5'; write 10.5: a leading zero means octal to some");
  for (const char* good : {"1e3", "+1000", "1000.", "1.e3", "1000.0e0"}) {
    CHECK(lr(good) == "no mistake");
  }
}

TEST_CASE("a value of the wrong kind is refused", "[core][config]") {
  CHECK(mistake_in("experiment: [a]") == "2:13: error: 'experiment' must be text, not a list");
  CHECK(mistake_in("experiment:\nseed: 1") == "2:1: error: 'experiment' must be text, not empty");
  CHECK(mistake_in("seed: {a: 1}") == "2:7: error: 'seed' must be an integer, not a map");
  CHECK(mistake_in("train: 5") == "2:8: error: 'train' must be a section of keys, not '5'");
  CHECK(mistake_in("train: {precision: bfloat}") ==
        "2:20: error: 'precision' must be one of float32, bfloat16, not 'bfloat'; did you mean 'bfloat16'?");
  CHECK(mistake_in("train: {precision: half}") ==
        "2:20: error: 'precision' must be one of float32, bfloat16, not 'half'");
  CHECK(mistake_in("train: {ema: yes}") ==
        "2:14: error: 'ema' must be a section of keys or none, not 'yes'; write {} for its defaults");
  CHECK(mistake_in("train: {ema: false}") ==
        "2:14: error: 'ema' must be a section of keys or none, not 'false'; write none");
  CHECK(mistake_in("train: {ema: 5}") == "2:14: error: 'ema' must be a section of keys or none, not '5'");
  CHECK(mistake_in("train:\n  ema:\n  steps: 1") ==
        "3:3: error: 'ema' is empty; write none to switch it off, {} for its defaults");
  CHECK(mistakes("model: {gan: {spectral_norm: yes}}") ==
        "bad.yaml:1:30: error: 'spectral_norm' must be true or false, not 'yes'; write true");
  CHECK(mistakes("model: {gan: {widths: 128}}") ==
        "bad.yaml:1:23: error: 'widths' must be a list of integers, not '128'; write [128]");
  CHECK(mistakes("model: {gan: {widths: [1, x, 0]}}") ==
        "bad.yaml:1:27: error: number 2 of 'widths' must be an integer, not 'x'\n"
        "bad.yaml:1:30: error: number 3 of 'widths' must be at least 1 and at most 4096, not 0");
  CHECK(mistake_in("seed: \"" + std::string(60, 'x') + "\\n\"") ==
        "2:7: error: 'seed' must be an integer, not '" + std::string(40, 'x') + "...'");
  CHECK(mistake_in("seed: \"a\\nb\"") == "2:7: error: 'seed' must be an integer, not 'a?b'");
}

TEST_CASE("a choice is exactly one of its alternatives", "[core][config]") {
  CHECK(mistakes("seed: 1") == "bad.yaml:1:1: error: 'model' is missing; it takes one of vae, gan");
  CHECK(mistakes("model:") == "bad.yaml:1:1: error: 'model' is empty; it takes one of vae, gan");
  CHECK(mistakes("model: vea") == "bad.yaml:1:8: error: unknown choice 'vea' in 'model'; did you mean 'vae'?");
  CHECK(mistakes("model: {transformer: {}}") ==
        "bad.yaml:1:9: error: unknown key 'transformer' in 'model'; it takes vae, gan");
  CHECK(mistakes("model: {vae: {}, gan: {}}") == "bad.yaml:1:18: error: 'model' takes exactly one of vae, gan, not 2");
  CHECK(mistakes("model: {}") == "bad.yaml:1:1: error: 'model' takes exactly one of vae, gan, not 0");
  CHECK(mistakes("model: [vae]") == "bad.yaml:1:8: error: 'model' takes one of vae, gan, not a list");
  CHECK(mistakes("model: {vae: 16}") == "bad.yaml:1:14: error: 'vae' must be a section of keys, not '16'");
  CHECK(mistakes("model:\n  vae:\n  latent_dim: 8") ==
        "bad.yaml:3:3: error: 'latent_dim' belongs inside 'model.vae', not beside it");
}

TEST_CASE("a rule about several fields is reported at its key, or at the section without it", "[core][config]") {
  CHECK(mistakes("model: {vae: {hidden_dim: 8}}") ==
        "bad.yaml:1:15: error: 'hidden_dim' (8) must be at least 'latent_dim' (16)");
  CHECK(mistakes("model: {vae: {latent_dim: 500}}") ==
        "bad.yaml:1:9: error: 'hidden_dim' (400) must be at least 'latent_dim' (500)");
  // A refused value says nothing about its neighbors.
  CHECK(mistakes("model: {vae: {hidden_dim: 8, latent_dim: x}}") ==
        "bad.yaml:1:42: error: 'latent_dim' must be an integer, not 'x'");
}

TEST_CASE("what is no map of keys is no config", "[core][config]") {
  CHECK(mistakes("") == "bad.yaml:1:1: error: the config is empty; it is a map of keys, such as 'seed: 0'");
  CHECK(mistakes("# only a comment\n") ==
        "bad.yaml:1:1: error: the config is empty; it is a map of keys, such as 'seed: 0'");
  CHECK(mistakes("\nvae") == "bad.yaml:2:1: error: a config is a map of keys, such as 'seed: 0', not 'vae'");
  CHECK(mistakes("- vae") == "bad.yaml:1:1: error: a config is a map of keys, such as 'seed: 0', not a list");
  CHECK(mistakes("model: vae\n[a]: 1\n? {b: 2}\n: 3\n") ==
        "bad.yaml:2:1: error: a key must be a word\nbad.yaml:3:3: error: a key must be a word");
  CHECK(mistakes("model: vae\n---\nmodel: gan\n") ==
        "bad.yaml:2:1: error: a second document begins here; a config is one");
  CHECK(mistakes("model: {vae: {\nseed: 1\n") == "bad.yaml:3:1: error: not valid YAML: end of map flow not found");
  CHECK(mistakes("model: vae\nseed: !!int 5\n") ==
        "bad.yaml:2:7: error: the tag 'tag:yaml.org,2002:int' has no meaning in a config");
  CHECK(mistakes("model: *none_such\n").starts_with("bad.yaml:1:8: error: not valid YAML: "));
  CHECK(mistakes("model: &m {vae: *m}\n") == "bad.yaml:1:17: error: this alias stands inside the value that it names");
}

TEST_CASE("a hostile file is refused before it costs time or memory", "[core][config]") {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 30; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) bomb += (j ? ", *a" : "*a") + std::to_string(i - 1);
    bomb += "]\n";
  }
  CHECK(mistakes(bomb).find("error: more than 20000 values; this is no config") != std::string::npos);
  CHECK(mistakes("a: " + std::string(100'000, '[')).ends_with("error: nested too deeply; this is no config"));
  CHECK(mistakes(std::string(2'000'000, 'a')) == "bad.yaml:1:1: error: larger than 1 MiB; this is no config");
}

TEST_CASE("a missing file is a mistake of the command line, and the nearest is named", "[core][config]") {
  const TempDir folder;
  std::ofstream(folder / "gan.yaml") << "model: gan\nseed: 4\n";
  CHECK(read_config<Experiment>(ConfigSource::from_file(folder / "gan.yaml")).seed == 4);
  const auto message = [&](const std::string& name) -> std::string {
    try {
      ConfigSource::from_file(folder / name);
    } catch (const UsageError& e) {
      return e.what();
    }
    return "read";
  };
  const std::string at = folder.path().string();
  CHECK(message("gna.yaml") == "config " + at + "/gna.yaml: no such file; did you mean '" + at + "/gan.yaml'?");
  CHECK(message("transformer.yaml") == "config " + at + "/transformer.yaml: no such file");
  CHECK(message("") == "config " + at + "/: is a folder, not a file");
}

TEST_CASE("only a near name is suggested", "[core][config]") {
  const std::vector<std::string> known{"latent_dim", "hidden_dim", "lr", "beta1"};
  CHECK(nearest_name("latent_dim", known) == "latent_dim");
  CHECK(nearest_name("latnet_dmi", known) == "latent_dim");
  CHECK(nearest_name("hiden_dim", known) == "hidden_dim");
  CHECK(nearest_name("rl", known) == "lr");  // two letters swapped are one edit
  CHECK(nearest_name("beta2", known) == "beta1");
  CHECK(nearest_name("x", known).empty());
  CHECK(nearest_name("", known).empty());
  CHECK(nearest_name("momentum", known).empty());
  CHECK(nearest_name("lr", {}).empty());
}
