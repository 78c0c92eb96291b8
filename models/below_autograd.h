#pragma once
// Operators within a node of the graph, which has no need of a graph of its own.

#include <ATen/core/LegacyTypeDispatch.h>

namespace genzoo {

/// While it lives, operators of this thread go straight to what computes them, past the layers of dispatch that record
/// a graph, views and versions: with gradients switched off these record nothing, but take half an operator's overhead.
/// For nodes that compute on tensors of their own; in backward() only where no gradients of gradients are wanted.
using BelowAutograd = at::AutoDispatchBelowADInplaceOrView;

}  // namespace genzoo
