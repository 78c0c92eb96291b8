#include "models/realnvp/flow_layer.h"

#include <cmath>
#include <string>
#include <utility>

namespace genzoo {

void FlowSequenceImpl::push_back(std::shared_ptr<FlowLayer> layer) {
  layers_.push_back(register_module(std::to_string(layers_.size()), std::move(layer)));
}

Transformed FlowSequenceImpl::forward(const Tensor& x) {
  Transformed all{x, x.new_zeros({x.size(0)})};
  for (const auto& layer : layers_) {
    auto [y, log_det] = layer->forward(all.y);
    all = {std::move(y), all.log_det + log_det};
  }
  return all;
}

Tensor FlowSequenceImpl::inverse(const Tensor& y) {
  Tensor x = y;
  for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer) x = (*layer)->inverse(x);
  return x;
}

Transformed SqueezeImpl::forward(const Tensor& x) {
  const int64_t B = x.size(0), C = x.size(1), H = x.size(2), W = x.size(3);
  const Tensor blocks = x.view({B, C, H / 2, 2, W / 2, 2}).permute({0, 3, 5, 1, 2, 4});  // (B, 2, 2, C, H/2, W/2)
  return {blocks.reshape({B, 4 * C, H / 2, W / 2}), x.new_zeros({B})};
}

Tensor SqueezeImpl::inverse(const Tensor& y) {
  const int64_t B = y.size(0), C = y.size(1) / 4, H = 2 * y.size(2), W = 2 * y.size(3);
  const Tensor blocks = y.reshape({B, 2, 2, C, H / 2, W / 2}).permute({0, 3, 4, 1, 5, 2});  // (B, C, H/2, 2, W/2, 2)
  return blocks.reshape({B, C, H, W});
}

Transformed LogitImpl::forward(const Tensor& x) {
  const Tensor p = alpha_ + scale_ * x;
  const Tensor log_p = p.log(), log_q = (-p).log1p();  // q = 1 - p
  // d logit(p) / dp = 1 / (p q)
  return {log_p - log_q, (std::log(scale_) - log_p - log_q).flatten(1).sum(1)};
}

Tensor LogitImpl::inverse(const Tensor& y) { return (y.sigmoid() - alpha_) / scale_; }

}  // namespace genzoo
