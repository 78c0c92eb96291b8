#include "trainers/learner.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

#include <algorithm>
#include <string_view>

#include "core/error.h"
#include "models/class_head.h"
#include "models/layers.h"
#include "models/registry.h"

namespace genzoo {
namespace {

/// Whether `name` is `pattern`, in which * stands for any characters.
bool is_like(std::string_view name, std::string_view pattern) {
  const size_t star = pattern.find('*');
  if (star == pattern.npos) return name == pattern;
  if (!name.starts_with(pattern.substr(0, star))) return false;
  name.remove_prefix(star);
  const std::string_view rest = pattern.substr(star + 1);
  for (size_t skipped = 0; skipped <= name.size(); ++skipped) {
    if (is_like(name.substr(skipped), rest)) return true;
  }
  return false;
}

std::string_view next_pattern(std::string_view& patterns) {
  const size_t comma = std::min(patterns.find(','), patterns.size());
  std::string_view pattern = patterns.substr(0, comma);
  patterns.remove_prefix(std::min(comma + 1, patterns.size()));
  while (pattern.starts_with(' ')) pattern.remove_prefix(1);
  while (pattern.ends_with(' ')) pattern.remove_suffix(1);
  return pattern;
}

/// Throws UsageError when one of the patterns is like none of the names.
void require_use(const std::vector<std::string>& names, std::string_view patterns, const char* key, const char* what) {
  while (!patterns.empty()) {
    const std::string_view pattern = next_pattern(patterns);
    if (std::ranges::any_of(names, [&](const std::string& name) { return is_like(name, pattern); })) continue;
    throw UsageError(fmt::format("{}: the model has no {} like \"{}\"; there are such as {}", key, what, pattern,
                                 names.empty() ? "none" : names[names.size() / 2]));
  }
}

void add_updates(torch::nn::Module& module, const LoraConfig& lora, uint64_t seed) {
  std::vector<std::string> names;
  for (const auto& item : module.named_modules()) {
    if (item.value()->as<LinearImpl>()) names.push_back(item.key());
  }
  require_use(names, lora.layers, "train.lora.layers", "linear layer");
  for (auto& item : module.named_parameters()) {
    if (!item.key().starts_with(std::string(kClassHead) + ".")) item.value().set_requires_grad(false);
  }
  // A stream of its own: the weights are drawn from the first.
  Rng init = Rng::for_batch(seed, Purpose::initialization, /*step=*/1);
  bool adapted = false;
  for (const auto& item : module.named_modules()) {
    auto* linear = item.value()->as<LinearImpl>();
    if (linear && item.key() != kClassHead && matches(item.key(), lora.layers)) {
      linear->adapt(lora.rank, lora.alpha / static_cast<double>(lora.rank), init);
      adapted = true;
    }
  }
  if (!adapted) throw UsageError("train.lora.layers is empty: no layer learns; name some, as \"*attention*,*mlp*\"");
}

void freeze(torch::nn::Module& module, const std::string& patterns) {
  std::vector<std::string> names;
  for (const auto& item : module.named_parameters()) names.push_back(item.key());
  require_use(names, patterns, "train.freeze", "parameter");
  for (auto& item : module.named_parameters()) {
    if (matches(item.key(), patterns)) item.value().set_requires_grad(false);
  }
}

void require_learning(const torch::nn::Module& module, const std::string& frozen, const char* whose) {
  const auto parameters = module.parameters();
  const auto learns = [](const Tensor& parameter) { return parameter.requires_grad(); };
  if (parameters.empty() || std::ranges::any_of(parameters, learns)) return;
  throw UsageError(fmt::format("train.freeze \"{}\": nothing{} is left to learn", frozen, whose));
}

}  // namespace

bool matches(const std::string& name, const std::string& patterns) {
  for (std::string_view left = patterns; !left.empty();) {
    if (is_like(name, next_pattern(left))) return true;
  }
  return false;
}

AnyModel make_learner(const ExperimentConfig& config, const DataSpec& spec) {
  const auto seed = static_cast<uint64_t>(config.seed);
  AnyModel model = make_model(config.model, spec, seed);
  if (config.train.lora) add_updates(*model.module, *config.train.lora, seed);
  if (!config.train.freeze.empty()) freeze(*model.module, config.train.freeze);
  if (model.can.game) {
    require_learning(*model.can.game->generator, config.train.freeze, " of the generator");
    require_learning(*model.can.game->discriminator, config.train.freeze, " of the discriminator");
  } else {
    require_learning(*model.module, config.train.freeze, "");
  }
  if (config.train.lora || !config.train.freeze.empty()) model.twin = [=] { return make_learner(config, spec); };
  return model;
}

NamedTensors with_updates_added(const NamedTensors& state, const LoraConfig& lora, const std::string& where) {
  NamedTensors sums;
  for (const auto& [name, tensor] : state) {
    if (!name.ends_with(".lora_a") && !name.ends_with(".lora_b")) sums[name] = tensor;
  }
  for (const auto& [name, a] : state) {
    if (!name.ends_with(".lora_a")) continue;
    const std::string layer = name.substr(0, name.size() - std::string_view("lora_a").size());
    const auto b = state.find(layer + "lora_b"), weight = state.find(layer + "weight");
    const bool fits = b != state.end() && weight != state.end() && a.dim() == 2 && b->second.dim() == 2 &&
                      weight->second.dim() == 2 && a.size(0) == b->second.size(1) &&
                      a.size(1) == weight->second.size(1) && b->second.size(0) == weight->second.size(0);
    if (!fits) throw RunError(fmt::format("{}: {} does not fit the layer it is an update of", where, name));
    sums[layer + "weight"] =
        at::addmm(weight->second, b->second, a, /*beta=*/1, lora.alpha / static_cast<double>(lora.rank));
  }
  return sums;
}

}  // namespace genzoo
