#include "models/transformer/pixel_transformer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/utils.h>

#include <algorithm>
#include <numbers>

#include "core/error.h"
#include "models/decoding.h"

namespace genzoo {
namespace {

const DataSpec& require_images(const DataSpec& data) {
  if (data.kind == DataKind::images) return data;
  throw UsageError(fmt::format(
      "models/pixel_transformer: {} has {}; it models images, such as fashion_mnist; {}", data.dataset, data.describe(),
      data.kind == DataKind::tokens ? "for text take transformer" : "`genzoo models` shows which models take vectors"));
}

/// Images drawn together. A constant, so that a product rounds a row alike whatever the number of threads.
constexpr int64_t kRowsAtOnce = 16;

/// Of probabilities (n, V) and uniform numbers u (n, 1), both double: the first level at which the cumulative
/// probability exceeds u. (n, 1) int64.
Tensor inverse_cdf(const Tensor& p, const Tensor& u) {
  const Tensor cumulative = p.cumsum(/*dim=*/1);
  const Tensor threshold = u * cumulative.slice(/*dim=*/1, /*start=*/-1);
  const Tensor level = at::searchsorted(cumulative, threshold, /*out_int32=*/false, /*right=*/true);
  return level.clamp_max(p.size(1) - 1);  // the threshold of the largest u may round up to the sum
}

}  // namespace

PixelTransformerImpl::PixelTransformerImpl(const PixelTransformerConfig& c, const DataSpec& data, Rng& init)
    : config_(c),
      data_(require_images(data)),
      token_embedding_(register_module("token_embedding", Embedding(data.levels + 1, c.n_embd, kGPT2InitStd, init))),
      row_embedding_(register_module("row_embedding", Embedding(data.shape[1], c.n_embd, kGPT2InitStd, init))),
      column_embedding_(register_module("column_embedding", Embedding(data.shape[2], c.n_embd, kGPT2InitStd, init))),
      channel_embedding_(data.shape[0] > 1 ? register_module("channel_embedding",
                                                             Embedding(data.shape[0], c.n_embd, kGPT2InitStd, init))
                                           : Embedding(nullptr)),
      blocks_(*this, {.n_layer = c.n_layer, .n_head = c.n_head, .n_embd = c.n_embd, .recompute = c.recompute}, init),
      head_(register_module("head", gpt2_linear(c.n_embd, data.levels, /*with_bias=*/true, kGPT2InitStd, init))) {}

Tensor PixelTransformerImpl::values(const Tensor& x) const {
  return x.permute({0, 2, 3, 1}).flatten(/*start_dim=*/1).to(torch::kLong);  // (B, H, W, K): channels side by side
}

Tensor PixelTransformerImpl::images(const Tensor& values) const {
  const auto& s = data_.shape;
  return values.view({-1, s[1], s[2], s[0]}).permute({0, 3, 1, 2}).to(torch::kByte).contiguous();
}

PositionTable PixelTransformerImpl::position_table() const {
  Tensor added = row_embedding_->weight.unsqueeze(1) + column_embedding_->weight;   // (H, W, C)
  if (channel_embedding_) added = added.unsqueeze(2) + channel_embedding_->weight;  // (H, W, K, C)
  return {.added = added.view({data_.dims(), config_.n_embd})};
}

Tensor PixelTransformerImpl::logits(const Tensor& values, const Dropout& dropout) {
  const PositionTable positions = position_table();
  const Tensor start = at::full({values.size(0), 1}, data_.levels, values.options());
  const Tensor input = at::cat({start, values.slice(/*dim=*/1, 0, data_.dims() - 1)}, /*dim=*/1);
  const Tensor h = dropout(token_embedding_->forward(input) + positions.added);
  return at_least_float32(head_->forward(blocks_.forward(h, positions, dropout)));
}

Tensor PixelTransformerImpl::negative_log_prob(const Tensor& logits, const Tensor& values) const {
  return at::cross_entropy_loss(logits.flatten(0, 1), values.flatten(), /*weight=*/{}, at::Reduction::None)
      .view(values.sizes());
}

Tensor PixelTransformerImpl::forward(const Tensor& x) { return logits(values(x), /*dropout=*/{}); }

Loss PixelTransformerImpl::loss(const Batch& batch, Rng& rng, int64_t /*step*/) {
  const Dropout dropout{config_.dropout, is_training() ? &rng : nullptr};
  const Tensor x = values(batch.x);
  const Tensor nats = negative_log_prob(logits(x, dropout), x).sum(/*dim=*/1).mean();
  return {nats, {{"bits_per_dim", nats.detach() / (static_cast<double>(data_.dims()) * std::numbers::ln2)}}};
}

Tensor PixelTransformerImpl::log_prob(const Tensor& x, int64_t /*k*/, Rng& /*rng*/) {
  const Tensor v = values(x);
  return -negative_log_prob(logits(v, /*dropout=*/{}), v).sum(/*dim=*/1, /*keepdim=*/false, torch::kDouble);
}

LikelihoodClaim PixelTransformerImpl::likelihood() const {
  return {LikelihoodKind::exact, "the probability of the stored pixels, each given those before it in raster order"};
}

void PixelTransformerImpl::draw(const Tensor& u, double temperature, const PositionTable& positions,
                                const Tensor& values) {
  const int64_t n = u.size(0), D = u.size(1);
  const GenerateOptions choice{.temperature = temperature};
  std::vector<LayerCache> caches = blocks_.make_caches(n, D);
  Tensor last = at::full({n, 1}, data_.levels, values.options());  // the start token
  for (int64_t t = 0; t < D; ++t) {
    const PositionTable position = positions.slice(t, 1);
    const Tensor token = token_embedding_->forward(last) + position.added;
    const Tensor h = blocks_.forward(token, position, /*dropout=*/{}, {.caches = &caches});
    const Tensor logits = at_least_float32(head_->forward(h.select(/*dim=*/1, 0)));  // (n, V)
    last = inverse_cdf(next_token_probabilities(logits, choice), u.narrow(/*dim=*/1, t, 1)).to(values.device());
    values.narrow(/*dim=*/1, t, 1).copy_(last);
  }
}

Tensor PixelTransformerImpl::sample(int64_t n, Rng& rng, const SampleOptions& options) {
  const torch::NoGradGuard no_grad;
  const auto weights = token_embedding_->weight.options().requires_grad(false);
  const Tensor u = rng.uniform_like(at::empty({n, data_.dims()}, weights.dtype(torch::kDouble))).to(torch::kCPU);
  const PositionTable positions = position_table();
  const Tensor values = at::empty({n, data_.dims()}, weights.dtype(torch::kLong));
  // One value of some images is too little work to be shared among the threads of a CPU, which would meet dozens of
  // times for each. So images are shared, in pieces that do not depend on the number of threads.
  const int64_t rows = weights.device().is_cpu() ? kRowsAtOnce : n;
  const int64_t pieces = n == 0 ? 0 : (n + rows - 1) / rows;
  at::parallel_for(0, pieces, /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    const torch::NoGradGuard no_grad_in_this_thread;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i * rows, count = std::min(rows, n - first);
      draw(u.narrow(/*dim=*/0, first, count), options.temperature, positions, values.narrow(/*dim=*/0, first, count));
    }
  });
  return images(values);
}

}  // namespace genzoo
