// The two ways through a data set: training batches at random, and a split in its own order.

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "data/dataset.h"
#include "data/images.h"

namespace genzoo {
namespace {

// Tokens (..., T + 1) of windows as inputs and their successors, int64. Contiguous, as kernels like them.
Batch next_token_batch(const Tensor& windows) {
  const Tensor tokens = windows.to(torch::kLong);
  const int64_t context = tokens.size(1) - 1;
  return {tokens.narrow(/*dim=*/1, 0, context).contiguous(), tokens.narrow(/*dim=*/1, 1, context).contiguous()};
}

// Tokens of pairs and documents, and these' labels, as models take them: int64.
Batch text_batch(const Batch& stored) { return {stored.x.to(torch::kLong), stored.y.to(torch::kLong)}; }

bool has_texts(DataKind kind) { return kind == DataKind::pairs || kind == DataKind::documents; }

// Indices from the CPU on the device of the data, without a wait for it: from memory that it can read itself.
Tensor indices_on(torch::Device device, const Tensor& indices) {
  return device.is_cuda() ? indices.pin_memory().to(device, /*non_blocking=*/true) : indices.to(device);
}

// A window is context + 1 tokens.
void check_context(const Dataset& dataset, Split split, int64_t context) {
  const int64_t tokens = dataset.count(split);
  if (context < 1 || tokens < context + 1) {
    throw UsageError(
        fmt::format("data/{}: its {} text has {} tokens, wanted at least {}, the context and one more; "
                    "choose a longer text or a smaller context",
                    dataset.spec.dataset, kSplitNames[static_cast<size_t>(split)], tokens, context + 1));
  }
}

}  // namespace

TrainingSource::TrainingSource(const Dataset& dataset, int64_t batch_size, int64_t context, uint64_t seed,
                               torch::Device device)
    : kind_(dataset.spec.kind),
      binarize_(dataset.binarize),
      x_(dataset.train.x.to(device)),
      y_(dataset.train.y.defined() ? dataset.train.y.to(device) : Tensor()),
      batch_size_(batch_size),
      context_(context),
      seed_(seed) {
  if (kind_ == DataKind::tokens) check_context(dataset, Split::train, context);
}

Tensor TrainingSource::permutation(int64_t epoch) const {
  if (epoch != cached_epoch_) {
    Rng rng = Rng::for_batch(seed_, Purpose::batch, static_cast<uint64_t>(epoch));
    cached_permutation_ = indices_on(x_.device(), rng.permutation(x_.size(0)));
    cached_epoch_ = epoch;
  }
  return cached_permutation_;
}

Batch TrainingSource::batch(int64_t index) const {
  if (kind_ == DataKind::tokens) return windows(index);
  // Positions index B ... index B + B - 1 of the endless row of epochs.
  const int64_t count = x_.size(0);
  std::vector<Tensor> parts;
  for (int64_t position = index * batch_size_, left = batch_size_; left > 0;) {
    const int64_t within = position % count, taken = std::min(left, count - within);
    parts.push_back(permutation(position / count).narrow(/*dim=*/0, within, taken));
    position += taken;
    left -= taken;
  }
  const Tensor rows = parts.size() == 1 ? parts.front() : torch::cat(parts);
  Batch batch{x_.index_select(/*dim=*/0, rows), y_.defined() ? y_.index_select(/*dim=*/0, rows) : Tensor()};
  if (has_texts(kind_)) return text_batch(batch);
  if (binarize_ == Binarize::dynamic) {
    Rng rng = Rng::for_batch(seed_, Purpose::data_noise, static_cast<uint64_t>(index), /*shard=*/0, x_.device());
    batch.x = draw_bits(batch.x, rng);
  }
  return batch;
}

Batch TrainingSource::windows(int64_t index) const {
  Rng rng = Rng::for_batch(seed_, Purpose::batch, static_cast<uint64_t>(index));
  const Tensor starts = indices_on(x_.device(), rng.integers(x_.size(0) - context_, {batch_size_, 1}));
  const Tensor places = starts + torch::arange(context_ + 1, x_.options().dtype(torch::kLong));  // (B, T + 1)
  // LibTorch picks no unsigned integers of 16 bits; as signed ones they are the same bytes.
  const bool unsigned16 = x_.scalar_type() == torch::kUInt16;
  const Tensor stored = unsigned16 ? x_.view(torch::kInt16) : x_;
  const Tensor picked = stored.index_select(/*dim=*/0, places.flatten()).view(places.sizes());
  return next_token_batch(unsigned16 ? picked.view(torch::kUInt16) : picked);
}

EvaluationSource::EvaluationSource(const Dataset& dataset, Split split, int64_t batch_size, int64_t context,
                                   int64_t limit, torch::Device device)
    : kind_(dataset.spec.kind), batch_size_(batch_size), context_(context) {
  if (!dataset.has(split)) {
    throw UsageError(fmt::format("data/{}: it has no {} split; choose another", dataset.spec.dataset,
                                 kSplitNames[static_cast<size_t>(split)]));
  }
  const bool tokens = kind_ == DataKind::tokens;
  if (tokens) check_context(dataset, split, context);
  const int64_t all = tokens ? (dataset.count(split) - 1) / context : dataset.count(split);
  examples_ = limit > 0 ? std::min(limit, all) : all;

  const int64_t rows = tokens ? examples_ * context + 1 : examples_;
  Tensor x = dataset[split].x.narrow(/*dim=*/0, 0, rows);
  // Dynamic binarization leaves the training images grey; looked at in order they get the fixed draw, as the others.
  if (dataset.binarize == Binarize::dynamic && split == Split::train) x = binarize_once(x, split);
  x_ = x.to(device);
  if (dataset[split].y.defined()) y_ = dataset[split].y.narrow(/*dim=*/0, 0, rows).to(device);
}

Batch EvaluationSource::batch(int64_t index) const {
  const int64_t first = first_row(index), count = std::min(batch_size_, examples_ - first);
  if (kind_ != DataKind::tokens) {
    const Batch batch{x_.narrow(/*dim=*/0, first, count), y_.defined() ? y_.narrow(/*dim=*/0, first, count) : Tensor()};
    return has_texts(kind_) ? text_batch(batch) : batch;
  }
  // Window i: tokens i T ... i T + T - 1, each predicting the one after it.
  const Tensor span = x_.narrow(/*dim=*/0, first * context_, count * context_ + 1);
  return next_token_batch(span.unfold(/*dim=*/0, /*size=*/context_ + 1, /*step=*/context_));
}

}  // namespace genzoo
