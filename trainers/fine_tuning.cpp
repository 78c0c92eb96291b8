#include "trainers/fine_tuning.h"

#include <fmt/format.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/config_keys.h"
#include "core/error.h"
#include "data/chat.h"
#include "models/class_head.h"
#include "models/layers.h"
#include "models/registry.h"
#include "trainers/huggingface_folder.h"
#include "trainers/learner.h"
#include "trainers/named_state.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

/// Whether a folder is one of `transformers`, and no run.
bool is_huggingface(const fs::path& path) { return fs::exists(path / "config.json") && !RunFolder(path).has_run(); }

/// train.init_from alone of a config, the rest unread.
std::string init_from_of(const ConfigSource& source) {
  if (!gives_key(source, "train.init_from")) return "";
  const auto words = keys_below(source, "train.init_from");
  return words.size() == 1 ? words[0] : "";
}

/// What a parent's model is and what it has learned from.
struct ParentKind {
  Choice model;
  DataKind data;
  std::string chat;  ///< DataSpec::chat
};

ParentKind kind_of(const std::string& path) {
  if (is_huggingface(path)) return {read_huggingface_choice(path), DataKind::tokens, read_huggingface_chat(path)};
  const CheckpointInfo info = read_checkpoint_info(find_checkpoint(path, Which::newest));
  return {config_of(info, path).model, info.spec.kind, info.spec.chat};
}

/// Where a parent's tokenizer can be opened: its folder, or of a checkpoint the folder of its run.
std::string tokenizer_of(const std::string& path) {
  if (!fs::is_regular_file(path)) return path;
  return RunFolder(fs::absolute(path).parent_path().parent_path()).tokenizer().string();
}

/// Whether a config's data are pairs or documents.
bool has_ended_texts(const ConfigSource& source) {
  const auto given = keys_below(source, "data");
  return std::ranges::any_of(datasets(), [&](const DatasetEntry& entry) {
    const bool ended = entry.kind == DataKind::pairs || entry.kind == DataKind::documents;
    return ended && std::ranges::count(given, entry.name) > 0;
  });
}

/// Conversations whose template is not given are written as the parent's were.
void inherit_chat(ConfigSource& source, const std::string& parents) {
  const std::string key = "data.conversations.template";
  const auto given = keys_below(source, "data");
  if (parents.empty() || std::ranges::find(given, "conversations") == given.end() || gives_key(source, key)) return;
  OwnChat own{ChatTemplate::from_json(parents)};
  for (const auto& [name, value] : flatten_config([&](Fields& f) { own.fields(f); })) {
    source.set(fmt::format("{}.own.{}={}", key, name, value));
  }
}

/// Whether data of that name have tokens to choose.
bool has_tokens(const std::string& dataset) {
  const auto entries = datasets();
  const auto entry = std::ranges::find(entries, dataset, &DatasetEntry::name);
  if (entry == entries.end()) return false;
  AnyConfig settings = entry->defaults();
  const auto keys = document_config([&](Fields& f) { settings.fields(f); });
  return std::ranges::any_of(keys,
                             [](const KeyDoc& key) { return key.key == "tokens" || key.key.starts_with("tokens."); });
}

/// Whether `own` is `parents` and more rows below.
bool has_new_rows(const Tensor& own, const Tensor& parents) {
  return own.dim() == 2 && parents.dim() == 2 && own.size(1) == parents.size(1) && own.size(0) > parents.size(0);
}

/// Whether a parameter is of the layer that tells classes apart.
bool of_class_head(const std::string& name) { return name.starts_with(std::string(kClassHead) + "."); }

/// The parent's state as a classifier takes it: with a class head as it was drawn where the parent has none, and
/// without the layers by which the parent tells tokens.
NamedTensors with_class_head(const NamedTensors& own, const NamedTensors& parents) {
  NamedTensors state;
  for (const auto& [name, tensor] : parents) {
    if (!tells_tokens(name)) state[name] = tensor;
  }
  for (const auto& [name, tensor] : own) {
    if (of_class_head(name)) state[name] = tensor.detach().to(torch::kCPU);
  }
  return state;
}

