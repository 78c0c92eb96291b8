#pragma once
// RealNVP: a density as an invertible map to noise, for vectors and for images.
//
// Dinh, Sohl-Dickstein & Bengio (2017), "Density estimation using Real NVP", https://arxiv.org/abs/1605.08803
//
// log p(x) = log N(f(x); 0, I) + log |det df/dx|, eq. (3), exactly, and x = f^-1(z) samples.
//
// Vectors (D): coupling layers whose masks alternate between the odd and the even dimensions. Whole numbers, of vectors
// with levels, become real by uniform noise on [0, 1) and are centered.
// Images (C, H, W): section 3.6. Each scale but the last: couplings with checkerboard masks, a squeeze to (4C, H/2,
// W/2), couplings with channel masks, and half of the channels leave for the latent; the last scale: checkerboard masks
// only; or, flat, those of vectors. An 8-bit pixel becomes a real number by uniform noise on [0, 1) (dequantization)
// and the logit.

#include <cstdint>
#include <string>
#include <vector>

#include "models/model.h"
#include "models/realnvp/flow_layer.h"

namespace genzoo {

/// The layer before each coupling.
enum class FlowNormalization { actnorm, batch_norm, none };
inline constexpr const char* kFlowNormalizationNames[] = {"actnorm", "batch_norm", "none"};

/// What couplings a flow of images has.
enum class FlowArchitecture { multi_scale, flat };
inline constexpr const char* kFlowArchitectureNames[] = {"multi_scale", "flat"};

struct RealNVPConfig {
  static constexpr const char* kName = "realnvp";

  int64_t couplings = 4;
  int64_t scales = 2;
  int64_t hidden_dim = 64;
  int64_t blocks = 1;
  FlowNormalization normalization = FlowNormalization::actnorm;
  double alpha = 0.05;
  FlowArchitecture architecture = FlowArchitecture::multi_scale;
  bool learned_scale = true;
  bool identity_start = true;

  void fields(Fields& f) {
    f("couplings", couplings, "coupling layers; of images: of each kind of mask at each scale, one more at the last",
      positive);
    f("scales", scales, "of images: 1 + how often height and width are halved", positive);
    f("hidden_dim", hidden_dim, "units, or channels, of the networks that give scale and translation", positive);
    f("blocks", blocks, "depth of these networks: residual blocks, of vectors hidden layers", positive);
    f("normalization", normalization, kFlowNormalizationNames, "before each coupling");
    f("alpha", alpha, "of images: share of the unit interval left free at each end before the logit",
      Range{1e-6, 0.5, false, true, "in [1e-6, 0.5)"});
    f("architecture", architecture, kFlowArchitectureNames,
      "of images: multi_scale, convolutions and squeezes; flat, an image is the vector of its pixels and 'scales' has "
      "no "
      "meaning");
    f("learned_scale", learned_scale, "a factor of each dimension, or channel, bounds the log-scales; false: 1 does");
    f("identity_start", identity_start,
      "the couplings begin as the identity; false: with the usual random weights in the networks' last layers too");
  }
};

class RealNVPImpl final : public torch::nn::Module {
 public:
  using Config = RealNVPConfig;
  static constexpr const char* kDoc = "normalizing flow of affine coupling layers, multi-scale for images";
  static constexpr const char* kPaper = "Dinh, Sohl-Dickstein & Bengio, 2017, arXiv:1605.08803";
  static constexpr bool kSamplesHaveTemperature = true;

  /// Vectors with at least 2 dimensions, or images whose height and width can be halved `scales` - 1 times; else
  /// UsageError.
  RealNVPImpl(const RealNVPConfig& config, const DataSpec& data, Rng& init);

  /// The flow on real numbers: vectors (B, D), or images (B, C, H, W); levels as real numbers in (0, levels). y: the
  /// latent (B, D).
  Transformed forward(const Tensor& x);
  Tensor inverse(const Tensor& z);

  Loss loss(const Batch& batch, Rng& rng, int64_t step);

  /// (B), nats. Real vectors: log p(x). Levels: log of the mean density over k dequantizations of x, relative to the
  /// unit cell; in the mean over them at most the log-probability of the integers, and the closer the larger k. Theis
  /// et al. (2016), section 3.1; Hoogeboom et al. (2020) for k > 1.
  Tensor log_prob(const Tensor& x, int64_t k, Rng& rng);
  LikelihoodClaim likelihood() const;

  Tensor sample(int64_t n, Rng& rng, const SampleOptions& options);  ///< base noise times the temperature

  /// Levels are taken at their cell's middle and decoded by rounding down, so decode_latent(encode_latent(x)) = x.
  Tensor encode_latent(const Tensor& x);
  Tensor decode_latent(const Tensor& z);
  /// {D}. Of images: what leaves at the first scale, the second, ..., and what the last one ends in; each in the order
  /// channels, rows, columns.
  std::vector<int64_t> latent_shape() const { return {data_.dims()}; }

  /// Whether the flow can be inverted in floating point, and how much it stretches. (models/realnvp/monitors.cpp)
  std::vector<Monitor> monitors(const Batch& batch, Rng& rng);

 private:
  FlowSequence vector_flow(const RealNVPConfig& config, Rng& init) const;
  FlowSequence image_scale(const RealNVPConfig& config, std::vector<int64_t>& event, bool last, Rng& init) const;
  Tensor real(const Tensor& x) const;  // x with the device and the type of the parameters
  Tensor dequantize(const Tensor& x, Rng& rng) const;
  Tensor log_density(const Tensor& x);
  bool images() const { return data_.kind == DataKind::images; }
  bool discrete() const { return data_.levels > 0; }
  double middle() const { return 0.5 * static_cast<double>(data_.levels); }  // of the levels' range

  DataSpec data_;
  bool flat_;             // an event of the flow is a vector
  Logit logit_{nullptr};  // of images
  std::vector<FlowSequence> scales_;
  std::vector<std::vector<int64_t>> parts_;  // sizes of the latent's parts, in its order, without the batch
  Tensor like_;  // a parameter: tells type and device, which collecting all of them would take long to find out
};
TORCH_MODULE(RealNVP);

static_assert(HasLoss<RealNVPImpl> && HasSample<RealNVPImpl> && HasLogProb<RealNVPImpl>);
static_assert(HasEncode<RealNVPImpl> && HasDecode<RealNVPImpl> && HasMonitors<RealNVPImpl>);
static_assert(!HasReconstruct<RealNVPImpl>, "decoding what was encoded is the identity: there is nothing to see");

}  // namespace genzoo
