#pragma once
// A config with a field of every kind, for the tests of the config reader.

#include <array>
#include <string>

#include "core/config.h"

namespace genzoo::config_example {

struct AdamW {
  static constexpr const char* kName = "adamw";
  double lr = 1e-3;
  double beta1 = 0.9;
  double weight_decay = 0.0;
  void fields(Fields& f) {
    f("lr", lr, "learning rate", positive);
    f("beta1", beta1, "decay of the first moment", fraction);
    f("weight_decay", weight_decay, "decoupled weight decay", non_negative);
  }
  bool operator==(const AdamW&) const = default;
};

struct SGD {
  static constexpr const char* kName = "sgd";
  double lr = 0.1;
  double momentum = 0.0;
  void fields(Fields& f) {
    f("lr", lr, "learning rate", positive);
    f("momentum", momentum, "momentum", fraction);
  }
  bool operator==(const SGD&) const = default;
};

struct Constant {
  static constexpr const char* kName = "constant";
  int64_t warmup_steps = 0;
  void fields(Fields& f) { f("warmup_steps", warmup_steps, "steps until the full rate", non_negative); }
  bool operator==(const Constant&) const = default;
};

struct Cosine {
  static constexpr const char* kName = "cosine";
  int64_t warmup_steps = 100;
  double final_lr = 0.0;
  void fields(Fields& f) {
    f("warmup_steps", warmup_steps, "steps until the full rate", non_negative);
    f("final_lr", final_lr, "rate at the last step", non_negative);
  }
  bool operator==(const Cosine&) const = default;
};

struct Off {
  static constexpr const char* kName = "off";
  void fields(Fields&) {}
  bool operator==(const Off&) const = default;
};

struct Ema {
  int64_t halflife_images = 50000;
  void fields(Fields& f) { f("halflife_images", halflife_images, "images until a weight counts half", positive); }
  bool operator==(const Ema&) const = default;
};

using Optimizer = std::variant<AdamW, SGD>;
using Schedule = std::variant<Cosine, Constant, Off>;

enum class Precision { float32, bfloat16 };
inline constexpr std::array<const char*, 2> kPrecisions{"float32", "bfloat16"};

struct Train {
  int64_t steps = 1000;
  Precision precision = Precision::float32;
  Optimizer optimizer;
  Schedule schedule;
  std::optional<Ema> ema;
  void fields(Fields& f) {
    f("steps", steps, "updates", positive);
    f("precision", precision, kPrecisions, "of the matrix products");
    f("optimizer", optimizer, "how parameters move");
    f("schedule", schedule, "the learning rate over time");
    f("ema", ema, "average of the weights");
  }
  bool operator==(const Train&) const = default;
};

struct VAE {
  int64_t latent_dim = 16;
  int64_t hidden_dim = 400;
  void fields(Fields& f) {
    f("latent_dim", latent_dim, "dimensions of the latent z", positive);
    f("hidden_dim", hidden_dim, "width of encoder and decoder", positive);
    f.require(hidden_dim >= latent_dim, "hidden_dim",
              "'hidden_dim' (" + std::to_string(hidden_dim) + ") must be at least 'latent_dim' (" +
                  std::to_string(latent_dim) + ")");
  }
  bool operator==(const VAE&) const = default;
};

struct GAN {
  int64_t latent_dim = 64;
  std::vector<int64_t> widths{256, 128};
  bool spectral_norm = false;
  void fields(Fields& f) {
    f("latent_dim", latent_dim, "dimensions of the latent z", positive);
    f("widths", widths, "channels of each block", Range{.min = 1, .max = 4096});
    f("spectral_norm", spectral_norm, "bounds the discriminator's slope");
  }
  bool operator==(const GAN&) const = default;
};

inline constexpr std::array<ChoiceRow, 2> kModels{
    ChoiceRow{"vae", "variational autoencoder", [] { return AnyConfig(VAE{}); }},
    ChoiceRow{"gan", "generative adversarial network", [] { return AnyConfig(GAN{}); }}};

struct Experiment {
  std::string experiment = "unnamed";
  int64_t seed = 0;
  Choice model;
  Train train;
  void fields(Fields& f) {
    f("experiment", experiment, "the run's name");
    f("seed", seed, "of every random stream", non_negative);
    f("model", model, kModels, "what learns");
    f("train", train, "how it learns");
  }
};

inline bool operator==(const Experiment& a, const Experiment& b) {
  if (a.experiment != b.experiment || a.seed != b.seed || !(a.train == b.train) || a.model.name != b.model.name) {
    return false;
  }
  return a.model.name == "vae"   ? a.model.settings.as<VAE>() == b.model.settings.as<VAE>()
         : a.model.name == "gan" ? a.model.settings.as<GAN>() == b.model.settings.as<GAN>()
                                 : true;
}

}  // namespace genzoo::config_example
