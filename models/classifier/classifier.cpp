#include "models/classifier/classifier.h"

#include <fmt/format.h>
#include <torch/utils.h>

#include <algorithm>

#include "core/error.h"
#include "models/class_head.h"

namespace genzoo {
namespace {

constexpr ConvGeometry kHalving{.kernel = 3, .stride = 2, .padding = 1, .bias = false};  // a norm's bias follows
constexpr double kEps = 1e-5;

void require_labelled_images(const DataSpec& data, int64_t layers) {
  if (data.kind != DataKind::images || data.classes < 2) {
    throw UsageError(fmt::format("models/classifier: {} has {}; wanted images with labels of at least 2 classes",
                                 data.dataset, data.describe()));
  }
  if (std::min(data.shape[1], data.shape[2]) < (int64_t{1} << layers)) {
    throw UsageError(fmt::format("models/classifier: {} has {}, too small to be halved {} times; take fewer channels",
                                 data.dataset, data.describe(), layers));
  }
}

}  // namespace

ClassifierImpl::ClassifierImpl(const ClassifierConfig& config, const DataSpec& data, Rng& init)
    : data_(data), dropout_(config.dropout) {
  const auto layers = static_cast<int64_t>(config.channels.size());
  require_labelled_images(data, layers);
  int64_t in = data.shape[0], height = data.shape[1], width = data.shape[2];
  for (int64_t i = 0; i < layers; ++i) {
    const int64_t out = config.channels[static_cast<size_t>(i)];
    convolutions_.push_back(register_module(fmt::format("convolution{}", i), Conv2d(in, out, kHalving, init)));
    norms_.push_back(register_module(fmt::format("norm{}", i), BatchNorm(out, kEps, Leaky::relu())));
    in = out;
    height = (height + 1) / 2;
    width = (width + 1) / 2;
  }
  hidden_ = register_module("hidden", Linear(in * height * width, config.feature_dim, init, /*with_bias=*/false));
  hidden_norm_ = register_module("hidden_norm", BatchNorm(config.feature_dim, kEps, Leaky::relu()));
  head_ = register_module("head", Linear(config.feature_dim, data.classes, init));
}

Tensor ClassifierImpl::features(const Tensor& x) {
  Tensor h = x.to(head_->weight.scalar_type()) * (2.0 / static_cast<double>(data_.levels - 1)) - 1.0;
  for (size_t i = 0; i < convolutions_.size(); ++i) h = norms_[i](convolutions_[i](h));
  return hidden_norm_(hidden_(h.flatten(1)));  // (B, F)
}

Tensor ClassifierImpl::class_logits(const Tensor& x) { return head_(features(x)); }

Loss ClassifierImpl::loss(const Batch& batch, Rng& rng, int64_t) {
  Tensor h = features(batch.x);
  if (is_training()) h = rng.dropout(h, dropout_);
  return class_loss(head_(h).to(torch::kFloat), batch.y);
}

}  // namespace genzoo
