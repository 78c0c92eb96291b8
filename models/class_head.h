#pragma once
// The end of a network that tells classes apart.

#include <torch/types.h>

#include "models/model.h"

namespace genzoo {

/// The name of the layer that gives a text's classes in models that are also language models. It is what a network
/// pre-trained on text lacks: whoever begins with such weights draws it, and learns it whatever else is kept as it is.
inline constexpr const char* kClassHead = "class_head";

/// Mean of -log p(label), nats, and the term error_rate, the share of labels that are not the likeliest: logits (B, K),
/// labels (B) int64.
Loss class_loss(const Tensor& logits, const Tensor& labels);

}  // namespace genzoo
