#include "trainers/named_state.h"

#include <fmt/ranges.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/file.h"

namespace genzoo {
namespace {

std::string form(const Tensor& tensor) {
  return fmt::format("{} ({})", c10::toString(tensor.scalar_type()), fmt::join(tensor.sizes(), ", "));
}

/// The first few of them: another model's weights differ in all their tensors.
std::string in_words(const std::vector<std::string>& mistakes) {
  constexpr size_t kTold = 4;
  const auto told = std::span(mistakes).first(std::min(kTold, mistakes.size()));
  const size_t more = mistakes.size() - told.size();
  return fmt::format("{}{}", fmt::join(told, "; "), more > 0 ? fmt::format("; and {} more", more) : "");
}

}  // namespace

NamedTensors module_state(const torch::nn::Module& module) {
  NamedTensors state;
  for (const auto& item : module.named_parameters()) state[item.key()] = item.value().detach();
  for (const auto& item : module.named_buffers()) state[item.key()] = item.value().detach();
  return state;
}

std::string state_digest(const NamedTensors& state) {
  Sha256 digest;
  for (const auto& [name, tensor] : state) {
    digest.update(name.data(), name.size());
    add_bytes(digest, tensor);
  }
  return digest.hex();
}

void load_state(const NamedTensors& own, const NamedTensors& saved, const std::string& where) {
  std::vector<std::string> mistakes;
  for (const auto& [name, tensor] : own) {
    const auto found = saved.find(name);
    if (found == saved.end()) {
      mistakes.push_back(fmt::format("{} is missing", name));
    } else if (found->second.sizes() != tensor.sizes() || found->second.scalar_type() != tensor.scalar_type()) {
      mistakes.push_back(fmt::format("{} is {}, wanted {}", name, form(found->second), form(tensor)));
    }
  }
  for (const auto& [name, tensor] : saved) {
    if (!own.contains(name)) mistakes.push_back(fmt::format("{} is left over", name));
  }
  if (!mistakes.empty()) throw RunError(fmt::format("{}: {}; nothing was loaded", where, in_words(mistakes)));
  const torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : own) tensor.copy_(saved.at(name));
}

void load_module_state(torch::nn::Module& module, const NamedTensors& saved, const std::string& where) {
  load_state(module_state(module), saved, where + ": the weights are another model's");
}

}  // namespace genzoo
