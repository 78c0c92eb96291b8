#pragma once
// The transformer as Hugging Face's `transformers` keeps GPT-2, LLaMA, GPT-NeoX and MPT.

#include <map>
#include <string>

#include "models/huggingface.h"
#include "models/transformer/transformer.h"

namespace genzoo {

/// Whose checkpoints the transformer's settings can be.
enum class Architecture { gpt2, llama, gpt_neox, mpt };
inline constexpr const char* kArchitectureNames[] = {"gpt2", "llama", "gpt_neox", "mpt"};  ///< model_type

/// Settings of a config.json. Throws RunError for settings that the transformer has not.
TransformerConfig transformer_settings(Architecture architecture, const Json& config);

/// What keeps a config from being such a checkpoint, "norm is layer_norm, wanted rms_norm"; empty: nothing.
std::string misfit(Architecture architecture, const TransformerConfig& config);

/// config.json of a transformer with an embedding of `rows` rows that fits the architecture. Keys of old and of new
/// versions of `transformers` both.
Json architecture_config(Architecture architecture, const TransformerConfig& config, int64_t rows);

/// Tensors by the architecture's names as tensors by ours, float32; `own` has their shapes. Throws RunError naming what
/// is missing, left over or of another shape.
std::map<std::string, Tensor> our_tensors(Architecture architecture, const TransformerConfig& config,
                                          const std::map<std::string, Tensor>& own,
                                          std::map<std::string, Tensor> theirs);

/// The way back. Biases that the architecture has and the model has not are zeros.
std::map<std::string, Tensor> their_tensors(Architecture architecture, const TransformerConfig& config,
                                            const std::map<std::string, Tensor>& own);

}  // namespace genzoo
