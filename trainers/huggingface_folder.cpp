#include "trainers/huggingface_folder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/safetensors.h"
#include "core/version.h"
#include "data/chat.h"
#include "data/imported.h"
#include "data/tokenizers/tokenizer.h"
#include "models/registry.h"
#include "trainers/named_state.h"
#include "trainers/text_generation.h"
#include "trainers/train_experiment.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfig = "config.json";
constexpr const char* kWeights = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kTokenizerConfig = "tokenizer_config.json";
constexpr const char* kTemplate = "chat_template.jinja";

/// Runs `read`, and names the file in what it throws.
template <class F>
auto naming(const fs::path& file, const F& read) {
  try {
    return read();
  } catch (const Error& error) {
    throw RunError(fmt::format("{}: {}", file.string(), error.what()));
  }
}

/// The shard of each tensor, by an index: {"weight_map": {tensor: file}}.
std::map<std::string, std::string> read_index(const fs::path& file) {
  const Json json = parse_json(read_file(file), file.string());
  const auto fail = [&](const std::string& what) { throw RunError(fmt::format("{}: {}", file.string(), what)); };
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
    fail("no object \"weight_map\" of tensors and their files");
  }
  std::map<std::string, std::string> shards;
  for (const auto& [name, shard] : json["weight_map"].items()) {
    if (!shard.is_string()) fail(fmt::format("the file of {} is {}, wanted a name", name, shard.dump()));
    const auto text = shard.get<std::string>();
    if (text.empty() || text != fs::path(text).filename().string() || text == "." || text == "..") {
      fail(fmt::format("the file of {} is \"{}\", wanted the name of one beside the index", name, text));
    }
    shards[name] = text;
  }
  return shards;
}

NamedTensors read_shards(const fs::path& folder) {
  const std::map<std::string, std::string> shard_of = read_index(folder / kIndex);
  std::set<std::string> files;
  for (const auto& [name, file] : shard_of) files.insert(file);
  NamedTensors all;
  for (const std::string& file : files) {
    for (auto& [name, tensor] : read_safetensors(folder / file).tensors) {
      const auto found = shard_of.find(name);
      if (found == shard_of.end() || found->second != file) {
        throw RunError(fmt::format("{}: {} is in it, but {} has it {}", (folder / file).string(), name, kIndex,
                                   found == shard_of.end() ? "nowhere" : "in " + found->second));
      }
      all[name] = std::move(tensor);
    }
  }
  for (const auto& [name, file] : shard_of) {
    if (!all.contains(name)) {
      throw RunError(fmt::format("{}: no {} in it, where {} has it", (folder / file).string(), name, kIndex));
    }
  }
  return all;
}

NamedTensors read_weights(const fs::path& folder) {
  if (fs::exists(folder / kWeights)) return read_safetensors(folder / kWeights).tensors;
  if (fs::exists(folder / kIndex)) return read_shards(folder);
  const bool pickled = fs::exists(folder / "pytorch_model.bin") || fs::exists(folder / "pytorch_model.bin.index.json");
  throw UsageError(fmt::format("{}: no {}, nor {}{}", folder.string(), kWeights, kIndex,
                               pickled ? "; its pytorch_model.bin is not read, since such files can run programs: save "
                                         "the model as safetensors"
                                       : ""));
}

int64_t end_token_of(const Json& config, int64_t vocabulary) {
  const auto found = config.find("eos_token_id");
  if (found == config.end()) return -1;
  const Json& first = found->is_array() && !found->empty() ? found->front() : *found;
  if (!first.is_number_integer()) return -1;
  const auto token = first.get<int64_t>();
  return token >= 0 && token < vocabulary ? token : -1;
}

/// The family that reads such a config.
const ModelEntry& family_of(const Json& config) {
  const std::string type = ForeignConfig(config).word("model_type", "");
  for (const ModelEntry& entry : models()) {
    if (!entry.huggingface) continue;
    for (const char* name : entry.huggingface->model_types) {
      if (type == name) return entry;
    }
  }
  throw RunError(
      fmt::format("config.json: \"model_type\" is \"{}\"; known are {}", type, fmt::join(huggingface_types(), ", ")));
}

/// A family and its settings. A config.json can say what no config of ours may: they are read as one, with its rules.
Choice choice_of(const Json& json) {
  const ModelEntry& family = family_of(json);
  ExperimentConfig config;
  config.experiment = "imported";
  config.data = {"imported", ImportedConfig{}};
  config.model = {std::string(family.name), family.huggingface->settings(json)};
  try {
    return read_config<ExperimentConfig>(ConfigSource::from_text(write_config(config), kConfig)).model;
  } catch (const ConfigError& mistakes) {
    const std::string all = mistakes.what();
    throw RunError(fmt::format("as a config: {}", all.substr(0, all.find('\n'))));
  }
}

