#include "models/class_head.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"

namespace genzoo {

bool tells_tokens(std::string_view name) {
  constexpr std::string_view kLayers[] = {"head.", "transform.", "transform_norm.", "output_bias"};
  return std::ranges::any_of(kLayers, [&](std::string_view layer) { return name.starts_with(layer); });
}

void require_documents_fit(const DataSpec& data, int64_t block_size, const std::string& model) {
  if (data.shape[0] <= block_size) return;
  throw UsageError(
      fmt::format("models/{}: block_size {}; {} has {}, an end counted as one; take at least as many, or shorten them "
                  "by max_tokens",
                  model, block_size, data.dataset, data.describe()));
}

Loss class_loss(const Tensor& logits, const Tensor& labels) {
  const Tensor wrong = logits.detach().argmax(/*dim=*/1).ne(labels).to(torch::kFloat).mean();
  return {at::cross_entropy_loss(logits, labels), {{"error_rate", wrong}}};
}

}  // namespace genzoo
