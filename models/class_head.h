#pragma once
// The end of a network that tells classes apart.

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "models/model.h"

namespace genzoo {

/// The name of the layer that gives a text's classes in models that are also language models. It is what a network
/// pre-trained on text lacks: whoever begins with such weights draws it, and learns it whatever else is kept as it is.
inline constexpr const char* kClassHead = "class_head";

/// Whether a parameter of that name is of the layers by which language models tell tokens, which a model of classes has
/// not: the transformer's head when it is untied, and what BERT fills in by.
bool tells_tokens(std::string_view name);

/// Throws UsageError, naming the model, unless documents of the data fit into its context.
void require_documents_fit(const DataSpec& data, int64_t block_size, const std::string& model);

/// Mean of -log p(label), nats, and the term error_rate, the share of labels that are not the likeliest: logits (B, K),
/// labels (B) int64.
Loss class_loss(const Tensor& logits, const Tensor& labels);

}  // namespace genzoo
