#pragma once
// How far back gradients reach: what HasSourceGradients (models/model.h) has in common for all models of pairs.

#include <torch/types.h>

#include <cstdint>

namespace genzoo {

/// The Euclidean norm of the gradient of log p(target | source) with respect to each of `vectors`: (B, T, C), leaves of
/// the graph of `logits` (B, Y, V), which are those of the targets y (B, Y), counted up to and with their first ends.
/// -> (B, T). No parameter's gradient is touched. Rows must not depend on one another.
torch::Tensor gradient_norms(const torch::Tensor& logits, const torch::Tensor& y, int64_t end_token,
                             const torch::Tensor& vectors);

}  // namespace genzoo
