#pragma once
// Causal self-attention of whole texts as one step of the graph, for training: it reads queries, keys and values where
// the product of the layer left them, and writes their gradients side by side where the gradient of the layer wants
// them.
//
// Legend: B batch, T tokens, C channels, H heads, D = C / H channels of a head.

#include <torch/types.h>

#include "models/transformer/positions.h"

namespace genzoo {

/// softmax(q k^T / sqrt(D)) v of every head, each token seeing those up to itself: Vaswani et al. (2017), eq. (1).
/// qkv (B, T, 3 C): queries, keys and values, of each the heads side by side -> (B, T, C) in the same type. `positions`
/// turn queries and keys first, if rotary.
///
/// On the CPU in float32 or bfloat16, where it has vectors, by this processor's kernels, all sums in float32, memory
/// linear in T: Dao et al., 2022, https://arxiv.org/abs/2205.14135. Else by LibTorch's operators,
/// plain_causal_attention, and so are gradients of gradients.
Tensor fused_causal_attention(const Tensor& qkv, int64_t n_head, const PositionTable& positions);

/// The same by LibTorch's operators, everywhere.
Tensor plain_causal_attention(const Tensor& qkv, int64_t n_head, const PositionTable& positions);

}  // namespace genzoo
