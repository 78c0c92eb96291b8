#pragma once
// Convolutional classifier of labelled images: the discriminative counterpart of the zoo's generative models. It models
// p(label | image) and nothing of the images themselves; what it makes of an image before its last layer are features
// in which samples are compared with real images.
//   LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998
//   Ioffe & Szegedy, Batch Normalization, 2015. https://arxiv.org/abs/1502.03167
//
// Legend: B batch, C channels, H rows, W columns, F features, K classes.

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <vector>

#include "core/config.h"
#include "data/dataset.h"
#include "models/layers.h"
#include "models/model.h"

namespace genzoo {

struct ClassifierConfig {
  static constexpr const char* kName = "classifier";
  std::vector<int64_t> channels = {32, 64};
  int64_t feature_dim = 128;
  double dropout = 0.0;

  void fields(Fields& f) {
    f("channels", channels, "of each convolution; each halves the image's sides", positive);
    f("feature_dim", feature_dim, "features before the last layer", positive);
    f("dropout", dropout, "share of the features set to zero in training", fraction);
    f.require(!channels.empty(), "channels", "'channels' needs at least one convolution");
  }
};

class ClassifierImpl final : public torch::nn::Module {
 public:
  using Config = ClassifierConfig;
  static constexpr const char* kDoc = "convolutional classifier of labelled images: discriminative, not generative";
  static constexpr const char* kPaper = "LeCun et al., 1998; Ioffe & Szegedy, 2015, arXiv:1502.03167";
  static constexpr const char* kNoLikelihood = "it models p(label | image), not the image";

  /// Throws UsageError unless the data are labelled images of at least 2^layers pixels a side.
  ClassifierImpl(const ClassifierConfig& config, const DataSpec& data, Rng& init);

  /// -log p(y | x), nats, and the share of wrong labels. batch.y: labels (B).
  Loss loss(const Batch& batch, Rng& rng, int64_t step);

  Tensor features(const Tensor& x);      ///< x (B, C, H, W) as stored -> (B, F), not negative
  Tensor class_logits(const Tensor& x);  ///< (B, K)

 private:
  DataSpec data_;
  double dropout_;
  std::vector<Conv2d> convolutions_;
  std::vector<BatchNorm> norms_;
  Linear hidden_{nullptr};
  BatchNorm hidden_norm_{nullptr};
  Linear head_{nullptr};
};
TORCH_MODULE(Classifier);

static_assert(HasLoss<ClassifierImpl> && HasClassify<ClassifierImpl>);
static_assert(!HasSample<ClassifierImpl> && !HasLogProb<ClassifierImpl>, "it tells images apart and makes none");

}  // namespace genzoo
