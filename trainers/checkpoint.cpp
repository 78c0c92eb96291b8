#include "trainers/checkpoint.h"

#include <fmt/ranges.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

#include <algorithm>
#include <charconv>

#include "core/error.h"
#include "core/json.h"
#include "models/registry.h"
#include "trainers/learner.h"
#include "trainers/run_folder.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFormat = "genzoo-checkpoint-1";
constexpr const char* kTokenizer = "data.tokenizer";
constexpr size_t kLargeTokenizer = size_t{1} << 16;  // metadata are no place for megabytes

std::string entry(const Metadata& metadata, const std::string& key, const fs::path& path) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) {
    throw RunError(
        fmt::format("{} is no checkpoint of genzoo: its metadata have no '{}'; give a run folder or one of "
                    "its checkpoints/*.safetensors",
                    path.string(), key));
  }
  return found->second;
}

int64_t parse_step(const std::string& text, const fs::path& path) {
  int64_t step = -1;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), step);
  if (error != std::errc() || stop != text.data() + text.size() || step < 0) {
    throw RunError(fmt::format("{}: its step is '{}', which is no step; the file is damaged", path.string(), text));
  }
  return step;
}

Tensor bytes_of(const std::string& text) {
  Tensor bytes = torch::empty({static_cast<int64_t>(text.size())}, torch::kByte);
  std::ranges::copy(text, static_cast<char*>(bytes.data_ptr()));
  return bytes;
}

/// Takes the tokenizer of a file that keeps it apart out of its tensors.
void take_tokenizer(Checkpoint& checkpoint, const fs::path& path) {
  const auto found = checkpoint.tensors.find(kTokenizer);
  if (found == checkpoint.tensors.end()) return;
  const Tensor bytes = found->second;
  if (bytes.scalar_type() != torch::kByte || bytes.dim() != 1) {
    throw RunError(fmt::format("{}: {} is {} {}, wanted bytes; the file is damaged", path.string(), kTokenizer,
                               c10::toString(bytes.scalar_type()), fmt::join(bytes.sizes(), "x")));
  }
  checkpoint.info.spec.tokenizer = {static_cast<const char*>(bytes.const_data_ptr()),
                                    static_cast<size_t>(bytes.numel())};
  checkpoint.tensors.erase(found);
}

CheckpointInfo info_of(const Metadata& metadata, const fs::path& path) {
  const std::string format = entry(metadata, "format", path);
  if (format != kFormat) {
    throw RunError(fmt::format("{}: checkpoint format '{}'; this genzoo reads '{}'", path.string(), format, kFormat));
  }
  CheckpointInfo info;
  info.step = parse_step(entry(metadata, "step", path), path);
  info.config = entry(metadata, "config", path);
  info.spec = DataSpec::from_json(parse_json(entry(metadata, "spec", path), path.string()));
  const auto parent = metadata.find("parent");
  if (parent != metadata.end()) info.parent = parent->second;
  return info;
}

std::string names(const std::vector<int64_t>& steps) {
  std::string text;
  for (const int64_t step : steps) text += fmt::format("{}{}", text.empty() ? "" : ", ", step);
  return text;
}

}  // namespace

void save_checkpoint(const fs::path& path, const CheckpointInfo& info, int64_t seed, const NamedTensors& tensors) {
  DataSpec spec = info.spec;
  NamedTensors all = tensors;
  if (spec.tokenizer.size() > kLargeTokenizer) {
    all[kTokenizer] = bytes_of(spec.tokenizer);
    spec.tokenizer.clear();
  }
  Metadata metadata{{"format", kFormat},
                    {"step", std::to_string(info.step)},
                    {"seed", std::to_string(seed)},
                    {"config", info.config},
                    {"spec", spec.to_json().dump()}};
  if (!info.parent.empty()) metadata["parent"] = info.parent;
  write_safetensors(path, all, metadata, /*with_checksum=*/true);
}

NamedTensors Checkpoint::below(const std::string& prefix) const {
  NamedTensors result;
  for (const auto& [name, tensor] : tensors) {
    if (name.starts_with(prefix)) result[name.substr(prefix.size())] = tensor;
  }
  return result;
}