Json read_config_json(const fs::path& folder) {
  if (!fs::is_directory(folder)) throw UsageError(fmt::format("{}: there is no such folder", folder.string()));
  const fs::path file = folder / kConfig;
  if (!fs::exists(file)) {
    throw UsageError(
        fmt::format("{}: no {} in it; wanted a folder as `transformers` saves a model", folder.string(), kConfig));
  }
  Json config = parse_json(read_file(file), file.string());
  if (!config.is_object()) throw RunError(fmt::format("{}: no object", file.string()));
  return config;
}

/// Refuses settings of a model that is larger than the weights there are, before room is made for it.
void require_room_for(const Choice& model, const NamedTensors& weights) {
  int64_t elements = 0;
  for (const auto& [name, tensor] : weights) elements += tensor.numel();
  std::map<std::string, int64_t> sizes;
  AnyConfig settings = model.settings;
  for (const auto& [key, value] : flatten_config([&](Fields& f) { settings.fields(f); })) {
    if (key == "n_layer" || key == "n_embd" || key == "vocab_size") sizes[key] = std::stoll(value);
  }
  for (const char* count : {"n_layer", "vocab_size"}) {
    if (sizes[count] <= elements / std::max<int64_t>(sizes["n_embd"], 1)) continue;
    throw RunError(fmt::format("config.json: {} {} with n_embd {}, but the weights are {} numbers in all", count,
                               sizes[count], sizes["n_embd"], elements));
  }
}

/// A folder's name as the name of an experiment.
std::string experiment_name(const fs::path& folder) {
  std::string name = fs::weakly_canonical(folder).filename().string();
  while (name.starts_with('.')) name.erase(0, 1);
  return name.empty() || !is_utf8(name) ? "imported" : name;
}

/// The template of tokenizer_config.json, or of a file of its own; "": there is none.
std::string chat_template_of(const fs::path& folder) {
  if (fs::exists(folder / kTemplate)) return read_file(folder / kTemplate);
  if (!fs::exists(folder / kTokenizerConfig)) return "";
  const Json config = parse_json(read_file(folder / kTokenizerConfig), (folder / kTokenizerConfig).string());
  if (!config.is_object() || !config.contains("chat_template")) return "";
  const Json& given = config["chat_template"];
  if (given.is_string()) return given.get<std::string>();
  if (!given.is_array()) return "";
  for (const Json& named : given) {  // several, by name
    const bool whole = named.is_object() && named.contains("name") && named.contains("template");
    if (whole && named["name"] == "default" && named["template"].is_string()) return named["template"];
  }
  return "";
}

/// tokenizer_config.json: which class reads the tokenizer, and which of its tokens are for what.
Json special_tokens(const DataSpec& spec) {
  Json json{{"tokenizer_class", "PreTrainedTokenizerFast"}};
  const auto tokenizer = tokenizer_from_json(spec.tokenizer);
  if (spec.end_token >= 0 && spec.end_token < tokenizer->vocabulary()) {
    json["eos_token"] = tokenizer->decode(torch::full({1}, spec.end_token, torch::kLong));
  }
  for (const auto& [key, written] : {std::pair{"mask_token", "[MASK]"}, std::pair{"pad_token", "[PAD]"}}) {
    if (tokenizer->find(written)) json[key] = written;
  }
  if (!spec.chat.empty()) json["chat_template"] = ChatTemplate::from_json(spec.chat).to_jinja();
  return json;
}