/// The parent's state with tables as long as the module's own.
NamedTensors with_new_rows(const torch::nn::Module& module, const NamedTensors& own, NamedTensors state) {
  const auto grow = [&](const std::string& name) {
    Tensor table = own.at(name).detach().to(torch::kCPU).clone();
    table.narrow(/*dim=*/0, 0, state.at(name).size(0)).copy_(state.at(name));
    state[name] = table;
  };
  std::set<std::pair<int64_t, int64_t>> grown;  // rows of the module's and of the parent's
  for (const auto& item : module.named_modules()) {
    const std::string name = item.key() + ".weight";
    if (!item.value()->as<EmbeddingImpl>() || !state.contains(name) || !has_new_rows(own.at(name), state.at(name))) {
      continue;
    }
    grown.emplace(own.at(name).size(0), state.at(name).size(0));
    grow(name);
  }
  for (const auto& item : module.named_modules()) {
    const std::string name = item.key() + ".weight";
    if (!item.value()->as<LinearImpl>() || !state.contains(name) || !has_new_rows(own.at(name), state.at(name)))
      continue;
    if (grown.contains({own.at(name).size(0), state.at(name).size(0)})) grow(name);
  }
  return state;
}

}  // namespace

LoadedModel load_parent_model(const std::string& path, const std::string& device) {
  if (!is_huggingface(path)) return load_model(path, Which::newest, Weights::ema_if_any, device);
  LoadedModel loaded = load_huggingface(path);
  loaded.device = resolve_device(device);
  loaded.model.module->to(loaded.device);
  return loaded;
}

std::string record_of(const LoadedModel& parent) {
  const Json record{{"experiment", parent.config.experiment},
                    {"model", parent.model.family},
                    {"step", parent.step},
                    {"weights", "sha256:" + state_digest(module_state(*parent.model.module))}};
  return record.dump();
}

ParentWeights read_parent(const std::string& path) {
  const LoadedModel loaded = load_parent_model(path, "cpu");
  return {.state = module_state(*loaded.model.module), .spec = loaded.spec, .path = path, .record = record_of(loaded)};
}

void require_same_tokens(const ParentWeights& parent, const DataSpec& data) {
  if (!data.has_tokens() || data.tokenizer == parent.spec.tokenizer) return;
  throw UsageError(fmt::format(
      "train.init_from {}: its tokens are not those of {} ({}), which its weights would take for others; give the data "
      "`tokens: {{tokenizer: {{path: {}}}}}`, or leave tokens out",
      parent.path, data.dataset, data.describe(), parent.path));
}

void load_parent(torch::nn::Module& module, const ParentWeights& parent) {
  NamedTensors own;
  for (const auto& [name, tensor] : module_state(module)) {
    if (!name.ends_with(".lora_a") && !name.ends_with(".lora_b")) own[name] = tensor;
  }
  const bool classifies = std::ranges::any_of(own, [](const auto& item) { return of_class_head(item.first); });
  const bool draws_head =
      classifies && !std::ranges::any_of(parent.state, [](const auto& item) { return of_class_head(item.first); });
  const NamedTensors state = draws_head ? with_class_head(own, parent.state) : parent.state;
  try {
    load_state(own, with_new_rows(module, own, state),
               fmt::format("train.init_from {}: its weights are another model's", parent.path));
  } catch (const RunError& error) {
    throw UsageError(fmt::format("{}; leave out `model`, or give the settings of its model", error.what()));
  }
}

void check_parent(const ExperimentConfig& config, const DataSpec& data) {
  if (config.train.init_from.empty()) return;
  const ParentWeights parent = read_parent(config.train.init_from);
  require_same_tokens(parent, data);
  load_parent(*make_learner(config, data).module, parent);
}

void inherit_settings(ConfigSource& source) {
  const std::string path = init_from_of(source);
  // One that begins will be told that it is missing; a run that goes on may do without.
  if (path.empty() || (!fs::exists(path) && gives_key(source, "model"))) return;
  const ParentKind parent = kind_of(path);
  Choice model = parent.model;
  const std::string section = "model." + model.name;
  const std::vector<std::string> given = keys_below(source, "model");
  if (given.empty() || given[0] == model.name) {
    const std::vector<std::string> own = keys_below(source, section);
    for (const auto& [key, value] : flatten_config([&](Fields& f) { model.settings.fields(f); })) {
      const std::string setting = key.substr(0, key.find('.'));  // `positions` as a whole, not the half of one
      if (std::ranges::find(own, setting) != own.end()) continue;
      // Pairs and documents have one token more, their end, for which the table grows.
      if (setting == "vocab_size" && has_ended_texts(source)) continue;
      source.set(fmt::format("{}.{}={}", section, key, value));
    }
  }
  inherit_chat(source, parent.chat);
  for (const std::string& dataset : keys_below(source, "data")) {
    const std::string tokens = fmt::format("data.{}.tokens", dataset);
    const bool of_text = parent.data != DataKind::images && parent.data != DataKind::vectors;
    if (!of_text || !has_tokens(dataset) || gives_key(source, tokens)) continue;
    source.set(fmt::format("{}.tokenizer.path={}", tokens, tokenizer_of(path)));
  }
}

}  // namespace genzoo