ExperimentConfig config_of(const CheckpointInfo& info, const fs::path& path) {
  try {
    return read_config<ExperimentConfig>(ConfigSource::from_text(info.config, "its config"));
  } catch (const ConfigError& mistakes) {
    const std::string all = mistakes.what();
    throw RunError(
        fmt::format("{}: this genzoo cannot read the config it was trained with: {}; use the genzoo that wrote it",
                    path.string(), all.substr(0, all.find('\n'))));
  }
}

CheckpointInfo read_checkpoint_info(const fs::path& path) {
  return info_of(read_safetensors_header(path).metadata, path);
}

Checkpoint read_checkpoint(const fs::path& path) {
  TensorFile file = read_safetensors(path);
  Checkpoint checkpoint{info_of(file.metadata, path), std::move(file.tensors)};
  take_tokenizer(checkpoint, path);
  return checkpoint;
}

bool is_checkpoint(const fs::path& path) {
  try {
    const TensorFileHeader header = read_safetensors_header(path);
    const auto format = header.metadata.find("format");
    return format != header.metadata.end() && format->second == kFormat;
  } catch (const Error&) {
    return false;
  }
}

fs::path find_checkpoint(const fs::path& run_or_file, Which which) {
  if (fs::is_regular_file(run_or_file)) return run_or_file;
  if (!fs::is_directory(run_or_file)) {
    throw UsageError(fmt::format(
        "{}: there is no such run folder or checkpoint; `genzoo list` shows the runs there are", run_or_file.string()));
  }
  const RunFolder run(run_or_file);
  const std::vector<int64_t> steps = run.checkpoint_steps();
  if (steps.empty()) {
    throw UsageError(fmt::format("{}: no checkpoint in it{}", run_or_file.string(),
                                 run.has_run() ? " yet; train on with --resume" : "; it is no run folder"));
  }
  if (which == Which::newest) return run.checkpoint(steps.back());
  const std::optional<int64_t> best = run.best_step();
  if (!best) {
    throw UsageError(
        fmt::format("{}: no checkpoint is known as the best (a model without a validation loss has none); "
                    "there are steps {}",
                    run_or_file.string(), names(steps)));
  }
  return run.checkpoint(*best);
}

void load_model_state(AnyModel& model, const NamedTensors& saved, const std::string& where) {
  if (model.can.make_room) model.can.make_room(saved);
  load_module_state(*model.module, saved, where);
}

LoadedModel load_model(const fs::path& run_or_file, Which which, Weights weights, const std::string& device) {
  LoadedModel loaded;
  loaded.path = find_checkpoint(run_or_file, which);
  const fs::path folder = fs::absolute(loaded.path).parent_path().parent_path();
  if (fs::is_directory(run_or_file)) {
    loaded.run = run_or_file;
  } else if (RunFolder(folder).has_run()) {
    loaded.run = folder;
  }
  const Checkpoint checkpoint = read_checkpoint(loaded.path);
  loaded.config = config_of(checkpoint.info, loaded.path);
  loaded.spec = checkpoint.info.spec;
  loaded.parent = checkpoint.info.parent;
  loaded.step = checkpoint.info.step;
  loaded.device = resolve_device(device.empty() ? "auto" : device);
  loaded.model = make_model(loaded.config.model, loaded.spec, static_cast<uint64_t>(loaded.config.seed));

  NamedTensors state = checkpoint.below("model.");
  const NamedTensors averaged = checkpoint.below("ema.");
  loaded.has_ema = weights == Weights::ema_if_any && !averaged.empty();
  if (loaded.has_ema) {
    for (const auto& [name, tensor] : averaged) state[name] = tensor;
  }
  if (loaded.config.train.lora) state = with_updates_added(state, *loaded.config.train.lora, loaded.path.string());
  load_model_state(loaded.model, state, loaded.path.string());
  loaded.model.module->to(loaded.device);
  loaded.model.module->eval();
  return loaded;
}

}  // namespace genzoo
