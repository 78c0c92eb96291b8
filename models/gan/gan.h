#pragma once
// Generative adversarial networks: a generator turns noise into examples, a discriminator tells them from data, and
// each is trained against the other.
//
// Goodfellow et al. (2014), Generative Adversarial Networks, https://arxiv.org/abs/1406.2661
// Radford et al. (2016), Unsupervised Representation Learning with Deep Convolutional GANs (the networks for images)
//
// Legend: B batch, Z latent, C channels, S image side, D dimensions.

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <vector>

#include "core/config.h"
#include "core/random.h"
#include "data/dataset.h"
#include "models/gan/losses.h"
#include "models/gan/networks.h"
#include "models/model.h"

namespace genzoo {

struct GANConfig {
  static constexpr const char* kName = "gan";

  int64_t latent_dim = 100;          ///< Z
  int64_t generator_width = 64;      ///< images: channels at half the image's side; vectors: units of a hidden layer
  int64_t discriminator_width = 64;  ///< likewise
  int64_t hidden_layers = 3;         ///< vectors only: of either network
  gan::Norm discriminator_norm = gan::Norm::spectral;
  bool bias = true;  ///< images only: in the layers that no normalization of activations follows
  gan::Objective objective = gan::Objective::non_saturating;
  double gradient_penalty = 10;  ///< lambda, wasserstein only
  double r1 = 0;                 ///< gamma; 0: no such penalty
  int64_t n_critic = 1;          ///< discriminator updates per generator update

  void fields(Fields& f) {
    f("latent_dim", latent_dim, "dimensions of the latent z ~ N(0, I)", positive);
    f("generator_width", generator_width,
      "images: channels at half the image's side, doubled at each coarser one up to eightfold; vectors: units of a "
      "hidden layer",
      positive);
    f("discriminator_width", discriminator_width, "the same of the discriminator", positive);
    f("hidden_layers", hidden_layers, "hidden layers of either network, for vectors (images: by their size)", positive);
    f("discriminator_norm", discriminator_norm, gan::kNormNames,
      "normalization in the discriminator: of activations over the batch or over the example's layer, or of weights by "
      "their spectral norm; batch goes with neither penalty");
    f("bias", bias,
      "images: biases in the layers that no normalization of activations follows (the others never have any)");
    f("loss", objective, gan::kObjectiveNames, "the players' losses");
    f("gradient_penalty", gradient_penalty, "weight of (|gradient| - 1)^2, of loss: wasserstein only", non_negative);
    f("r1", r1, "weight gamma of gamma/2 |gradient|^2 at the data; 0: none", non_negative);
    f("n_critic", n_critic, "discriminator updates per generator update", positive);
    const bool on_gradients = r1 > 0 || (objective == gan::Objective::wasserstein && gradient_penalty > 0);
    f.require(discriminator_norm != gan::Norm::batch || !on_gradients, "discriminator_norm",
              "'discriminator_norm: batch' mixes the examples, and 'r1' and 'gradient_penalty' are on the gradient of "
              "each; take layer, spectral or none");
  }
};

/// A generator G and a discriminator D for images (uint8, square, sides such as 28, 32, 64) or vectors (float32).
///
/// Between the players levels live in [-1, 1], real vectors as stored. A fake is made once, by generate_fake, and
/// judged in both losses. In train mode G's batch normalization uses the batch's statistics and D's spectral
/// normalization advances with each judgement; sample() and decode_latent() always evaluate.
class GANImpl final : public torch::nn::Module {
 public:
  using Config = GANConfig;
  static constexpr const char* kDoc = "two networks trained against each other; samples, no likelihood";
  static constexpr const char* kPaper = "Goodfellow et al., 2014, arXiv:1406.2661";
  static constexpr bool kSamplesHaveMean = false;
  static constexpr const char* kNoLikelihood =
      "a GAN's density is implicit: it can be drawn from but not evaluated (Goodfellow et al., 2014)";

  /// Throws UsageError for data it has no networks for.
  GANImpl(const GANConfig& config, const DataSpec& data, Rng& init);

  /// G(z), z ~ N(0, I): (n, C, S, S) in [-1, 1], or (n, D); with its graph. Draws (n, Z) normals.
  Tensor generate_fake(int64_t n, Rng& rng);

  /// D's loss on a batch and as many fakes, with its penalties; no gradient reaches G. Terms: d_real and d_fake (mean
  /// D(x), or mean score of the losses without probabilities), penalty when there is one.
  Loss discriminator_loss(const Batch& batch, const Tensor& fake, Rng& rng);

  /// G's loss, through D.
  Loss generator_loss(const Tensor& fake, Rng& rng);

  int64_t n_critic() const { return config_.n_critic; }

  /// G(z), z ~ N(0, I), as stored: images (n, C, S, S) uint8, vectors (n, D) float32.
  Tensor sample(int64_t n, Rng& rng, const SampleOptions& options);
  Tensor decode_latent(const Tensor& z);  ///< (B, Z) -> as sample()
  std::vector<int64_t> latent_shape() const { return {config_.latent_dim}; }

  /// How often D is right, and how much the samples differ from each other. (models/gan/monitors.cpp)
  std::vector<Monitor> monitors(const Batch& batch, Rng& rng);

  torch::nn::Sequential generator{nullptr};      ///< (B, Z) -> (B, C, S, S) or (B, D)
  torch::nn::Sequential discriminator{nullptr};  ///< -> (B, 1)

 private:
  Tensor draw_latent(int64_t n, Rng& rng);
  Tensor score(const Tensor& x);                 ///< (B), at least float32
  Tensor to_player(const Tensor& stored) const;  ///< levels -> [-1, 1]; real numbers: their dtype only
  Tensor to_stored(const Tensor& x) const;       ///< the inverse, rounded to the nearest level

  GANConfig config_;
  bool images_;
  int64_t levels_;  ///< of a pixel, or of a discrete vector's numbers; 0: real numbers
  Tensor like_;     ///< a parameter: tells type and device, which collecting all of them would take long to find out
};
TORCH_MODULE(GAN);

static_assert(HasAdversarialLoss<GANImpl> && HasSample<GANImpl> && HasDecode<GANImpl> && HasMonitors<GANImpl>);
static_assert(!HasLoss<GANImpl>, "there is no single number that both players minimize");
static_assert(!HasLogProb<GANImpl>, "the density of G(z) is implicit; D's scores are not densities");
static_assert(!HasEncode<GANImpl> && !HasReconstruct<GANImpl>, "nothing maps an example back to its latent");

}  // namespace genzoo
