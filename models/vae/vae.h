#pragma once
// Variational autoencoder with a Gaussian posterior q(z|x) and a standard normal prior.
//   Kingma & Welling, Auto-Encoding Variational Bayes, 2014. https://arxiv.org/abs/1312.6114
// and the refinements most used with it:
//   beta: Higgins et al., beta-VAE, 2017
//   KL warm-up: Bowman et al., 2016; Sonderby et al., 2016 (section 2.3)
//   free bits: Kingma et al., Inverse Autoregressive Flow, 2016 (appendix C.8)
//   k-sample bound: Burda et al., Importance Weighted Autoencoders, 2016, eq. (8)
//
// Legend: B batch, Z latent, K importance samples, D dimensions of one example, (...) the shape of one example.

#include <torch/nn/module.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/pimpl.h>

#include <variant>

#include "core/config.h"
#include "data/dataset.h"
#include "models/distributions.h"
#include "models/model.h"
#include "models/vae/networks.h"

namespace genzoo {

/// p(x|z), factorized over the dimensions of x.
enum class VAELikelihood {
  bernoulli,             ///< of binarized pixels and bits; of grey ones only a surrogate loss
  gaussian,              ///< of pixels dequantized by uniform noise, or of vectors; mean and scale from the decoder
  discretized_logistic,  ///< of pixels; mean and scale from the decoder
};
inline constexpr const char* kVAELikelihoodNames[] = {"bernoulli", "gaussian", "discretized_logistic"};

struct VAEConfig {
  static constexpr const char* kName = "vae";
  int64_t latent_dim = 32;
  VAENetworkConfig network = VAEConvConfig{};
  VAELikelihood likelihood = VAELikelihood::discretized_logistic;
  double beta = 1;
  int64_t kl_warmup_steps = 0;
  double free_bits = 0;
  int64_t importance_samples = 1;

  void fields(Fields& f) {
    f("latent_dim", latent_dim, "dimensions of the latent z", positive);
    f("network", network, "the kind of encoder and decoder; vectors take mlp");
    f("likelihood", likelihood, kVAELikelihoodNames,
      "p(x|z): bernoulli for binarized pixels and binary vectors, discretized_logistic or gaussian for grey and color "
      "pixels, gaussian for vectors of real numbers");
    f("beta", beta, "weight of the KL term; the objective is the ELBO only at 1", non_negative);
    f("kl_warmup_steps", kl_warmup_steps, "steps over which the weight of the KL term grows linearly from 0",
      non_negative);
    f("free_bits", free_bits, "nats a latent dimension may use on average before its KL counts", non_negative);
    f("importance_samples", importance_samples, "draws of z in the objective; above 1 the importance-weighted bound",
      positive);
    f.require(importance_samples == 1 || (beta == 1 && kl_warmup_steps == 0 && free_bits == 0), "importance_samples",
              "'importance_samples' above 1 has no KL term, so it needs beta 1, kl_warmup_steps 0 and free_bits 0");
  }
};

class VAEImpl final : public torch::nn::Module {
 public:
  using Config = VAEConfig;
  static constexpr const char* kDoc = "variational autoencoder: a decoder of latents and an encoder that infers them";
  static constexpr const char* kPaper = "Kingma & Welling, 2014, arXiv:1312.6114";
  static constexpr bool kSamplesHaveMean = true;

  /// Any p(x|z) that VAELikelihood names.
  using Likelihood = std::variant<Bernoulli, DiagNormal, DiscretizedLogistic>;

  /// Throws UsageError for tokens, and for data that the likelihood or the network does not fit.
  VAEImpl(const VAEConfig& config, const DataSpec& data, Rng& init);

  DiagNormal encode(const Tensor& x);  ///< q(z|x) over (B, Z); x (B, ...) as stored
  Likelihood decode(const Tensor& z);  ///< p(x|z) over (B, ...); z (B, Z)

  /// -E_q[log p(x|z)] + weight KL(q(z|x) || p(z)) with one draw of z, or minus the k-sample bound. Nats.
  Loss loss(const Batch& batch, Rng& rng, int64_t step);
  int64_t loss_settles_at() const { return config_.kl_warmup_steps; }

  /// A lower bound of log p(x): of images the probability of the pixels, of vectors the density. k = 1: the ELBO with
  /// its KL in closed form; k > 1: the k-sample importance-weighted bound, tighter in the mean. (B), nats
  Tensor log_prob(const Tensor& x, int64_t k, Rng& rng);
  LikelihoodClaim likelihood() const;

  Tensor sample(int64_t n, Rng& rng, const SampleOptions& options);  ///< x ~ p(x|z), z ~ N(0, I). As stored
  Tensor encode_latent(const Tensor& x);                             ///< mean of q(z|x). (B, Z)
  Tensor decode_latent(const Tensor& z);                             ///< mean of p(x|z), as stored
  Tensor reconstruct(const Tensor& x);  ///< mean of p(x|z) at the mean of q(z|x), as stored
  std::vector<int64_t> latent_shape() const { return {config_.latent_dim}; }

  /// Active units and the KL of each latent: whether z says anything of x. (models/vae/monitors.cpp)
  std::vector<Monitor> monitors(const Batch& batch, Rng& rng);

  torch::nn::Sequential encoder{nullptr};  ///< pixels in [0, 1], or vectors -> mean and log-variance of q, (B, 2 Z)
  torch::nn::Sequential decoder{nullptr};  ///< (B, Z) -> the parameters of p(x|z)

 private:
  double kl_weight(int64_t step) const;
  /// Examples as they are stored, and as the encoder takes them.
  struct Examples {
    Tensor stored;  ///< (B, ...)
    Tensor scaled;  ///< (B, ...)  pixels in [0, 1], or vectors, in the network's type
  };
  Examples examples(const Tensor& x) const;
  Tensor moments(const Tensor& scaled);
  Tensor observation(const Examples& x, Rng& rng) const;
  Tensor log_likelihood(const Tensor& observed, const Tensor& z);
  struct Importance;
  Importance importance(const Examples& x, const DiagNormal& q, int64_t k, Rng& rng);
  Tensor mean_as_stored(const Likelihood& p) const;
  Tensor as_stored(const Tensor& value) const;

  VAEConfig config_;
  DataSpec data_;
  Tensor like_;  ///< a parameter: tells type and device, which collecting all of them would take long to find out
};
TORCH_MODULE(VAE);

static_assert(HasLoss<VAEImpl> && HasChangingLoss<VAEImpl> && HasSample<VAEImpl> && HasLogProb<VAEImpl>);
static_assert(HasEncode<VAEImpl> && HasDecode<VAEImpl> && HasReconstruct<VAEImpl> && HasMonitors<VAEImpl>);
static_assert(!HasAdversarialLoss<VAEImpl> && !HasTokenLogProb<VAEImpl> && !HasGenerate<VAEImpl>);

}  // namespace genzoo
