#pragma once
// State as tensors by name: what is saved of a module, an optimizer, an average, and how it comes back.

#include <string>

#include "core/safetensors.h"

namespace torch::nn {
class Module;  // its own header costs every file that includes it a second to compile
}

namespace genzoo {

/// Parameters and buffers by name, for saving: views.
NamedTensors module_state(const torch::nn::Module& module);

/// SHA-256, hex, of names and contents.
std::string state_digest(const NamedTensors& state);

/// Copies saved values into a state's tensors, which are views of what owns them. Throws RunError that names every
/// tensor missing, left over, or of another shape or type; then nothing is changed. `where` begins the message.
void load_state(const NamedTensors& own, const NamedTensors& saved, const std::string& where);

/// The same for a module's parameters and buffers.
void load_module_state(torch::nn::Module& module, const NamedTensors& saved, const std::string& where);

}  // namespace genzoo
