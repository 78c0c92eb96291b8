#pragma once
// Blocks whose activations are computed again in the backward pass instead of kept. Chen et al., Training Deep Nets
// with Sublinear Memory Cost, 2016, https://arxiv.org/abs/1604.06174.

#include <memory>

#include "models/transformer/block.h"

namespace genzoo {

/// block->forward(x, positions, dropout) as one node of the graph, which keeps x alone, in one tensor (B, T, C), and
/// runs the block once more when its gradients are asked for: by the same operators, under the same autocast, with
/// dropout drawn as the first time. Result and gradients are those of block->forward to the last bit, and gradients
/// have gradients where the block's have.
void recomputed_forward(const std::shared_ptr<TransformerBlockImpl>& block, ResidualStream& x,
                        const PositionTable& positions, const Dropout& dropout);

}  // namespace genzoo