/// run.json, as text.
std::string run_record(const fs::path& folder, const AnyModel& model, const std::string& command_line) {
  const Json record{{"genzoo", program_version()},
                    {"git_commit", git_commit()},
                    {"libtorch", libtorch_version()},
                    {"build", build_description()},
                    {"command_line", command_line},
                    {"imported_from", folder.string()},
                    {"parameters", parameter_count(*model.module)},
                    {"exit_reason", "imported"},
                    {"step", 0}};
  return record.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::vector<std::string> huggingface_types() {
  std::vector<std::string> known;
  for (const ModelEntry& entry : models()) {
    if (entry.huggingface)
      known.insert(known.end(), entry.huggingface->model_types.begin(), entry.huggingface->model_types.end());
  }
  return known;
}

HuggingFaceFolder read_huggingface_folder(const fs::path& folder) {
  HuggingFaceFolder found;
  found.model.config = read_config_json(folder);
  const auto tokenizer = open_tokenizer(folder);
  found.tokenizer = tokenizer->to_json();
  found.vocabulary = tokenizer->vocabulary();
  found.end_token = end_token_of(found.model.config, found.vocabulary);
  found.model.tensors = read_weights(folder);
  return found;
}

std::string read_huggingface_chat(const fs::path& folder) {
  const auto frames = recognize_chat_template(chat_template_of(folder));
  return frames ? frames->to_json() : "";
}

Choice read_huggingface_choice(const fs::path& folder) {
  return naming(folder, [&] { return choice_of(read_config_json(folder)); });
}

LoadedModel load_huggingface(const fs::path& folder) {
  HuggingFaceFolder found = read_huggingface_folder(folder);
  LoadedModel loaded;
  loaded.path = folder;
  loaded.config.experiment = experiment_name(folder);
  loaded.config.data = {"imported", ImportedConfig{folder.string()}};
  loaded.config.train.steps = 0;
  DataSpec& spec = loaded.spec;
  spec.dataset = "imported";
  spec.kind = DataKind::tokens;
  spec.vocabulary = found.vocabulary;
  spec.token_unit = "token";
  spec.tokenizer = found.tokenizer;
  spec.end_token = found.end_token;
  spec.chat = read_huggingface_chat(folder);
  naming(folder, [&] {
    loaded.config.model = choice_of(found.model.config);
    require_room_for(loaded.config.model, found.model.tensors);
    loaded.model = make_model(loaded.config.model, spec, /*seed=*/0);
    load_module_state(*loaded.model.module,
                      model_entry(loaded.config.model.name)
                          .huggingface->ours(found.model.config, loaded.config.model.settings,
                                             module_state(*loaded.model.module), std::move(found.model.tensors)),
                      folder.string());
  });
  loaded.model.module->eval();
  return loaded;
}

void import_huggingface(const fs::path& folder, const RunFolder& run, const std::string& command_line) {
  require_free(run, {});
  const LoadedModel loaded = load_huggingface(folder);
  fs::create_directories(run.checkpoints());
  const auto lock = FolderLock::try_lock(run.path());
  if (!lock) {
    throw UsageError(
        fmt::format("{} is in use by another genzoo; choose another folder by --run", run.path().string()));
  }
  require_free(run, {});
  NamedTensors state;
  for (const auto& [name, tensor] : module_state(*loaded.model.module)) state["model." + name] = tensor;
  const std::string config = write_config(loaded.config);
  // The checkpoint last: without one the folder is no run that could be mistaken for a whole one.
  write_file_whole(run.tokenizer(), loaded.spec.tokenizer);
  write_file_whole(run.path() / "imported.json", run_record(folder, loaded.model, command_line));
  try {
    save_checkpoint(run.checkpoint(0), {0, config, loaded.spec}, /*seed=*/0, state);
    fs::rename(run.path() / "imported.json", run.run_json());
    write_file_whole(run.config(), config);
  } catch (...) {
    std::error_code ignored;
    for (const fs::path& file : {run.checkpoint(0), run.run_json(), run.path() / "imported.json"})
      fs::remove(file, ignored);
    throw;
  }
}

void export_huggingface(const LoadedModel& loaded, const fs::path& folder) {
  const ModelEntry& family = model_entry(loaded.model.family);
  if (!family.huggingface) {
    throw UsageError(fmt::format("export: `transformers` has no {}; take --format safetensors", family.name));
  }
  if (loaded.spec.kind == DataKind::documents) {
    throw UsageError(fmt::format(
        "export: {} tells classes of texts apart, and of such models none is written for `transformers`; take --format "
        "safetensors",
        loaded.path.string()));
  }
  if (fs::exists(folder) && (!fs::is_directory(folder) || !fs::is_empty(folder))) {
    throw UsageError(fmt::format("--out {}: wanted a folder that is empty or not there", folder.string()));
  }
  const std::string tokenizer = huggingface_tokenizer(loaded.spec.tokenizer);
  HuggingFaceModel model = family.huggingface->theirs(loaded.config.model.settings, module_state(*loaded.model.module));
  const Json end = loaded.spec.end_token >= 0 ? Json(loaded.spec.end_token) : Json();
  // Where nothing is put before texts, they begin behind the end of another: Radford et al. (2019).
  const auto before = tokens_before_text(*tokenizer_from_json(loaded.spec.tokenizer));
  model.config.update({{"bos_token_id", before.empty() ? end : Json(before.front())}, {"eos_token_id", end}});
  const Json tokenizer_config = special_tokens(loaded.spec);
  fs::create_directories(folder);
  try {
    write_safetensors(folder / kWeights, model.tensors, {{"format", "pt"}});
    write_file_whole(folder / "tokenizer.json", tokenizer);
    write_file_whole(folder / kTokenizerConfig, tokenizer_config.dump(2) + "\n");
    write_file_whole(folder / kConfig, model.config.dump(2) + "\n");
  } catch (...) {  // so that the same command can be given again
    std::error_code ignored;
    for (const char* file : {kWeights, "tokenizer.json", kTokenizerConfig}) fs::remove(folder / file, ignored);
    throw;
  }
}

}  // namespace genzoo
